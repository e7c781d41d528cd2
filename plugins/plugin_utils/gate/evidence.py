# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of a wave: each group of counters, on the wave as a whole, on its hosts, on observers and on services.

alpha is shared equally by the groups, within a group by these kinds, and within a kind by its subjects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._evidence import (
    RateTest,
    interval,
    per_thousand,
    shared_alpha,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.counting import Counted, Pair, Track, added
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.groups import COUNTERS, Group, Limits, groups

WAVE = "wave"
HOST = "host"
OBSERVER = "observer"
PROBE = "probe"

# Evidence so far on its way to the limit, as its logarithm goes, is on the way.
_GATHERING = 0.5


@dataclass
class Test:
    group: Group
    kind: str
    subject: str
    track: Track
    # None: judged alone, against its own time before.
    beside: Track | None
    bursts: Callable[[str, str | None], float]
    alpha: float
    limits: Limits

    @property
    def dispersion(self) -> float:
        return self.bursts(self.group.name, self.subject if self.kind == HOST else None)

    @cached_property
    def seen(self) -> Pair:
        return self.track.total(self.group.name)

    @cached_property
    def before(self) -> Pair:
        return self.track.total_before(self.group.name)

    @cached_property
    def rates(self) -> Any:
        """The test over all looks so far."""
        name = self.group.name
        test = RateTest(
            self.before,
            self.beside.total_before(name) if self.beside else None,
            self.dispersion,
            self.alpha,
            self.limits.ratio,
            self.group.floor_per_1000,
            self.group.min_events,
            self.track.usual.get(name),
            self.beside.usual.get(name) if self.beside else None,
        )
        beside = self.beside.soak[name] if self.beside else [None] * len(self.track.soak[name])
        meanwhile: Pair = (0, 0)
        for pair, of_beside in zip(self.track.soak[name], beside, strict=True):
            meanwhile = added([meanwhile, of_beside or (0, 0)])
            # Polls of which nothing is known are counted, so that their number is that of the look.
            test.add(*(pair or (0, 0)), *(meanwhile if pair else ()))
            if pair:
                meanwhile = (0, 0)
        return test

    @property
    def exceeded(self) -> bool:
        """Whether there is enough evidence of a rise, or was at an earlier look."""
        return self.seen[0] >= self.group.min_events and bool(self.rates.exceeded)

    @property
    def log_evidence(self) -> float:
        if self.seen[0] < self.group.min_events:
            return 0.0
        # What was exceeded once stays so.
        return max(float(self.rates.log_evidence()), self.log_limit if self.exceeded else 0.0)

    @property
    def log_limit(self) -> float:
        return -math.log(self.alpha)

    @property
    def share(self) -> float:
        """How far the evidence has come towards its limit, 1 being there. A product of odds goes by its logarithm."""
        return self.log_evidence / self.log_limit

    @property
    def required(self) -> bool:
        """Whether promotion waits for proof that it is no worse. It waits anyway while evidence gathers."""
        return self.kind == WAVE and self.group.promote_per_1000 is not None

    @cached_property
    def no_worse(self) -> bool:
        if self.share > _GATHERING:
            return False
        if self.group.promote_per_1000 is None or not self.required:
            return True
        limits = self.limits
        return bool(self.rates.no_worse(limits.beta, limits.promote_ratio, self.group.promote_per_1000))

    @cached_property
    def needed(self) -> int | None:
        """Opens still needed for that, if none of them brings an event."""
        if self.no_worse or not self.required or self.share > _GATHERING or not self.rates.tolerable:
            return None
        return int(self.rates.opens_needed(self.limits.beta, self.group.promote_per_1000))

    def figures(self) -> dict[str, Any]:
        rates, name = self.rates, self.group.name
        expected = rates.expected()[0]
        upper = rates.ratio_upper(self.limits.beta / 2)
        beside = self.beside
        return {
            "group": name,
            "kind": self.kind,
            "subject": self.subject,
            **self._rate(self.seen),
            "before": self._rate(self.before),
            "controls": self._rate(beside.total(name)) if beside else None,
            "controls_before": self._rate(beside.total_before(name)) if beside else None,
            "expected": round(expected, 3),
            "ratio": round(self.seen[0] / expected, 3) if expected else None,
            "ratio_upper": round(upper, 3) if upper < math.inf else None,
            "dispersion": round(self.dispersion, 2),
            "evidence": odds(self.log_evidence),
            "limit": odds(self.log_limit),
            "share": round(max(0.0, self.share), 3),
            "exceeded_at": rates.state()["exceeded_at"],
            "no_worse": self.no_worse,
            "required": self.required,
            "needed": self.needed,
        }

    def _rate(self, pair: Pair) -> dict[str, Any]:
        events, opened = pair
        low, high = interval(events, opened, 1 - self.limits.beta, self.dispersion)
        return {
            "events": events,
            "opens": opened,
            "per_1000": round(per_thousand(events, opened), 3) if opened or events else None,
            "interval": [round(1000 * low, 3), round(1000 * high, 3) if high < math.inf else None],
        }


def odds(log_evidence: float) -> float:
    """How much likelier a rise is than none; as far as a number of people goes."""
    return round(math.exp(min(log_evidence, math.log(1e9))), 1)


def tests(counted: Counted, limits: Limits) -> list[Test]:
    found = []
    # Worked out where it matters only: most counters stand still.
    of_all, of_each = cache(counted.dispersion), cache(counted.dispersions)

    def bursts(group: str, host: str | None) -> float:
        return max(of_all(group), of_each(group).get(host, 1.0)) if host is not None else of_all(group)

    watched = [(group, _parties(counted, group)) for group in groups(limits)]
    watched = [(group, parties) for group, parties in watched if parties]
    for group, parties in watched:
        of_kind = shared_alpha(shared_alpha(limits.alpha, len(watched)), len(parties))
        for kind, subjects in parties.items():
            beside = counted.beside if kind in (WAVE, HOST) and any(counted.beside.soak[group.name]) else None
            alpha = shared_alpha(of_kind, len(subjects))
            found += [Test(group, kind, name, track, beside, bursts, alpha, limits) for name, track in subjects.items()]
    return found


def _parties(counted: Counted, group: Group) -> dict[str, Mapping[str, Track]]:
    parties: dict[str, Mapping[str, Track]] = {
        WAVE: {"the wave": counted.wave},
        # A host that is the wave is judged as the wave.
        HOST: counted.hosts if len(counted.hosts) > 1 else {},
        OBSERVER: counted.observers if group.name in COUNTERS else {},
        PROBE: counted.services if group.name not in COUNTERS else {},
    }
    watched = {
        kind: {name: track for name, track in subjects.items() if any(track.soak[group.name])}
        for kind, subjects in parties.items()
    }
    return {kind: subjects for kind, subjects in watched.items() if subjects}
