# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode of a confirmation and of a rollback answers what the real run answers: all of it, but for the times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from trials import PATH

STATE = "/var/lib/nettune"
Step = Callable[[Any], object]

# Begins to confirm or undo, comes as far as the file, and then nobody is left to finish it.
DIES_HALF_WAY = """
import os
import subprocess
from ansible_collections.nettune.kernel.plugins.module_utils._trial import Trials

def die(*_arguments, **_options):
    subprocess.call(["sh", "-c", "%s"])
    os._exit(0)

Trials._confirmed = Trials._undo = die
trials = Trials()
trials.confirm(None) if trials.pending() else trials.roll_back("half way")
"""
KILL = "pkill -KILL -f guard[.]pyz; while pgrep -f guard[.]pyz >/dev/null; do sleep 0.05; done"


def shell(script: str) -> Step:
    return lambda host: host.namespace.run(["sh", "-ec", script])


def dies(host: Any) -> None:
    host.namespace.run(["python3", "-c", DIES_HALF_WAY % KILL], env=host.namespace.environment)


def started(**arguments: Any) -> Step:
    def step(host: Any) -> None:
        assert host.trial("started", **arguments)["changed"]

    return step


def ended(state: str, **arguments: Any) -> Step:
    def step(host: Any) -> None:
        assert host.trial(state, **arguments)["changed"]

    return step


BEGUN = [started()]
CONFIRMED = [started(), ended("confirmed")]
ROLLED_BACK = [started(), ended("rolled_back", reason="a test")]
SECOND = started(sysctl={"net.core.somaxconn": "99"}, rollout_id="r2")
TWO = [*CONFIRMED, SECOND, ended("confirmed")]
OTHER_FILE = [
    *CONFIRMED,
    started(sysctl={"net.core.somaxconn": "99"}, rollout_id="r2", path="/etc/sysctl.d/50-other.conf"),
    ended("confirmed"),
]
FORWARDING = started(sysctl={"net.ipv4.ip_forward": 1, "net.ipv4.tcp_fin_timeout": 20})
DEFAULT = started(sysctl={"net.ipv4.conf.default.rp_filter": 1, "net.ipv4.tcp_fin_timeout": 20})
NO_GUARD = shell(KILL)
SOMEBODY_WRITES = shell("echo 33 >/proc/sys/net/ipv4/tcp_fin_timeout")
SOMEBODY_EDITS = shell(f"echo '# by hand' >>{PATH}")
INTERFACE_COMES = shell("ip link add new0 type veth peer name new1")
A_LINK = shell(f"rm -rf {STATE}; sleep 2; mkdir /run/elsewhere; ln -s /run/elsewhere {STATE}")


def damaged(name: str) -> Step:
    return shell(f"echo garbage >{STATE}/{name}")


def read_only(folder: str) -> Step:
    return shell(f"mount --make-rprivate /; mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}")


# What happened before, and what is asked for.
Scene = tuple[list[Step], dict[str, Any]]
CONFIRMATIONS: dict[str, Scene] = {
    "of what is on trial": (BEGUN, {"rollout_id": "r1"}),
    "of whatever is on trial": (BEGUN, {}),
    "with side effects": ([FORWARDING], {}),
    "behind others": ([*CONFIRMED, SECOND], {}),
    "of what is confirmed": (CONFIRMED, {"rollout_id": "r1"}),
    "of what is confirmed, the history lost": ([*CONFIRMED, shell(f"rm {STATE}/history.json")], {"rollout_id": "r1"}),
    "of what died behind the rename": ([*BEGUN, dies], {"rollout_id": "r1"}),
    "refused as another one is on trial": ([*CONFIRMED, SECOND], {"rollout_id": "r1"}),
    "refused as it was rolled back": (ROLLED_BACK, {"rollout_id": "r1"}),
    "refused as it is over": ([*BEGUN, NO_GUARD], {"rollout_id": "r1"}),
    "refused as its undo was begun": ([*CONFIRMED, dies], {"rollout_id": "r1"}),
    "refused by drift": ([*BEGUN, SOMEBODY_WRITES], {}),
    "refused by an edited file": ([*BEGUN, SOMEBODY_EDITS], {}),
    "refused by damage": ([*CONFIRMED, SECOND, damaged("confirmed.json")], {}),
    "refused by damaged originals": ([*CONFIRMED, SECOND, damaged("originals.json")], {}),
    "refused by a read-only folder": ([*BEGUN, read_only("/etc/sysctl.d")], {}),
    "refused by a read-only state folder": ([*BEGUN, read_only(STATE)], {}),
    "refused by a link for the state": ([A_LINK], {}),
}
ROLLBACKS: dict[str, Scene] = {
    "of what is on trial": (BEGUN, {"reason": "a test"}),
    "of what is on trial, with evidence": (BEGUN, {"reason": "rejects", "evidence": True}),
    "with side effects": ([FORWARDING], {}),
    "with drift": ([*BEGUN, SOMEBODY_WRITES], {}),
    "with an interface that came": ([DEFAULT, INTERFACE_COMES], {}),
    "of what is confirmed": (CONFIRMED, {"rollout_id": "r1"}),
    "of what is confirmed, with side effects": ([FORWARDING, ended("confirmed")], {}),
    "of what is confirmed, with drift": ([*CONFIRMED, SOMEBODY_WRITES], {}),
    "of what is confirmed, with an edited file": ([*CONFIRMED, SOMEBODY_EDITS], {}),
    "of the last of two": (TWO, {"rollout_id": "r2"}),
    "of what is confirmed while the next is over": ([*CONFIRMED, SECOND, NO_GUARD], {"rollout_id": "r1"}),
    "of what is over": ([*CONFIRMED, SECOND, NO_GUARD], {"rollout_id": "r2"}),
    "of whatever is over": ([*CONFIRMED, SECOND, NO_GUARD], {}),
    "of what died behind the rename": ([*BEGUN, dies], {}),
    "of what died undoing": ([*CONFIRMED, dies], {}),
    "of what was rolled back": (ROLLED_BACK, {"rollout_id": "r1"}),
    "of what was rolled back, with evidence": (ROLLED_BACK, {"rollout_id": "r1", "evidence": True}),
    "of what nobody knows": (CONFIRMED, {"rollout_id": "nonsense"}),
    "of a trial that nobody knows": (CONFIRMED, {"trial_id": "nonsense"}),
    "of nothing": ([], {}),
    "refused as another one is on trial": ([*CONFIRMED, SECOND], {"rollout_id": "r1"}),
    "refused as another trial is meant": (BEGUN, {"trial_id": "nonsense"}),
    "refused as a later one is confirmed": (TWO, {"rollout_id": "r1"}),
    "refused by damage": ([*CONFIRMED, damaged("originals.json")], {}),
    "refused by a read-only folder": ([*CONFIRMED, read_only("/etc/sysctl.d")], {}),
    "refused by read-only values": ([*BEGUN, read_only("/proc/sys")], {}),
    "refused by a read-only state folder": ([*CONFIRMED, read_only(STATE)], {}),
    "refused by a link for the state": ([A_LINK], {}),
    "to the original of nothing": ([], {"to": "original"}),
    "to the original": (TWO, {"to": "original"}),
    "to the original of two files": (OTHER_FILE, {"to": "original"}),
    "to the original, in the middle of a trial": ([*CONFIRMED, SECOND], {"to": "original"}),
    "to the original, with a trial that is over": ([*CONFIRMED, SECOND, NO_GUARD], {"to": "original"}),
    "to the original, with drift": ([*TWO, SOMEBODY_WRITES, SOMEBODY_EDITS], {"to": "original"}),
    "to the original, where nothing is left to undo": (ROLLED_BACK, {"to": "original"}),
    "refused by a read-only state folder, to the original": ([*ROLLED_BACK, read_only(STATE)], {"to": "original"}),
    "refused by damage, to the original": ([*TWO, damaged("confirmed.json")], {"to": "original"}),
    "refused by a link for the state, to the original": ([A_LINK], {"to": "original"}),
}
SCENES = [("confirmed", name) for name in CONFIRMATIONS] + [("rolled_back", name) for name in ROLLBACKS]
# Of the moment: each run has its own.
TIMES = {"ended", "seconds_left", "since", "invocation"}


def timeless(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: timeless(value) for name, value in answer.items() if name not in TIMES}
    if isinstance(answer, list):
        return [timeless(value) for value in answer]
    return answer


def memory(host: Any) -> str:
    """Everything of the host, and what is remembered on it, apart from what the guard goes on to see."""
    documents = f"""
        cd {STATE} || exit
        ls -I drift.json -I 'samples*'
        grep -r . trial.json confirmed.json history.json refused.json originals.json
    """
    return str(host.whole() + host.namespace.run(["sh", "-c", documents], check=False).stdout)


@pytest.mark.parametrize(("state", "name"), SCENES)
def test_check_mode_answers_what_the_real_run_answers(host: Any, state: str, name: str) -> None:
    before, arguments = (CONFIRMATIONS if state == "confirmed" else ROLLBACKS)[name]
    for step in before:
        step(host)
    found = memory(host)
    predicted = host.trial(state, _ansible_check_mode=True, **arguments)
    assert memory(host) == found
    real = host.trial(state, **arguments)
    # A sentence may tell when it was.
    if "was rolled back here on" in real.get("msg", ""):
        predicted["msg"], real["msg"] = (answer["msg"].rpartition(" UTC: ")[2] for answer in (predicted, real))
    assert timeless(predicted) == timeless(real)
    assert bool(real.get("failed")) == name.startswith("refused")
    if real.get("changed") and state == "rolled_back":
        assert "drift" in real


def test_where_nothing_was_ever_on_trial_check_mode_lets_a_play_go_on(host: Any) -> None:
    """The one difference: the start before it has not happened either."""
    for before in ([], CONFIRMED):
        for step in before:
            step(host)
        assert host.trial("confirmed", rollout_id="new")["failed"]
        predicted = host.trial("confirmed", rollout_id="new", _ansible_check_mode=True)
        assert (predicted["changed"], predicted["trial"]) == (False, {"state": "none", "keys": []})
