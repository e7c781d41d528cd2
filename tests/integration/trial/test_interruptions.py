# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at every step: the host ends entirely old or entirely new, by itself."""

from __future__ import annotations

import json
import pathlib
import time
from typing import Any, NamedTuple

import pytest
from trials import PATH, SET_OWN_VALUES, start_arguments

from .conftest import Host

SET = {
    "net.ipv4.tcp_fin_timeout": "20",
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv4.tcp_tw_reuse": "1",
}

FAULT_POINTS = pathlib.Path(__file__).parents[2] / "chaos" / "fault_points.py"
# Runs one step of a trial and dies before the n-th thing that it does to the host.
DYING = (
    FAULT_POINTS.read_text(encoding="utf-8")
    + """
import json, signal
from ansible_collections.nettune.kernel.plugins.module_utils import _trial

step, fatal, arguments = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
count = 0

def counted(function):
    def call(*args, **kwargs):
        global count
        count += 1
        if count == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

wrap(_trial.__name__.rpartition(".")[0], counted)
try:
    getattr(_trial.Trials(), step)(**arguments)
except _trial.TrialError:
    pass
print(count)
"""
)

START = start_arguments(SET, confirm_within=60)
CONFIRM = {"rollout_id": "r1"}
END = {"reason": "a test"}
# One key less than the confirmed one: that goes back to its original, or not at all.
FEWER = {key: value for key, value in SET.items() if key != "net.ipv4.tcp_tw_reuse"}
DROPPING = start_arguments({**FEWER, "net.ipv4.tcp_fin_timeout": "30"}, confirm_within=60, rollout_id="r2")
# The kernel takes the first number and refuses the second: all that was written by then goes back.
REFUSED = start_arguments({**SET, "net.ipv4.tcp_rmem": "8192 0 6291456"}, confirm_within=60)


def new_host(namespace: Any) -> Host:
    host = Host(namespace)
    namespace.run(["sh", "-c", SET_OWN_VALUES])
    return host


def run(host: Any, step: str, fatal: int, arguments: dict[str, Any]) -> Any:
    return host.namespace.run(
        ["python3", "-c", DYING, step, str(fatal), json.dumps(arguments)],
        check=False,
        env={"PYTHONPATH": __file__.partition("/tests/")[0] + "/playbooks/collections", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def settle(host: Any) -> list[dict[str, Any]]:
    """Until the guard has ended what was pending, and itself; where none lives, the next look does it. The outcomes."""
    deadline = time.monotonic() + 20
    # A trial on which nobody had begun to work would go on until its deadline.
    while host.namespace.run(["pkill", "-TERM", "-n", "-f", "guard.pyz"], check=False).returncode == 0:
        assert time.monotonic() < deadline, "the guard did not end the trial"
        time.sleep(0.1)
    history: list[dict[str, Any]] = host.info()["history"]
    return history


def prepare(host: Any, steps: tuple[str, ...]) -> None:
    for step in steps:
        done = run(host, step, 0, START if step == "start" else CONFIRM)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def confirmed(new_netns: Any) -> str:
    """A host on which nothing died."""
    with new_netns() as namespace:
        host = new_host(namespace)
        prepare(host, ("start", "confirm"))
        assert all(host.value(key) == value for key, value in SET.items())
        assert host.namespace.read(PATH) == START["content"]
        return host.whole()


class Scene(NamedTuple):
    """A step, those before it, and what the host may be once it died."""

    step: str
    former: tuple[str, ...]
    arguments: dict[str, Any]
    outcomes: set[str]


SCENES = {
    "start": Scene("start", (), START, {"old"}),
    "confirm": Scene("confirm", ("start",), CONFIRM, {"old", "new"}),
    "roll_back": Scene("roll_back", ("start",), END, {"old"}),
    # An undo that had not begun leaves what was confirmed; one that had is finished by whoever looks next.
    "undo": Scene("roll_back", ("start", "confirm"), END, {"old", "new"}),
    "remove": Scene("remove", ("start", "confirm"), END, {"old", "new"}),
    "start that is refused": Scene("start", (), REFUSED, {"old"}),
    "start that drops a key": Scene("start", ("start", "confirm"), DROPPING, {"new"}),
}


@pytest.mark.parametrize("name", SCENES)
def test_killed_at_every_point(new_netns: Any, confirmed: str, name: str) -> None:
    scene = SCENES[name]
    points = 0
    outcomes = set()
    for fatal in range(1, 100):
        with new_netns() as namespace:
            host = new_host(namespace)
            old = host.whole()
            prepare(host, scene.former)
            done = run(host, scene.step, fatal, scene.arguments)
            if done.returncode == 0:
                assert fatal > int(done.stdout), "it should have died"
                break
            assert done.returncode in (-9, 137), done.stderr
            points += 1
            where = f"after dying before point {fatal} of {name}"
            history = settle(host)
            assert host.left_behind() == [], where
            found = host.whole()
            assert found in (old, confirmed), f"neither old nor new {where}"
            outcomes.add("new" if found == confirmed else "old")
            if found == confirmed:
                # The trial of the dead one does not count, unless it is the one that was confirmed.
                ended = [(entry["rollout_id"], entry["state"]) for entry in history]
                assert ended in ([("r1", "confirmed")], [("r2", "rolled_back"), ("r1", "confirmed")]), where
                assert host.trial("rolled_back")["changed"]
            else:
                assert [entry["state"] for entry in history[:1]] in ([], ["rolled_back"]), where
            assert host.whole() == old
            assert host.trial("started", force=True)["changed"], "the next run does not work"
    print(f"{name}: {points} points, outcomes {sorted(outcomes)}")
    assert points >= 8
    assert outcomes == scene.outcomes
