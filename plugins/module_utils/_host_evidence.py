# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host's samples say of a trial, when there is no other host to compare it with.

Pure: the same samples lead to the same words, so a guard that was started anew goes on where the last one was.
"""

import math

from ._evidence import RateTest, dispersion, increments, opens, per_thousand, timestamp_rejects

# So many connections just before the change are a reference; fewer than the least are an anecdote.
_ENOUGH_OPENS = 200
_LEAST_OPENS = 20


class HostEvidence:
    """Fed with samples {counters, boot_id, phase}; `against` is the sentence that ends a trial, or None."""

    def __init__(self, limits):
        self.limits = limits
        self.against = None
        self._baseline = []  # Samples before the first write.
        self._first = None  # The last one of them: what happens during the write counts.
        self._last = None
        self._test = None

    def add(self, sample):
        if sample["phase"] == "armed":
            self._baseline.append(sample)
        elif self.limits["enabled"] and self.against is None:
            if self._test is None:
                self._begin(sample)
            rise = increments(self._last, sample)
            # Samples that cannot be compared are unknown, and unknown is not zero.
            if rise is not None:
                self._test.add(timestamp_rejects(rise), opens(rise))
                self.against = self._above_limit(sample) or self._risen()
        self._last = sample

    def figures(self):
        """Numbers behind `against`, for the history."""
        return dict(self._test.figures(), evidence=_odds(self._test))

    def _begin(self, sample):
        self._first = self._last = self._baseline[-1] if self._baseline else sample
        polls = [increments(one, other) for one, other in zip(self._baseline, self._baseline[1:])]
        series = [(timestamp_rejects(rise), opens(rise)) for rise in polls if rise is not None]
        just_now = (sum(events for events, _opens in series), sum(opened for _events, opened in series))
        since_boot = (timestamp_rejects(self._first["counters"]), opens(self._first["counters"]))
        # Where just now was little traffic, the worse of the two: the days since boot may have been calmer than today.
        references = [pair for pair in (just_now, since_boot) if pair[1] >= _LEAST_OPENS]
        if just_now[1] >= _ENOUGH_OPENS:
            references = [just_now]
        before = max(references, key=lambda pair: per_thousand(*pair)) if references else just_now
        self._test = RateTest(
            before,
            dispersion=dispersion([series]),
            alpha=self.limits["alpha"],
            ratio=self.limits["max_ratio"],
            floor_per_1000=self.limits["max_per_1000"],
            min_events=self.limits["min_events"],
        )

    def _above_limit(self, sample):
        rise = increments(self._first, sample) or {}
        for name, most in sorted(self.limits["max_rise"].items()):
            if rise.get(name, 0) > most:
                return "%s rose by %d (limit %d)" % (name, rise[name], most)
        return None

    def _risen(self):
        if not self._test.exceeded:
            return None
        figures = self._test.figures()
        during, before = figures["group"], figures["before"]
        return (
            "%d timestamp rejects in %d new connections: %.0f per 1,000, before the trial %.1f; %s to 1 for a rise"
            % (
                during["events"],
                during["opens"],
                per_thousand(during["events"], during["opens"]),
                before["per_1000"] or 0.0,
                _odds(self._test),
            )
        )


def _odds(test):
    """How much likelier a rise is than none, as far as a number of people goes."""
    return int(math.exp(min(test.figures()["log_evidence"], math.log(1e9))))
