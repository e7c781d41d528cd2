# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts with simulated counters, gone through with the real functions: for tests of the report and the callback."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import gate, report

BEGAN = 1_795_251_600.0
LOOK_EVERY = 5.0
OPENS = "Tcp.PassiveOpens"
REJECTS = "TcpExt.PAWSEstab"

# Seconds since the change, negative before it -> rejects per 1,000 opens.
Rate = Callable[[float], float]


class Host:
    """Counters that rise: some hundred opens at each look, and rejects among them."""

    def __init__(self, name: str, rate: Rate, opens: int = 300) -> None:
        self._random = random.Random(name)
        self._rate, self._opens = rate, opens
        self._counters = {OPENS: 10_000, REJECTS: 50, "TcpExt.ListenDrops": 0, "Tcp.OutRsts": 7}

    def sample(self, elapsed: float) -> dict[str, Any]:
        opens = self._random.randint(int(self._opens * 0.8), int(self._opens * 1.2))
        self._counters[OPENS] += opens
        self._counters[REJECTS] += sum(
            self._random.random() < self._rate(elapsed) / 1000 for _connection in range(opens)
        )
        self._counters["Tcp.OutRsts"] += self._random.random() < 0.5
        return {"time": 1000.0 + elapsed, "boot_id": "b", "counters": dict(self._counters)}


def steady(rate: float) -> Rate:
    return lambda _elapsed: rate


def rising(before: float, after: float) -> Rate:
    return lambda elapsed: before if elapsed <= 0 else after


def soak(
    number: int,
    hosts: Iterable[str],
    controls: Iterable[str] = (),
    observers: Iterable[str] = (),
    *,
    looks: int = 24,
    rate: Rate | None = None,
    opens: int = 300,
) -> gate.Observations:
    """A wave that was watched."""
    calm, rate = steady(4.0), rate or steady(4.0)
    on_trial = {name: Host(name, rate, opens) for name in hosts}
    beside = {name: Host(name, calm, opens) for name in controls}
    around = {name: Host(name, calm, opens) for name in observers}

    def seen(group: dict[str, Host], elapsed: float) -> dict[str, Any]:
        return {name: {"sample": host.sample(elapsed)} for name, host in group.items()}

    earlier = {role: seen(group, -15.0) for role, group in (("controls", beside), ("observers", around))}
    observations = gate.begin(
        number,
        {
            name: {"changed": True, "baseline": [host.sample(at) for at in (-15.0, -10.0, -5.0, 0.0)]}
            for name, host in on_trial.items()
        },
        seen(beside, 0.0),
        {name: result["sample"] for results in earlier.values() for name, result in results.items()},
        BEGAN,
        observers=seen(around, 0.0),
        probes_before=[tally(name, 0) for name in (*on_trial, *beside)],
    )
    for look in range(1, looks + 1):
        elapsed = look * LOOK_EVERY
        looked = {name: {**result, "pending": {"id": "t"}} for name, result in seen(on_trial, elapsed).items()}
        probes = [tally(name, look % 12 == 0 and name in beside) for name in (*on_trial, *beside)]
        observations = gate.add_look(
            observations,
            looked,
            seen(beside, elapsed),
            probes,
            BEGAN + elapsed,
            observers=seen(around, elapsed),
        )
    return observations


def tally(host: str, failed: int, attempts: int = 10) -> dict[str, Any]:
    return {
        "probe": f"tcp {host}:80",
        "source": "controller",
        "host": host,
        "attempts": attempts,
        "ok": attempts - failed,
        "slow": 0,
        "failed": int(failed),
        "median_ms": 0.4,
        "max_ms": 1.9,
        "errors": {"timed out": 1} if failed else {},
    }


def judged(observations: gate.Observations) -> dict[str, Any]:
    """What the gate returns for them, as far as the report asks."""
    limits = gate.Limits()
    verdict = gate.judge(observations, limits)
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "figures": verdict.figures(),
        "limits": {"alpha": 0.01},
        "progress": gate.progress(observations, verdict),
        "observations": observations,
    }


def plan(hosts: Sequence[str], sizes: Sequence[int]) -> dict[str, Any]:
    waves = []
    start = 0
    for number, size in enumerate(sizes, 1):
        members, later = hosts[start : start + size], hosts[start + size :]
        waves.append({"number": number, "hosts": list(members), "controls": list(later[:5])})
        start += size
    return {
        "rollout_id": "20261121T0900Z",
        "hosts": list(hosts),
        "strata": {host: f"6.1.0-{index % 3} l7_proxy" for index, host in enumerate(hosts)},
        "waves": waves,
        "settings": [
            {"key": "net.core.somaxconn", "proposed": "8192", "why": "a full queue drops SYNs", "now": ["4096"]},
            {"key": "net.ipv4.tcp_timestamps", "proposed": "1", "why": "", "now": ["0", "2"]},
        ],
        "findings": [f"{hosts[0]}: warning timewait.behind_nat: Clients share an address."],
    }


def started(hosts: Iterable[str]) -> dict[str, Any]:
    return {
        host: {
            "changed": True,
            "values": {
                "net.core.somaxconn": {"before": "4096", "after": "8192"},
                "net.ipv4.tcp_timestamps": {"before": "0", "after": "1"},
            },
            "side_effects": {},
            "trial": {"deadline_epoch": BEGAN + 300},
        }
        for host in hosts
    }


def rollout(hosts: Sequence[str], sizes: Sequence[int], last_rate: Rate, looks: int = 24) -> report.Record:
    """A record of waves that were confirmed, up to the last one of `sizes`, whose rejects are at `last_rate`."""
    planned = plan(hosts, sizes)
    record = report.begin(planned)
    for wave in planned["waves"]:
        last = wave["number"] == len(sizes)
        controls = wave["controls"] or list(hosts[:5])
        observed = soak(
            wave["number"], wave["hosts"], controls, ["client1"], looks=looks, rate=last_rate if last else None
        )
        verdict = judged(observed)
        undone = None
        if verdict["verdict"] == gate.ROLL_BACK:
            undone = {host: {"changed": True, "trial": {"state": "rolled_back"}} for host in wave["hosts"]}
        told = report.wave_record(wave["number"], started(wave["hosts"]), verdict, {}, undone)
        record = report.with_wave(record, told)
    return record
