# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a wave: promote, roll_back or inconclusive. Pure functions over observations.

Observations are plain data that a rollout stores, so that a stored rollout can be judged again:

    wave: 1
    began: seconds since 1970
    hosts:    {name: {prior: sample, before: sample, samples: [sample or null], lost: why or null, guard: why or null,
               guard_evidence: bool}}
    controls: {name: {prior: null, before: sample, samples: [...], lost: ..., guard: null, guard_evidence: false}}
    looks:    [{elapsed: seconds, probes: {host: {attempts, ok, slow, failed, ...}}}]

A sample is what `sysctl_trial_info` returns: {time, boot_id, counters}. `prior` is from the facts, `before` from just
before the change, and there is one of `samples` for each of `looks`.
"""

from __future__ import annotations

import math
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
from ansible_collections.nettune.kernel.plugins.plugin_utils.account import count, failures

Observations = dict[str, Any]

PROMOTE = "promote"
ROLL_BACK = "roll_back"
INCONCLUSIVE = "inconclusive"

# Where connects to the controls fail too, that much higher odds of a failure, and a chance that small, are needed.
_FAILED_ODDS_RATIO = 1.5
_FAILED_CHANCE = 0.02


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
    # Whether it speaks against the set itself. A lost host or a missed deadline does not.
    evidence: bool = False
    # Hosts whose samples could not be compared, with the reason.
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
        "controls": {name: _control(result) for name, result in controls.items()},
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
    return {
        "prior": prior,
        "before": _bare(before),
        "samples": [],
        "lost": None,
        "guard": None,
        "guard_evidence": False,
    }


def _control(result: Mapping[str, Any]) -> dict[str, Any]:
    return {**_subject(result.get("sample"), None), "lost": _lost(result)}


def _look(subject: Mapping[str, Any], result: Mapping[str, Any], on_trial: bool) -> dict[str, Any]:
    # Who is lost is not asked again.
    seen = {
        **subject,
        "samples": [*subject["samples"], _bare(result.get("sample"))],
        "lost": _lost(result) if result else subject["lost"] or _lost(result),
    }
    if on_trial and not seen["lost"] and not seen["guard"] and not result.get("pending"):
        ended = (result.get("history") or [{}])[0]
        seen["guard"] = str(ended.get("reason") or "the trial is gone")
        seen["guard_evidence"] = bool(ended.get("by_evidence"))
    return seen


def _lost(result: Mapping[str, Any]) -> str | None:
    return None if "sample" in result else str(result.get("msg") or "it did not answer").strip()


def _bare(sample: Any) -> dict[str, Any] | None:
    return {name: sample[name] for name in ("time", "boot_id", "counters")} if sample else None


# Judging


def judge(observations: Observations, limits: Limits) -> Verdict:
    """The verdict on all looks so far."""
    invalid: dict[str, str] = {}
    invalid_controls: dict[str, str] = {}
    each = {name: _tally(observations, [name], "hosts", invalid) for name in observations["hosts"]}
    wave = _tally(observations, observations["hosts"], "hosts", {})
    controls = _tally(observations, observations["controls"], "controls", invalid_controls)
    before = _before(observations)
    verdict, reason, evidence = _decide(observations, limits, each, wave, controls, before, invalid)
    return Verdict(verdict, reason, wave, controls, before, evidence, {**invalid, **invalid_controls})


def _decide(
    observations: Observations,
    limits: Limits,
    each: Mapping[str, Tally],
    wave: Tally,
    controls: Tally,
    before: Tally,
    invalid: Mapping[str, str],
) -> tuple[str, str, bool]:
    """Verdict, reason, and whether there is evidence against the set. The plain thresholds."""
    tripped = {name: host["guard"] for name, host in observations["hosts"].items() if host["guard"]}
    by_evidence = any(host.get("guard_evidence") for host in observations["hosts"].values())
    lost = {name: host["lost"] for name, host in observations["hosts"].items() if host["lost"]}
    if lost:
        return ROLL_BACK, f"lost {_named(lost)}; {_compare(wave, controls, before)}", by_evidence
    if tripped:
        return ROLL_BACK, f"the guard rolled back {_named(tripped)}; {_compare(wave, controls, before)}", by_evidence

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
            return ROLL_BACK, f"too many timestamp rejects on {name}: {_compare(tally, controls, before)}", True
        if _fails_connects(tally, controls, limits, 1 if tally is wave else len(each)):
            return ROLL_BACK, f"too many failed connects to {name}: {_compare(tally, controls, before)}", True

    if invalid:
        return INCONCLUSIVE, f"nothing is known of {_named(invalid)}; {_compare(wave, controls, before)}", False
    if wave.opens < limits.min_opens:
        return (
            INCONCLUSIVE,
            f"only {count(wave.opens, 'connection')} of others in the soak, at least {limits.min_opens} are needed: "
            f"{_compare(wave, controls, before)}",
            False,
        )
    return PROMOTE, _compare(wave, controls, before), False


def _fails_connects(tally: Tally, controls: Tally, limits: Limits, among: int) -> bool:
    """Whether more connects fail than are tolerated, and than what fails at the controls too explains.

    `among` is how many are asked: of many hosts, one has bad luck.
    """
    excess = tally.failed - tally.connects * controls.failed_share
    if tally.failed_share * 100 <= limits.max_failed_connects_percent or excess < limits.min_failed_connects:
        return False
    if not controls.failed:
        return True
    good, good_controls = tally.connects - tally.failed, controls.connects - controls.failed
    return (
        tally.failed * good_controls > _FAILED_ODDS_RATIO * good * controls.failed
        and _chance(tally, controls) * among < _FAILED_CHANCE
    )


def _chance(tally: Tally, controls: Tally) -> float:
    """How likely so many of the failures of both hit the tally by chance (Fisher's exact test, one-sided)."""
    failed, connects = tally.failed + controls.failed, tally.connects + controls.connects
    whole = _log_choose(connects, failed)
    return sum(
        math.exp(_log_choose(tally.connects, hit) + _log_choose(controls.connects, failed - hit) - whole)
        for hit in range(tally.failed, min(tally.connects, failed) + 1)
    )


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def blame(started: Mapping[str, Any], judged: Mapping[str, Any], confirmed: Mapping[str, Any]) -> tuple[str, bool]:
    """Why a wave is rolled back, and whether that is evidence against the set: its verdict, or whatever else failed."""
    if judged.get("verdict") and judged.get("failed"):
        return str(judged["reason"]), bool(judged.get("evidence"))
    return "; ".join(failures(started, confirmed)) or "the wave failed, though not by its verdict", False


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
