# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From tests to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.gate import sentences
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.counting import Counted, Track, count
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.evidence import HOST, Test, tests
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.groups import COUNTERS, Limits
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.observations import was_heard

PROMOTE = "promote"
ROLL_BACK = "roll_back"
INCONCLUSIVE = "inconclusive"

# Of a large wave, so many hosts of each group are told of in full: those that say most.
_HOSTS_TOLD = 20


@dataclass
class Verdict:
    """What is to be thought of a wave after the looks so far."""

    verdict: str
    reason: str
    # Whether it speaks against the set itself. A lost host or a missed deadline does not.
    evidence: bool
    # Hosts whose samples could not be used, with the reason.
    excluded: dict[str, str]
    # Hosts of the wave and observers that are not known to the end of the soak, with the reason.
    unknown: dict[str, str]
    counted: Counted
    tests: list[Test]

    @cached_property
    def strongest(self) -> Test | None:
        """The test that is nearest to its limit."""
        return max(self.tests, key=lambda test: (test.share, test.kind != HOST), default=None)

    @property
    def left_out(self) -> dict[str, str]:
        """Of `excluded`, those beside the wave of which the reason does not tell."""
        told = {*self.counted.hosts, *(self.unknown if self.verdict == INCONCLUSIVE else ())}
        return {name: why for name, why in self.excluded.items() if name not in told}

    def figures(self) -> dict[str, Any]:
        """All numbers, as JSON can hold them."""
        return {
            "tests": [test.figures() for test in self._told()],
            "hosts": {name: _host_figures(track) for name, track in self.counted.hosts.items()},
            "excluded": self.excluded,
        }

    def _told(self) -> list[Test]:
        told = []
        for (_group, kind), same in groupby(self.tests, key=lambda test: (test.group.name, test.kind)):
            subjects = list(same)
            if kind == HOST and len(subjects) > _HOSTS_TOLD:
                subjects = sorted(subjects, key=lambda test: (-test.share, -test.seen[0]))[:_HOSTS_TOLD]
            told += subjects
        return told


def judge(observations: Mapping[str, Any], limits: Limits) -> Verdict:
    """The verdict on all looks so far."""
    counted = count(observations)
    tried = tests(counted, limits) if observations["looks"] else []
    excluded = {
        name: track.excluded
        for tracks in (counted.hosts, counted.controls, counted.observers)
        for name, track in tracks.items()
        if track.excluded
    }
    unknown = _unknown(observations, counted)
    verdict, reason, evidence = _decide(observations, limits, counted, tried, unknown)
    return Verdict(verdict, reason, evidence, excluded, unknown, counted, tried)


def _unknown(observations: Mapping[str, Any], counted: Counted) -> dict[str, str]:
    """Silence is not safety: neither that of the wave nor that of who was to tell what it feels."""
    watched = {**counted.hosts, **{name: counted.observers[name] for name in was_heard(observations)}}
    return {name: track.excluded or "" for name, track in watched.items() if not track.known}


def _decide(
    observations: Mapping[str, Any], limits: Limits, counted: Counted, tried: list[Test], unknown: Mapping[str, str]
) -> tuple[str, str, bool]:
    """Verdict, reason, and whether there is evidence against the set."""
    hosts = observations["hosts"]
    seen = sentences.summary(tried)
    found = [test for test in tried if test.exceeded]
    against = sentences.evidence(max(found, key=lambda test: test.share)) if found else None
    speaks = bool(found) or any(host.get("guard_evidence") for host in hosts.values())
    tripped = {name: host["guard"] for name, host in hosts.items() if host["guard"]}
    lost = {name: host["lost"] for name, host in hosts.items() if host["lost"]}
    if lost:
        return ROLL_BACK, f"lost {sentences.named(lost)}; {against or seen}", speaks
    if tripped:
        return ROLL_BACK, f"the guard rolled back {sentences.named(tripped)}; {against or seen}", speaks
    if against:
        return ROLL_BACK, against, True

    if unknown:
        return INCONCLUSIVE, f"not enough is known of {sentences.named(unknown)}; {seen}", False
    missing = sentences.missing([test for test in tried if not test.no_worse])
    # Silence is not safety.
    silent = limits.min_opens - counted.wave.total(COUNTERS[0])[1]
    if silent > 0 or missing or not tried:
        missing = missing or [f"{silent} more connections of others are needed"]
        return INCONCLUSIVE, f"{'; '.join(missing)}; {seen}", False
    return PROMOTE, seen, False


def _host_figures(track: Track) -> dict[str, int]:
    failed, attempts = track.total("connects")
    return {
        "opens": track.total(COUNTERS[0])[1],
        **{group: track.total(group)[0] for group in COUNTERS},
        "connects": attempts,
        "failed": failed,
        "slow": track.total("slow_connects")[0] - failed,
    }
