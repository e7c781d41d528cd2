# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A crash of the machine at each point of a trial: it boots entirely old or entirely new, and the next run works.

The crash is the kernel's own (`b` to sysrq-trigger), in the moment of the point. What the disk was given survives it,
what was only in the kernel's memory does not: a step that forgets an fsync loses here what it needs.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from trials import PATH, start_arguments

from .conftest import BROUGHT, ENVIRONMENT, ROOT

# What it is called until it is complete, a name that no boot reads.
INCOMPLETE = "/etc/sysctl.d/.90-nettune.conf.nettune-new"
SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.ip_forward": "1", "net.ipv4.tcp_tw_reuse": "1"}
START = start_arguments(SET, confirm_within=600, force=True)
CONFIRM = {"rollout_id": "r1"}
UNDO = {"reason": "a test"}
NEXT = {"net.ipv4.tcp_fin_timeout": "25"}
TOOLS = "/opt/chaos"
# A boot takes its time, and what fails is the same code: one kernel is for every point, others are for the main ones.
EVERY_POINT = "6.1"
ON_ONE_KERNEL = pytest.mark.kernels(EVERY_POINT)
# What a boot draws by chance, or computes from the memory that happens to be free.
OF_THE_BOOT = ("net/core/netdev_rss_key", "net/ipv4/tcp_mem", "net/ipv4/udp_mem")


class Host:
    """The machine, through what the tests of chaos use on their hosts."""

    def __init__(self, machine: Any) -> None:
        self._machine = machine
        for name in ("fault_points.py", "step.py", "inspect_host.py"):
            machine.put(ROOT / "tests" / "chaos" / name, f"{TOOLS}/{name}")

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._machine.run(f"python3 {TOOLS}/inspect_host.py").stdout)
        for key in OF_THE_BOOT:
            found["tree"].pop(key, None)
        return found

    def step(self, name: str, arguments: dict[str, Any]) -> int:
        """How many things it did to the host."""
        answer = json.loads(self._machine.run(_step(name, arguments, 0, "after")).stdout.splitlines()[-1])
        assert "operations" in answer, answer
        return int(answer["operations"])

    def start(self) -> str:
        """The id of the trial that has begun."""
        self.step("start", START)
        found = self.pending()
        assert found
        return found

    def pending(self) -> str | None:
        """The id of the trial that the journal is about."""
        text = self._machine.output("cat /var/lib/nettune/trial.json")
        return str(json.loads(text)["document"]["id"]) if text else None

    def next_run(self, old: dict[str, Any]) -> None:
        """Whatever was there before: another set goes its whole way, by the module and without force."""
        more = {"sysctl": NEXT, "rollout_id": "next", "guard": {"enabled": False, "baseline_seconds": 0}}
        for state, arguments in (("started", more), ("confirmed", {}), ("rolled_back", {})):
            answer = self._machine.module("sysctl_trial", state=state, **arguments)
            assert answer.get("changed"), answer
            assert not answer.get("failed"), answer
            if state == "confirmed":
                assert self.look()["files"][PATH][3].splitlines()[-1] == "net.ipv4.tcp_fin_timeout = 25"
        assert is_like(self.look(), old)

    def crash_at(self, name: str, arguments: dict[str, Any], number: int, when: str) -> None:
        """Crash before or after the n-th thing that the step does, where it waits for what never comes."""
        step = f"mkfifo /run/never; {_step(name, arguments, number, when)} <>/run/never"
        crash = 'while read -r line; do echo "$line" >&2; [ "$line" != frozen ] || echo b >/proc/sysrq-trigger; done'
        self._machine.reboot_hard(by=f"{step} | {crash}")


def _step(name: str, arguments: dict[str, Any], number: int, when: str) -> str:
    words = ["python3", f"{TOOLS}/step.py", name, json.dumps(arguments), str(number), when]
    return f"{ENVIRONMENT} {shlex.join(words)}"


def differences(host: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [
        (name, host[kind].get(name), other[kind].get(name))
        for kind in ("tree", "files")
        for name in sorted({*host[kind], *other[kind]})
        if host[kind].get(name) != other[kind].get(name)
    ]


def remembered(host: dict[str, Any]) -> Any:
    """What nettune remembers for as long as a set is confirmed, without the name of the trial and the time."""
    assert isinstance(host["confirmed"], list), host["confirmed"]
    own = ("id", "ended")
    records = [{name: value for name, value in record.items() if name not in own} for record in host["confirmed"]]
    return {"confirmed": records, "originals": host["originals"]}


def is_like(host: dict[str, Any], other: dict[str, Any]) -> bool:
    return not differences(host, other)


@pytest.fixture(scope="module")
def host(machine: Any) -> Host:
    return Host(machine)


@pytest.fixture(scope="module")
def old(machine: Any, host: Host) -> dict[str, Any]:
    """The host as it boots without a trial."""
    machine.reboot_hard()
    return host.look()


@pytest.fixture(scope="module")
def new(machine: Any, host: Host, old: dict[str, Any]) -> dict[str, Any]:
    """The host as it boots with the set confirmed, and after that undone."""
    trial = host.start()
    host.step("confirm", CONFIRM)
    machine.reboot_hard()
    booted = host.look()
    assert [record["id"] for record in booted["confirmed"]] == [trial]
    assert {key: booted["originals"]["values"][key] for key in SET} == {
        key: old["tree"][key.replace(".", "/")] for key in SET
    }
    assert {key: booted["tree"][key.replace(".", "/")] for key in SET} == SET
    assert booted["files"][PATH][3] == START["content"]
    assert booted["left"] == []
    host.step("roll_back", UNDO)
    assert is_like(host.look(), old)
    return booted


def settle(host: Host, old: dict[str, Any], new: dict[str, Any], trial: str | None = None) -> str:
    """After a crash: which of both the host has booted as, and stays with the next look. Leaves it old.

    trial: whose outcome must be known then; where none had begun for certain, whatever the journal is about.
    """
    booted = host.look()
    trial = trial or host.pending()
    # It may be there as long as nobody has looked.
    booted["files"].pop(INCOMPLETE, None)
    outcome = "new" if is_like(booted, new) else "old"
    assert not differences(booted, new if outcome == "new" else old), "neither old nor new"
    host.step("look", {})
    settled = host.look()
    assert not differences(settled, booted), "no longer what it has booted as"
    assert settled["left"] == []
    assert remembered(settled) == remembered(new if outcome == "new" else old)
    if trial:
        last = settled["history"][0]
        assert (last["id"], last["state"]) == (trial, "confirmed" if outcome == "new" else "rolled_back")
    else:
        assert settled["history"] == booted["history"]
    if outcome == "new":
        assert [record["id"] for record in settled["confirmed"]] == [trial]
        host.step("roll_back", UNDO)
        assert is_like(host.look(), old)
    return outcome


@ON_ONE_KERNEL
def test_before_arming(host: Host, old: dict[str, Any], new: dict[str, Any]) -> None:
    former = host.look()["history"]
    host.crash_at("start", START, 1, "before")
    assert settle(host, old, new) == "old"
    assert host.look()["history"] == former
    host.next_run(old)


@ON_ONE_KERNEL
@pytest.mark.parametrize("part", [0.4, 0.8], ids=["armed", "written"])
def test_while_it_arms_and_writes(part: float, host: Host, old: dict[str, Any], new: dict[str, Any]) -> None:
    points = host.step("start", START)
    host.step("roll_back", UNDO)
    former = host.look()["history"]
    host.crash_at("start", START, round(part * points), "after")
    assert settle(host, old, new) == "old"
    assert host.look()["history"][0]["id"] not in [entry["id"] for entry in former]
    host.next_run(old)


def test_on_trial(machine: Any, host: Host, old: dict[str, Any], new: dict[str, Any]) -> None:
    trial = host.start()
    assert machine.output("cat /proc/sys/net/ipv4/tcp_fin_timeout") == "20"
    machine.reboot_hard()
    assert settle(host, old, new, trial) == "old"
    assert "rebooted" in host.look()["history"][0]["reason"]
    host.next_run(old)


def test_at_each_step_of_confirming(
    machine: Any, host: Host, old: dict[str, Any], new: dict[str, Any], tell: Any
) -> None:
    host.start()
    points = host.step("confirm", CONFIRM)
    assert points >= 4
    host.step("roll_back", UNDO)
    outcomes: dict[int, str] = {}
    for point in range(1, points + 1, 1 if machine.kernel in (BROUGHT, EVERY_POINT) else points // 2):
        trial = host.start()
        host.crash_at("confirm", CONFIRM, point, "after")
        outcome = settle(host, old, new, trial)
        if outcome not in outcomes.values():
            host.next_run(old)
        outcomes[point] = outcome
    told = " ".join(f"{point}:{outcome}" for point, outcome in outcomes.items())
    tell(f"{machine.release}: confirming, a crash after each of these of {points} points: {told}")
    # Once it is new it stays new.
    assert list(outcomes.values()) == sorted(outcomes.values(), reverse=True)
    assert set(outcomes.values()) == {"old", "new"}


def test_after_confirming(machine: Any, host: Host, old: dict[str, Any], new: dict[str, Any]) -> None:
    trial = host.start()
    host.step("confirm", CONFIRM)
    machine.reboot_hard()
    assert settle(host, old, new, trial) == "new"
    host.next_run(old)


@ON_ONE_KERNEL
def test_after_rolling_back(machine: Any, host: Host, old: dict[str, Any], new: dict[str, Any]) -> None:
    trial = host.start()
    host.step("roll_back", UNDO)
    machine.reboot_hard()
    assert settle(host, old, new, trial) == "old"
    host.next_run(old)


@ON_ONE_KERNEL
def test_after_undoing_what_was_confirmed(machine: Any, host: Host, old: dict[str, Any], new: dict[str, Any]) -> None:
    trial = host.start()
    host.step("confirm", CONFIRM)
    host.step("roll_back", UNDO)
    machine.reboot_hard()
    assert settle(host, old, new, trial) == "old"
    host.next_run(old)
