# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trial on what a host of namespaces cannot have for itself: kernel modules, global keys, the time of day."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from trials import PATH

from .conftest import BROUGHT, ROOT, Machine
from .test_reboot import TOOLS

KERNEL = BROUGHT or "6.1"
TIMEOUT = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
FIN = "net.ipv4.tcp_fin_timeout"
KEEPALIVE = "net.ipv4.tcp_keepalive_time"
DAY = 86400


class Host:
    """The machine, through what tests of the trial ask of a host."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        machine.put(ROOT / "tests" / "chaos" / "inspect_host.py", f"{TOOLS}/inspect_host.py")

    def trial(self, state: str, **arguments: Any) -> dict[str, Any]:
        if state == "started":
            arguments = {"rollout_id": "r1", "guard": {"baseline_seconds": 0}, **arguments}
        answer: dict[str, Any] = self.machine.module("sysctl_trial", state=state, **arguments)
        return answer

    def succeed(self, state: str, **arguments: Any) -> dict[str, Any]:
        answer = self.trial(state, **arguments)
        assert answer.get("changed"), answer
        return answer

    def info(self, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.machine.module("sysctl_trial_info", **arguments)
        return answer

    def whole(self) -> dict[str, Any]:
        """Every net sysctl, every file of /etc/sysctl.d, and what only a trial leaves there."""
        found: dict[str, Any] = json.loads(self.machine.run(f"python3 {TOOLS}/inspect_host.py").stdout)
        return {name: found[name] for name in ("tree", "files", "left")}

    def value(self, key: str) -> str:
        return " ".join(self.machine.read("/proc/sys/" + key.replace(".", "/")).split())

    def write(self, key: str, value: str) -> None:
        self.machine.run(["sh", "-c", 'echo "$0" >"$1"', value, "/proc/sys/" + key.replace(".", "/")])

    def load(self) -> None:
        self.machine.run("modprobe nf_conntrack")
        if self.machine.run("test -e /sys/module/nf_conntrack/refcnt", check=False).returncode:
            pytest.skip(f"nf_conntrack is built into kernel {self.machine.release}, and goes with it only")

    def unload(self) -> None:
        # What is built in has no number of users, and stays.
        self.machine.run("[ ! -e /sys/module/nf_conntrack/refcnt ] || modprobe -r nf_conntrack")

    def wait_until_over(self, seconds: float) -> dict[str, Any]:
        """Until the guard alone has ended the trial and gone; its outcome."""
        self.machine.wait_for("! test -e /var/lib/nettune/trial.json && ! pgrep -f guard[.]pyz", seconds)
        assert self.whole()["left"] == []
        outcome: dict[str, Any] = self.info()["history"][0]
        return outcome

    def uptime(self) -> float:
        return float(self.machine.read("/proc/uptime").split()[0])

    def set_clock(self, epoch: float) -> None:
        self.machine.run(["date", "-s", f"@{epoch:.0f}"])

    def clock(self) -> float:
        return float(self.machine.output("date +%s"))


@pytest.fixture(scope="module")
def own_machine(new_machine: Callable[[str, str], Machine]) -> Machine:
    """One on which nobody else uses the module."""
    return new_machine(KERNEL, "trial")


@pytest.fixture
def host(own_machine: Machine) -> Iterator[Host]:
    host = Host(own_machine)
    host.unload()
    before = host.whole()
    yield host
    host.trial("rolled_back", to="original")
    host.unload()
    assert host.whole() == before


def test_keys_that_leave_with_their_module_are_told_and_hold_nothing_up(host: Host) -> None:
    host.load()
    before = host.whole()
    host.succeed("started", sysctl={TIMEOUT: "60", FIN: "20"})
    host.unload()
    host.machine.wait_for("test -e /var/lib/nettune/drift.json")
    (drift,) = host.info()["drift"]
    assert (drift["key"], drift["expected"], drift["found"]) == (TIMEOUT, "60", None)
    assert abs(drift["since"] - host.clock()) < 60
    assert host.trial("confirmed")["msg"] == (
        "not confirmed, because something else changed meanwhile:"
        f" {TIMEOUT} does not exist any more, its interface or module has gone"
    )
    assert host.info()["pending"]
    answer = host.succeed("rolled_back")
    assert [(entry["key"], entry["found"]) for entry in answer["drift"]] == [(TIMEOUT, None)]
    assert host.value(FIN) == "60"
    assert host.trial("started", sysctl={TIMEOUT: "60"})["msg"] == (
        f"{TIMEOUT} does not exist on this host: leave it out"
    )
    host.load()
    assert host.whole() == before


def test_without_its_module_the_guard_ends_a_trial_all_the_same(host: Host) -> None:
    host.load()
    host.succeed("started", sysctl={TIMEOUT: "60", FIN: "20"}, confirm_within=10)
    host.unload()
    outcome = host.wait_until_over(30)
    assert outcome["reason"] == "nobody confirmed it in time"
    assert [(entry["key"], entry["found"]) for entry in outcome["drift"]] == [(TIMEOUT, None)]
    assert host.value(FIN) == "60"


def test_a_module_that_came_back_keeps_what_it_begins_with(host: Host) -> None:
    host.load()
    fresh = host.value(TIMEOUT)
    host.write(TIMEOUT, "90")
    host.succeed("started", sysctl={TIMEOUT: "60", FIN: "20"})
    host.unload()
    host.load()
    assert f"{TIMEOUT} is '{fresh}', the trial gave it '60'" in host.trial("confirmed")["msg"]
    (drift,) = host.succeed("rolled_back")["drift"]
    assert (drift["key"], drift["expected"], drift["found"]) == (TIMEOUT, "60", fresh)
    assert host.value(TIMEOUT) == fresh
    assert host.value(FIN) == "60"


@pytest.mark.parametrize("came_back", [False, True], ids=["gone", "came back"])
def test_what_was_confirmed_is_undone_whatever_became_of_its_module(host: Host, came_back: bool) -> None:
    host.load()
    fresh = host.value(TIMEOUT)
    host.write(TIMEOUT, "90")
    host.succeed("started", sysctl={TIMEOUT: "60", FIN: "20"})
    host.succeed("confirmed")
    host.unload()
    if came_back:
        host.load()
    (drift,) = host.succeed("rolled_back")["drift"]
    assert (drift["key"], drift["found"]) == (TIMEOUT, fresh if came_back else None)
    assert host.value(FIN) == "60"
    assert PATH not in host.whole()["files"]


def test_what_comes_with_a_module_is_left_as_it_came(host: Host) -> None:
    host.succeed("started", sysctl={FIN: "20"})
    host.load()
    came = host.whole()["tree"]
    assert TIMEOUT.replace(".", "/") in came
    assert host.info()["drift"] == []
    assert host.succeed("rolled_back")["drift"] == []
    assert host.whole()["tree"] == {**came, FIN.replace(".", "/"): "60"}


# What the largest buffers may be, and the triples that are written for them. They go up, triples first, then below what
# the host booted with, limits first, then back by two steps.
LARGE = {
    "net.core.rmem_max": "16777216",
    "net.core.wmem_max": "16777216",
    "net.ipv4.tcp_rmem": "8192 262144 16777216",
    "net.ipv4.tcp_wmem": "8192 131072 16777216",
}
SMALL = {
    "net.core.rmem_max": "131072",
    "net.core.wmem_max": "131072",
    "net.ipv4.tcp_rmem": "4096 65536 131072",
    "net.ipv4.tcp_wmem": "4096 32768 131072",
}


def test_triples_and_their_limits_go_up_and_down_and_back(host: Host) -> None:
    def state() -> dict[str, str]:
        return {key: host.value(key) for key in LARGE}

    before, whole = state(), host.whole()
    answer = host.succeed("started", sysctl=dict(reversed(LARGE.items())))
    assert answer["values"] == {key: {"before": before[key], "after": LARGE[key]} for key in LARGE}
    assert answer["side_effects"] == {}
    host.succeed("confirmed")
    assert state() == LARGE
    answer = host.succeed("started", sysctl=SMALL, rollout_id="r2")
    assert answer["values"] == {key: {"before": LARGE[key], "after": SMALL[key]} for key in LARGE}
    assert state() == SMALL
    assert host.succeed("rolled_back")["drift"] == []
    assert state() == LARGE
    assert host.succeed("rolled_back")["drift"] == []
    assert host.whole() == whole


def test_a_limit_that_the_kernel_refuses_takes_the_triples_with_it(host: Host) -> None:
    whole = host.whole()
    answer = host.trial("started", sysctl={**dict(reversed(LARGE.items())), "net.core.rmem_max": "1"})
    assert answer["msg"] == "net.core.rmem_max: the kernel refuses '1': Invalid argument. Everything was put back"
    assert host.whole() == whole


@contextlib.contextmanager
def clock_kept(host: Host) -> Iterator[None]:
    """Whatever it is set to, it is right again at the end."""
    try:
        yield
    finally:
        host.set_clock(time.time())


def test_a_clock_that_is_set_by_days_moves_no_deadline(host: Host) -> None:
    with clock_kept(host):
        before = host.value(KEEPALIVE)
        host.succeed("started", sysctl={FIN: "20", KEEPALIVE: "600"}, confirm_within=40)
        began = host.uptime()
        host.set_clock(host.clock() + DAY)
        host.write(KEEPALIVE, "44")
        host.machine.wait_for("test -e /var/lib/nettune/drift.json", 20)
        look = host.info(samples=1000)
        # It has the seconds left that have not gone by, and no day more or less.
        assert abs(look["pending"]["seconds_left"] - (began + 40 - host.uptime())) < 5
        (drift,) = look["drift"]
        assert (drift["key"], drift["found"]) == (KEEPALIVE, "44")
        assert abs(drift["since"] - host.clock()) < 30
        # The guard's series goes on second by second.
        times = [sample["time"] for sample in look["samples"]]
        assert all(0 < after - before < 10 for before, after in itertools.pairwise(times))
        refused = host.trial("started", sysctl={FIN: "30"}, rollout_id="r2")["msg"]
        today = host.machine.output("date -u +%Y-%m-%d; date -ud '+1 minute' +%Y-%m-%d").split()
        assert any(f"until {day} " in refused for day in today)
        assert host.value(FIN) == "20"
        # And once more, to the other side of where it was.
        host.set_clock(host.clock() - 2 * DAY)
        outcome = host.wait_until_over(90)
        lasted = host.uptime() - began
        assert 38 < lasted < 60
        assert outcome["reason"] == "nobody confirmed it in time"
        assert not outcome["by_evidence"]
        assert abs(outcome["ended"] - host.clock()) < 30
        assert [(entry["key"], entry["since"]) for entry in outcome["drift"]] == [(drift["key"], drift["since"])]
        assert host.value(FIN) == "60"
        host.write(KEEPALIVE, before)


def test_a_clock_that_is_set_is_no_evidence_and_hides_none(host: Host) -> None:
    rejects = f"{TOOLS}/rejects.py"
    host.machine.put(ROOT / "tests" / "support" / "rejects.py", rejects)
    with clock_kept(host):
        host.succeed("started", sysctl={FIN: "20"}, confirm_within=300, guard={"baseline_seconds": 3})
        for days in (1, -2):
            host.set_clock(host.clock() + days * DAY)
            seen = len(host.info(samples=1000)["samples"])
            host.machine.wait_for(f"test $(wc -l </var/lib/nettune/samples.jsonl) -gt {seen + 2}", 20)
        assert host.info()["pending"]
        host.machine.run(f"python3 {rejects} 24")
        outcome = host.wait_until_over(30)
        assert outcome["by_evidence"]
        assert outcome["figures"]["group"]["events"] >= 24
        assert outcome["figures"]["group"]["opens"] < 1000
        assert abs(outcome["ended"] - host.clock()) < 30
        assert host.value(FIN) == "60"
        # The day that the refusal names is the day of the host's clock.
        today = host.machine.output(f"date -ud @{outcome['ended']:.0f} +%Y-%m-%d")
        assert f"rolled back here on {today}" in host.trial("started", sysctl={FIN: "20"})["msg"]


def test_a_confirmation_from_another_day_counts(host: Host) -> None:
    with clock_kept(host):
        host.succeed("started", sysctl={FIN: "20"}, confirm_within=60)
        for days in (1, -2):
            host.set_clock(host.clock() + days * DAY)
            assert host.info()["pending"]
        host.succeed("confirmed")
        assert abs(host.info()["history"][0]["ended"] - host.clock()) < 30
        assert host.value(FIN) == "20"
