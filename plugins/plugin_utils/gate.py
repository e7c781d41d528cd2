# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a wave: promote, roll_back or inconclusive. Pure functions over observations.

Observations are plain data that a rollout stores, so that a stored rollout can be judged again:

    wave: 1
    began: seconds since 1970
    hosts:    {name: {prior: sample, before: sample, samples: [sample or null], lost: why or null, guard: why or null}}
    controls: {name: {prior: null, before: sample, samples: [...], lost: ..., guard: null}}
    looks:    [{elapsed: seconds, probes: {host: {attempts, ok, slow, failed, ...}}}]

A sample is what `sysctl_trial_info` returns: {time, boot_id, counters}. `prior` is from the facts, `before` from just
before the change, and there is one of `samples` for each of `looks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._counters import flatten
from ansible_collections.nettune.kernel.plugins.module_utils._evidence import (
    exceeds,
    increments,
    opens,
    per_thousand,
    timestamp_rejects,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.account import count

Observations = dict[str, Any]

PROMOTE = "promote"
ROLL_BACK = "roll_back"
INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Limits:
    # A wave that saw fewer connections than this has proved nothing.
    min_opens: int = 20
    # Fewer rejects than this are no evidence.
    min_rejects: int = 10
    max_rejects_per_1000: float = 5.0
    # How many times the rate of the controls, and of the time before, is tolerated.
    max_ratio: float = 3.0
    max_failed_connects_percent: float = 2.0
    # So many more failed connects than the controls' share are needed.
    min_failed_connects: int = 3


@dataclass
class Tally:
    """What a group of hosts went through."""

    hosts: int = 0
    opens: int = 0
    rejects: int = 0
    connects: int = 0
    slow: int = 0
    failed: int = 0

    @property
    def rejects_per_1000(self) -> float:
        return float(per_thousand(self.rejects, self.opens)) if self.opens or self.rejects else 0.0

    @property
    def failed_share(self) -> float:
        return self.failed / self.connects if self.connects else 0.0

    def figures(self) -> dict[str, Any]:
        return {**asdict(self), "rejects_per_1000": round(self.rejects_per_1000, 2)}


@dataclass
class Verdict:
    verdict: str
    reason: str
    wave: Tally
    controls: Tally
    before: Tally
    # Hosts whose samples could not be compared, with the reason: they count neither for nor against.
    invalid: dict[str, str] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        groups = {"wave": self.wave, "controls": self.controls, "before": self.before}
        return {name: group.figures() for name, group in groups.items()}


# Recording


def sample_of_facts(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """The watched counters in facts of `net_facts`."""
    if "counters" not in facts or "boot_id" not in facts:
        return None
    return {
        "time": facts.get("uptime_seconds", 0.0),
        "boot_id": facts["boot_id"],
        "counters": flatten(facts["counters"]),
    }


def begin(
    wave: int, started: Mapping[str, Any], controls: Mapping[str, Any], priors: Mapping[str, Any], now: float
) -> Observations:
    """Observations of a wave, from results of `sysctl_trial` on its hosts and of `sysctl_trial_info` on the controls.

    Hosts that had the set already take no part.
    """
    hosts = {}
    for name, result in started.items():
        if result.get("changed"):
            baseline = result.get("baseline") or []
            hosts[name] = _subject(baseline[-1] if baseline else None, priors.get(name))
    return {
        "wave": wave,
        "began": now,
        "hosts": hosts,
        "controls": {name: _subject(result.get("sample"), None) for name, result in controls.items()},
        "looks": [],
    }


def add_look(
    observations: Observations,
    looked: Mapping[str, Any],
    controls: Mapping[str, Any],
    probes: Mapping[str, Any],
    now: float,
) -> Observations:
    """The observations with one more look: results of `sysctl_trial_info` and of `rollout_probe`."""
    return {
        **observations,
        "hosts": {
            name: _look(subject, looked.get(name, {}), on_trial=True) for name, subject in observations["hosts"].items()
        },
        "controls": {
            name: _look(subject, controls.get(name, {}), on_trial=False)
            for name, subject in observations["controls"].items()
        },
        "looks": [*observations["looks"], {"elapsed": round(now - observations["began"], 1), "probes": dict(probes)}],
    }


def _subject(before: Any, prior: Any) -> dict[str, Any]:
    return {"prior": prior, "before": _bare(before), "samples": [], "lost": None, "guard": None}


def _look(subject: Mapping[str, Any], result: Mapping[str, Any], on_trial: bool) -> dict[str, Any]:
    lost = guard = None
    if "sample" not in result:
        lost = str(result.get("msg") or "it did not answer").strip()
    elif on_trial and not result.get("pending"):
        history = result.get("history") or [{}]
        guard = str(history[0].get("reason") or "the trial is gone")
    return {
        **subject,
        "samples": [*subject["samples"], _bare(result.get("sample"))],
        "lost": lost,
        "guard": subject["guard"] or guard,
    }


def _bare(sample: Any) -> dict[str, Any] | None:
    return {name: sample[name] for name in ("time", "boot_id", "counters")} if sample else None


# Judging


def judge(observations: Observations, limits: Limits) -> Verdict:
    """The verdict on all looks so far."""
    invalid: dict[str, str] = {}
    each = {name: _tally(observations, [name], "hosts", invalid) for name in observations["hosts"]}
    wave = _tally(observations, observations["hosts"], "hosts", {})
    controls = _tally(observations, observations["controls"], "controls", invalid)
    before = _before(observations)
    verdict, reason = _decide(observations, limits, each, wave, controls, before)
    return Verdict(verdict, reason, wave, controls, before, invalid)


def _decide(
    observations: Observations, limits: Limits, each: Mapping[str, Tally], wave: Tally, controls: Tally, before: Tally
) -> tuple[str, str]:
    """The plain thresholds. Whatever replaces them takes and returns the same."""
    lost = {name: host["lost"] for name, host in observations["hosts"].items() if host["lost"]}
    if lost:
        return ROLL_BACK, f"lost {_named(lost)}; {_compare(wave, controls, before)}"
    tripped = {name: host["guard"] for name, host in observations["hosts"].items() if host["guard"]}
    if tripped:
        return ROLL_BACK, f"the guard rolled back {_named(tripped)}; {_compare(wave, controls, before)}"

    # A reference with hardly any connections says nothing.
    references = [group for group in (controls, before) if group.opens >= limits.min_opens]
    reference = max(references, key=lambda group: group.rejects_per_1000, default=Tally())
    for name, tally in [*each.items(), ("the wave", wave)]:
        if exceeds(
            tally.rejects,
            tally.opens,
            reference.rejects,
            reference.opens,
            limits.min_rejects,
            limits.max_rejects_per_1000,
            limits.max_ratio,
        ):
            return ROLL_BACK, f"too many timestamp rejects on {name}: {_compare(tally, controls, before)}"

    excess = wave.failed - wave.connects * controls.failed_share
    if wave.failed_share * 100 > limits.max_failed_connects_percent and excess >= limits.min_failed_connects:
        return ROLL_BACK, f"too many failed connects: {_compare(wave, controls, before)}"
    if wave.opens < limits.min_opens:
        return INCONCLUSIVE, (
            f"only {count(wave.opens, 'connection')} of others in the soak, at least {limits.min_opens} are needed: "
            f"{_compare(wave, controls, before)}"
        )
    return PROMOTE, _compare(wave, controls, before)


def _tally(observations: Observations, names: Iterable[str], group: str, invalid: dict[str, str]) -> Tally:
    """From the change to the last look."""
    total = Tally()
    for name in names:
        subject = observations[group][name]
        total.hosts += 1
        probes = [look["probes"].get(name, {}) for look in observations["looks"]]
        total.connects += sum(probe.get("attempts", 0) for probe in probes)
        total.slow += sum(probe.get("slow", 0) for probe in probes)
        total.failed += sum(probe.get("failed", 0) for probe in probes)
        last = subject["samples"][-1] if subject["samples"] else None
        rise = increments(subject["before"], last) if subject["before"] and last else None
        if rise is None:
            invalid[name] = subject["lost"] or "its counters cannot be compared (rebooted, or reset)"
            continue
        # Our own connections are no traffic: the probes, and one SSH connection a look.
        own = sum(probe.get("ok", 0) for probe in probes) + len(probes)
        total.opens += max(0, opens(rise) - own)
        total.rejects += timestamp_rejects(rise)
    return total


def _before(observations: Observations) -> Tally:
    """The wave's own time before the change."""
    total = Tally(hosts=len(observations["hosts"]))
    for subject in observations["hosts"].values():
        rise = increments(subject["prior"], subject["before"]) if subject["prior"] and subject["before"] else None
        if rise:
            total.opens += opens(rise)
            total.rejects += timestamp_rejects(rise)
    return total


# Saying


def progress(observations: Observations, verdict: Verdict) -> str:
    """One line while a wave soaks."""
    elapsed = observations["looks"][-1]["elapsed"] if observations["looks"] else 0
    line = f"+{elapsed:.0f} s  wave {_rates(verdict.wave)}"
    return f"{line} | controls {_rates(verdict.controls)}" if verdict.controls.hosts else line


def _compare(tally: Tally, controls: Tally, before: Tally) -> str:
    beside = []
    if controls.hosts:
        beside.append(f"controls {controls.rejects_per_1000:.1f}")
    if before.opens:
        beside.append(f"before {before.rejects_per_1000:.1f}")
    text = f"{count(tally.rejects, 'timestamp reject')} in {count(tally.opens, 'connection')}"
    text += f", {tally.rejects_per_1000:.1f} per 1,000" + (f" ({', '.join(beside)})" if beside else "")
    if tally.connects:
        text += f"; {tally.failed} of {tally.connects} connects failed, {tally.slow} slow"
        if controls.connects:
            text += f" (controls {controls.failed} of {controls.connects}, {controls.slow} slow)"
    return text


def _rates(tally: Tally) -> str:
    text = f"{tally.rejects_per_1000:.1f} rejects per 1,000 of {tally.opens} opens"
    return f"{text}, {tally.failed} of {tally.connects} connects failed" if tally.connects else text


def _named(reasons: Mapping[str, str]) -> str:
    shown = [f"{name} ({reason})" for name, reason in list(reasons.items())[:5]]
    more = len(reasons) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
