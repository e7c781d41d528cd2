# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording what is seen of a wave, in a shape that JSON can hold.

wave: 1
began: seconds since 1970, the moment of the change
hosts:     {name: subject}   of the wave, those that really changed
controls:  {name: subject}
observers: {name: subject}
probes_before: [tally]       while nothing had changed
looks: [{elapsed: seconds since the change, probes: [tally]}]

subject: {before: [sample],  oldest first; what happens from the last one on is the soak's
          samples: [sample or null],  one for each look
          lost: why nothing more is to be had from it or null, guard: why or null, guard_evidence: bool,
          changed: bool}     of a control: an earlier wave changed it
sample:  {time, boot_id, counters}; the same time again is no new sample
tally:   {probe, source, host: inventory host that was reached or null, attempts, ok, slow, failed, ...}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._counters import flatten
from ansible_collections.nettune.kernel.plugins.plugin_utils import account

Observations = dict[str, Any]

# Times of boot less than so many seconds apart are of one boot.
_CLOCK_WAS_SET = 60

_ON_ANOTHER_TRIAL = "another trial is pending on it"


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
    wave: int,
    started: Mapping[str, Any],
    controls: Mapping[str, Any],
    priors: Mapping[str, Any],
    now: float,
    *,
    observers: Mapping[str, Any] | None = None,
    probes_before: Iterable[Mapping[str, Any]] = (),
    earlier: Iterable[str] = (),
) -> Observations:
    """Observations of a wave, from results of `sysctl_trial` on its hosts and of looks at the others.

    Hosts that had the set already take no part. `priors` are earlier samples of any of them.
    """
    hosts = {
        name: _subject([*_samples(priors.get(name)), *(result.get("baseline") or [])])
        for name, result in started.items()
        if result.get("changed")
    }
    changed = set(earlier)
    return {
        "wave": wave,
        "began": now,
        "hosts": hosts,
        "controls": {
            name: {**_bystander(result, priors.get(name)), "changed": name in changed}
            for name, result in controls.items()
        },
        "observers": {name: _bystander(result, priors.get(name)) for name, result in (observers or {}).items()},
        "probes_before": list(probes_before),
        "looks": [],
    }


def add_look(
    observations: Observations,
    looked: Mapping[str, Any],
    controls: Mapping[str, Any],
    probes: Iterable[Mapping[str, Any]],
    now: float,
    *,
    observers: Mapping[str, Any] | None = None,
) -> Observations:
    """The observations with one more look: results of looks at all hosts, and tallies of `rollout_probe`."""
    seen = {"hosts": looked, "controls": controls, "observers": observers or {}}
    return {
        **observations,
        **{
            role: {
                name: _look(subject, results.get(name, {}), on_trial=role == "hosts")
                for name, subject in observations[role].items()
            }
            for role, results in seen.items()
        },
        "looks": [
            *observations["looks"],
            {"elapsed": round(now - observations["began"], 1), "probes": list(probes)},
        ],
    }


def was_heard(observations: Mapping[str, Any]) -> list[str]:
    """The observers that could tell how they were before the change, and that nobody else disturbed since."""
    return [
        name
        for name, subject in observations["observers"].items()
        if subject["before"] and subject["lost"] != _ON_ANOTHER_TRIAL
    ]


def _subject(before: Sequence[Any]) -> dict[str, Any]:
    known: list[dict[str, Any]] = []
    for sample in before:
        if sample:
            known.append(_bare(sample, known[-1] if known else None))
    return {
        "before": known,
        "samples": [],
        "lost": None,
        "guard": None,
        "guard_evidence": False,
    }


def _bystander(result: Mapping[str, Any], prior: Any) -> dict[str, Any]:
    lost = _lost(result) or _disturbed(result)
    # Who is silent already when the change comes has nothing to tell of the time before it.
    return {**_subject([] if lost else [*_samples(prior), result.get("sample")]), "lost": lost}


def _samples(prior: Any) -> list[Any]:
    """None, one sample, or several."""
    if not prior:
        return []
    return [prior] if isinstance(prior, Mapping) else list(prior)


def _look(subject: Mapping[str, Any], result: Mapping[str, Any], on_trial: bool) -> dict[str, Any]:
    # Who is lost is not asked again.
    lost = subject["lost"] or _lost(result) or (None if on_trial else _disturbed(result))
    sample = None if lost else result.get("sample")
    last = next((known for known in reversed(subject["before"] + subject["samples"]) if known), None)
    seen = {**subject, "samples": [*subject["samples"], _bare(sample, last) if sample else None], "lost": lost}
    # Prometheus knows of no trials: nobody asked, and confirming would refuse.
    if on_trial and not lost and not seen["guard"] and not result.get("pending", True):
        ended = (result.get("history") or [{}])[0]
        seen["guard"] = str(ended.get("reason") or "the trial is gone")
        seen["guard_evidence"] = bool(ended.get("by_evidence"))
    return seen


def _lost(result: Mapping[str, Any]) -> str | None:
    if "sample" in result:
        return None
    said = None if account.timed_out(result) else result.get("msg")
    return str(said or "it did not answer").strip()


def _disturbed(result: Mapping[str, Any]) -> str | None:
    """Of a host that the wave does not change: why it is not untouched."""
    return _ON_ANOTHER_TRIAL if result.get("pending") else None


def _bare(sample: Mapping[str, Any], last: Mapping[str, Any] | None) -> dict[str, Any]:
    """With the boot id by which the host is known."""
    bare = {name: sample[name] for name in ("time", "boot_id", "counters")}
    if last and _is_same_boot(last["boot_id"], bare["boot_id"]):
        bare["boot_id"] = last["boot_id"]
    return bare


def _is_same_boot(first: str, second: str) -> bool:
    """Prometheus knows a boot by its time only, and that moves whenever the host's clock is set."""
    return first.isdecimal() and second.isdecimal() and abs(int(first) - int(second)) < _CLOCK_WAS_SET
