# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at every step: the host ends entirely old or entirely new, by itself."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from trials import PATH, start_arguments

from .conftest import Host

SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.ip_forward": "1", "net.ipv4.tcp_tw_reuse": "1"}

# Runs one step of a trial and dies at the n-th thing that it does to the host: a document, a value, a file.
DYING = """
import json, os, signal, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _enforce, _guard_process, _state
from ansible_collections.nettune.kernel.plugins.module_utils import _sysctl_file, _trial

step, fatal, arguments = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
count = 0

def counted(function, after):
    def call(*args, **kwargs):
        global count
        count += 1
        mine = count
        if mine == fatal and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if mine == fatal and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

after = sys.argv[4] == "after"
points = (
    (_state.State, "write"),
    (_state.State, "remove"),
    (_enforce, "write_value"),
    (_sysctl_file, "write_atomically"),
    (_sysctl_file, "remove"),
    (_guard_process, "start"),
    (os, "rename"),
)
for owner, name in points:
    setattr(owner, name, counted(getattr(owner, name), after))
getattr(_trial.Trials(), step)(**arguments)
print(count)
"""

START = start_arguments(SET, confirm_within=60)


def run(host: Any, step: str, fatal: int, arguments: dict[str, Any], when: str) -> Any:
    return host.namespace.run(
        ["python3", "-c", DYING, step, str(fatal), json.dumps(arguments), when],
        check=False,
        env={"PYTHONPATH": __file__.partition("/tests/")[0] + "/playbooks/collections", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def settle(host: Any) -> None:
    """Until the guard has ended what was pending, and itself; where none lives, the next look does it."""
    deadline = time.monotonic() + 20
    # A trial on which nobody had begun to work would go on until its deadline.
    while host.namespace.run(["pkill", "-TERM", "-n", "-f", "guard.pyz"], check=False).returncode == 0:
        assert time.monotonic() < deadline, "the guard did not end the trial"
        time.sleep(0.1)
    host.info()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("step", "prepare", "arguments"),
    [
        ("start", (), START),
        ("confirm", ("start",), {"rollout_id": "r1"}),
        ("roll_back", ("start",), {"reason": "a test"}),
        ("roll_back", ("start", "confirm"), {"reason": "a test"}),
        ("remove", ("start", "confirm"), {"reason": "a test"}),
    ],
    ids=["start", "confirm", "roll_back", "undo", "remove"],
)
def test_killed_at_every_point(
    new_netns: Any, step: str, prepare: tuple[str, ...], arguments: dict[str, Any], when: str
) -> None:

    points = 0
    outcomes = set()
    for fatal in range(1, 100):
        with new_netns() as namespace:
            host = Host(namespace)
            old = host.whole()
            for former in prepare:
                done = run(host, former, 0, START if former == "start" else {"rollout_id": "r1"}, when)
                assert done.returncode == 0, done.stderr
            done = run(host, step, fatal, arguments, when)
            if done.returncode == 0:
                assert fatal > int(done.stdout), "it should have died"
                break
            assert done.returncode in (-9, 137), done.stderr
            points += 1
            settle(host)
            left = host.left_behind()
            assert left == [], (fatal, left)
            new = (
                all(host.value(key) == value for key, value in SET.items())
                and host.namespace.run(["cat", PATH], check=False).stdout == START["content"]
            )
            assert new or host.whole() == old, f"neither old nor new after dying {when} point {fatal} of {step}"
            outcomes.add("new" if new else "old")
            if new:
                assert host.trial("rolled_back")["changed"]
            assert host.whole() == old
            assert host.trial("started", force=True)["changed"], "the next run does not work"
    print(f"{step} {when}: {points} points, outcomes {sorted(outcomes)}")
    assert points >= 4
    # An undo that had not begun leaves what was confirmed; one that had is finished by whoever looks next.
    expected = {"start": {"old"}, "confirm": {"old", "new"}, "roll_back": {"old"}, "remove": {"old", "new"}}
    if prepare == ("start", "confirm"):
        expected["roll_back"] = {"old", "new"}
    assert outcomes == expected[step]
