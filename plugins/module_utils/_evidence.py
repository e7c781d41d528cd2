# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic on counters that the guard on the host and the gate on the controller share. Pure: no clock, no files.

docs/statistics.md explains the test and shows what bench/gate.py measured of it.
"""

import math

from ._counters import OPENS, TIMESTAMP_REJECTS


def increments(before, after):
    """What each counter rose by between two samples of one host, or None where the two cannot be compared.

    They cannot after a reboot, when the kernel shows other counters, or when one went back: nothing is known then,
    which is not zero.
    """
    if before["boot_id"] != after["boot_id"] or set(before["counters"]) != set(after["counters"]):
        return None
    rise = {name: value - before["counters"][name] for name, value in after["counters"].items()}
    return None if any(value < 0 for value in rise.values()) else rise


def timestamp_rejects(rise):
    """Segments and SYNs that were thrown away for their timestamps; of the counters that this kernel has."""
    return sum(rise.get(name, 0) for name in TIMESTAMP_REJECTS)


def opens(rise):
    """Connections accepted and opened: what the rejects are set against."""
    return sum(rise.get(name, 0) for name in OPENS)


def per_thousand(events, exposure):
    """Events per 1,000 opens. Rejects without any open count as if there had been one: they are damage, not silence."""
    return 1000.0 * events / max(exposure, 1)


# Is the rate too high? A test that may be looked at after every poll.

# What is believed before anything was seen, as events of a gamma prior.
_OWN = 0.5  # a group's rate: half an event at the rate of all groups together
_USUAL = 2.0  # the same where it is known from long ago: two events, give or take 70 percent
_LOW = 0.2  # part of the floor below which rates are alike
_COMMON = 4.0  # how everybody's rate changes with time: not at all, give or take a half
# Two hosts alike today are not so tomorrow: the log of their ratio wanders so far without a cause.
_DRIFT = 0.05
# Rises that the evidence is averaged over: so many steps, up to so many times the tolerated one.
_STEPS = 40
_SPAN = 5.0
# Bursts are believed to be small ones until so many observations say something else.
_DISPERSION = 1.5
_DISPERSION_WEIGHT = 6.0
# Bursts may last for several polls: the dispersion is that of the worst of these block lengths.
_BLOCKS = (1, 2, 4, 8)


class RateTest:
    """Whether a group of hosts has more events than `ratio` times what is expected, at `alpha` for all looks together.

    Expected is the group's own rate before the change, times what happened meanwhile to the controls' rate. Both are
    estimates from finite counts and count as such. Without controls the rate before is the reference alone.

    `usual` and `controls_usual` are what is known from longer ago, such as since boot: they say what a rate is likely
    to be where little was seen just before the change, and hardly matter where much was.

    Counts are pairs (events, opens). The state is plain numbers: the same polls lead to the same verdict.
    """

    def __init__(
        self,
        before,
        controls_before=None,
        dispersion=1.0,
        alpha=0.01,
        ratio=1.5,
        floor_per_1000=5.0,
        min_events=10,
        usual=None,
        controls_usual=None,
    ):
        if not (0 < alpha < 1 and ratio > 0 and dispersion >= 1 and floor_per_1000 >= 0):
            raise ValueError("alpha is in (0, 1), ratio above 0, dispersion at least 1, floor_per_1000 not negative")
        self._state = {
            "before": list(before),
            "controls_before": list(controls_before) if controls_before is not None else None,
            "usual": list(usual) if usual is not None else None,
            "controls_usual": list(controls_usual) if controls_usual is not None else None,
            "dispersion": float(dispersion),
            "alpha": alpha,
            "ratio": ratio,
            "floor_per_1000": floor_per_1000,
            "min_events": min_events,
            "polls": 0,
            "group": [0, 0],
            "controls": [0, 0],
            "worst_polls": [0, 0],
            # The group's opens in polls in which the controls had any, the controls' events as if they had had as many
            # opens in each poll, and the variance of these.
            "matched": [0, 0.0, 0.0],
            "exceeded_at": None,
        }
        self._beliefs = {}  # Follows from what was before.

    @classmethod
    def resumed(cls, state):
        """The test whose `state()` was stored."""
        test = cls(state["before"])
        test._state = {name: list(value) if isinstance(value, list) else value for name, value in state.items()}
        return test

    def state(self):
        """Everything, as JSON can hold it."""
        return {name: list(value) if isinstance(value, list) else value for name, value in self._state.items()}

    def add(self, events, exposure, control_events=0, control_exposure=0):
        """One more poll: increments since the last one. Returns whether there is enough evidence now, or was before."""
        if min(events, exposure, control_events, control_exposure) < 0:
            raise ValueError("increments are not negative")
        state = self._state
        state["polls"] += 1
        state["group"] = [state["group"][0] + events, state["group"][1] + exposure]
        state["controls"] = [state["controls"][0] + control_events, state["controls"][1] + control_exposure]
        state["worst_polls"] = sorted(state["worst_polls"] + [events])[1:]
        if control_exposure:
            weight = exposure / float(control_exposure)
            opens_, seen, variance = state["matched"]
            state["matched"] = [
                opens_ + exposure,
                seen + control_events * weight,
                variance + control_events * weight * weight,
            ]
        if state["exceeded_at"] is None and self.log_evidence() >= self.log_limit:
            state["exceeded_at"] = state["polls"]
        return self.exceeded

    def figures(self, confidence=0.95):
        """What the verdict stands on, for people and for the report."""
        state = self._state
        mean, _shape = self.expected()
        events = state["group"][0]
        groups = [("group", state["group"]), ("before", state["before"])]
        if state["controls_before"] is not None:
            groups += [("controls", state["controls"]), ("controls_before", state["controls_before"])]
        figures = {
            name: {
                "events": pair[0],
                "opens": pair[1],
                "per_1000": per_thousand(*pair) if sum(pair) else None,
                "interval_per_1000": [
                    _finite(1000 * limit) for limit in interval(pair[0], pair[1], confidence, self.dispersion)
                ],
            }
            for name, pair in groups
        }
        return dict(
            figures,
            polls=state["polls"],
            exceeded_at=state["exceeded_at"],
            dispersion=self.dispersion,
            expected=mean,
            ratio=events / mean if mean else None,
            ratio_upper=_finite(self.ratio_upper((1 - confidence) / 2)),
            tolerated_ratio=state["ratio"],
            floor_per_1000=state["floor_per_1000"],
            min_events=state["min_events"],
            log_evidence=self.log_evidence(),
            log_limit=self.log_limit,
        )

    def no_worse(self, beta=0.05, ratio=None, per_1000=None):
        """Whether it is shown, not only not disproved, that the rise is tolerable: by its ratio, or by its rate.

        By its rate: what was seen is tolerable, and a rate above `per_1000` is ruled out.

        False is not the opposite of no evidence against the change: it says that too little was seen. Where nothing
        happened, opens_needed() are needed.
        """
        state = self._state
        ratio = 2 * state["ratio"] if ratio is None else ratio
        low = self.tolerable and self.opens_needed(beta, per_1000) == 0
        return not self.exceeded and (low or self.ratio_upper(beta) <= ratio)

    @property
    def tolerable(self):
        """Whether the rate that was seen is, whatever else it may be: below the floor, or about what was expected."""
        events, exposure = self._state["group"]
        below_floor = per_thousand(events, exposure) <= self._state["floor_per_1000"]
        return below_floor or events <= self._state["ratio"] * self.expected()[0]

    def opens_needed(self, beta=0.05, per_1000=None):
        """So many more opens without any event show that the rate is tolerable."""
        state = self._state
        per_1000 = state["floor_per_1000"] if per_1000 is None else per_1000
        # Where nothing ever happened there were no bursts.
        dispersion = self.dispersion if self._any_events() else 1.0
        return max(0, opens_needed(per_1000, beta, dispersion, state["group"][0]) - state["group"][1])

    def _any_events(self):
        state = self._state
        groups = (state["group"], state["before"], state["controls"], state["controls_before"] or (0, 0))
        return any(events for events, _opens in groups)

    def ratio_upper(self, beta=0.05):
        """The rise over what is expected that is exceeded with probability beta only."""
        events = self._state["group"][0] / self.dispersion
        if self._state["matched"][0]:
            explanations = self._explanations()
        else:
            # Alone, nothing could ever be shown if the common rate might be any.
            rate, shape = self._before()
            explanations = [(self._exposure() * rate, 1.0 / (1.0 / shape + _DRIFT**2))]
        return min(rise_upper(events, mean, shape, beta) for mean, shape in explanations)

    @property
    def dispersion(self):
        return self._state["dispersion"]

    @property
    def exceeded(self):
        return self._state["exceeded_at"] is not None

    @property
    def log_limit(self):
        return -math.log(self._state["alpha"])

    def expected(self):
        """(events expected so far without a change, shape of the gamma distribution of that estimate).

        By the explanation that leaves the least evidence: the own rate before, or what happens to the controls.
        """
        events = self._counted() / self.dispersion
        mean, shape = min(
            self._explanations(), key=lambda each: log_evidence(events, each[0], each[1], self._state["ratio"])
        )
        return mean * self.dispersion, shape

    def _explanations(self):
        """(mean, shape) of the events by each way to explain them without a change, in units of the dispersion."""
        own = self._before()
        explanations = [self._as_before(*own)]
        if self._state["matched"][0]:
            explanations.append(self._as_beside(*own))
        return explanations

    def _before(self, group="before"):
        """(rate, shape) of a group before the change."""
        events, opens_ = self._tempered(group)
        believed, rate = self._belief(group)
        shape = events + believed
        return shape / (opens_ + believed / rate), shape

    def _tempered(self, group):
        return [number / self.dispersion for number in self._state[group] or (0, 0)]

    def _belief(self, group):
        """(events that it is worth, rate) before the time before: everybody's rate, or what the group's usually is.

        A rate that was near zero for long is no reason to overlook what was seen just now: the likelier of the two.
        """
        usual = self._state["usual" if group == "before" else "controls_usual"]
        if usual is None:
            return _OWN, self._everybodys_rate()
        if group not in self._beliefs:
            floor = max(self._state["floor_per_1000"] / 1000.0, 1e-9)
            beliefs = [(_OWN, self._everybodys_rate()), (_USUAL, (usual[0] + _OWN) / (usual[1] + _OWN / floor))]
            seen = self._tempered(group)
            self._beliefs[group] = max(beliefs, key=lambda belief: _log_likelihood(seen, *belief))
        return self._beliefs[group]

    def _everybodys_rate(self):
        """Where nobody had any event, or nobody was watched before, the one that nobody minds."""
        state = self._state
        pairs = [state["before"]]
        if state["controls_before"] is not None:
            pairs.append(state["controls_before"])
            if state["usual"] is None:
                pairs.append(state["controls"])
        floor = max(state["floor_per_1000"] / 1000.0, 1e-9)
        return max(sum(pair[0] for pair in pairs) / float(max(sum(pair[1] for pair in pairs), 1)), floor)

    def _exposure(self):
        return max(self._state["group"][1], 1) / self.dispersion

    def _as_before(self, rate, shape):
        """The own rate goes on, but for what changed at the controls as far as that is known."""
        common, common_shape = self._common_change()
        return self._exposure() * rate * common, 1.0 / (1.0 / shape + 1.0 / common_shape + _DRIFT**2)

    def _as_beside(self, rate, shape):
        """What happens to the controls happens here, as many times as often as before."""
        # Of two rates that are nearly zero the ratio says nothing: far below the floor all are alike.
        low = max(self._state["floor_per_1000"] / 1000.0 * _LOW, 1e-9)
        before, before_shape = self._before("controls_before")
        seen, opens_ = self._matched()
        now = (seen + _OWN) / (opens_ + _OWN / low)
        return (
            self._exposure() * now * max(rate, low) / max(before, low),
            1.0 / (1.0 / shape + 1.0 / before_shape + 1.0 / (seen + _OWN) + _DRIFT**2),
        )

    def _matched(self):
        """Events and opens of the controls, poll by poll weighed like the group's, as much as is known of them."""
        state = self._state
        opens_, seen, variance = state["matched"]
        # What is known is as much as the number of events that were counted, not as that number scaled.
        scale = (seen / variance if variance else state["controls"][1] / float(opens_)) / self.dispersion
        return seen * scale, opens_ * scale

    def _common_change(self):
        """(factor by which the controls' rate changed, shape of that estimate)."""
        state = self._state
        if state["controls_before"] is None or not state["matched"][0]:
            return 1.0, _COMMON
        rate, before = self._before("controls_before")
        seen, opens_ = self._matched()
        awaited = rate * opens_
        known = before / (before + max(seen, awaited))
        shape = _COMMON + known * seen
        return shape / (_COMMON + known * awaited), shape

    def _counted(self):
        """The events, those of the worst poll as if it had been the second worst: one burst is not a rate."""
        second, worst = self._state["worst_polls"]
        return self._state["group"][0] - (worst - second)

    def log_evidence(self):
        """Log of the evidence against each way to explain the events without a change: of the weakest."""
        state = self._state
        events = self._counted()
        rate_per_1000 = per_thousand(events, state["group"][1])
        if events < state["min_events"] or rate_per_1000 <= state["floor_per_1000"]:
            return 0.0
        events /= self.dispersion
        explanations = self._explanations()
        if any(events <= state["ratio"] * mean for mean, _shape in explanations):
            return 0.0
        return min(log_evidence(events, mean, shape, state["ratio"]) for mean, shape in explanations)


def _finite(limit):
    """JSON knows no infinity: no limit is null."""
    return None if limit == math.inf else limit


def _log_likelihood(seen, shape, rate):
    """Of (events, opens) where the rate is a gamma variable of that shape and mean; up to a constant."""
    events, opens_ = seen
    return (
        math.lgamma(events + shape)
        - math.lgamma(shape)
        - (events + shape) * math.log1p(opens_ * rate / shape)
        + events * math.log(rate / shape)
    )


def log_evidence(events, mean, shape, ratio):
    """Log of how much likelier the events are under rises above `ratio` than at it.

    Events are Poisson around `mean` times the rise, and the mean is uncertain like a gamma variable of that shape, so
    that the count is negative binomial. Averaged over rises, so that none has to be chosen beforehand.
    """
    terms = [
        _log_ratio(events, mean, shape, ratio, ratio * _SPAN ** (step / float(_STEPS))) for step in range(1, _STEPS + 1)
    ]
    top = max(terms)
    return top + math.log(sum(math.exp(term - top) for term in terms) / len(terms))


def _log_ratio(events, mean, shape, ratio, rise):
    return events * math.log(rise / ratio) - (events + shape) * math.log1p(
        (rise - ratio) * mean / (shape + ratio * mean)
    )


def shared_alpha(alpha, groups):
    """For each of so many counter groups its part: all together raise a false alarm with probability alpha at most."""
    return alpha / groups


# Is the rate low enough? Limits of what was seen.


def upper_limit(events, exposure, beta=0.05, dispersion=1.0):
    """The rate that is exceeded with probability beta only: exact for Poisson counts, chi2(1 - beta; 2x + 2) / 2m."""
    if exposure <= 0:
        return math.inf
    return gamma_quantile(events / dispersion + 1.0, 1 - beta) * dispersion / exposure


def interval(events, exposure, confidence=0.95, dispersion=1.0):
    """(lower, upper) limit of a rate, each missed with half of the probability that is left."""
    tail = (1 - confidence) / 2
    lower = gamma_quantile(events / dispersion, tail) * dispersion / exposure if events and exposure > 0 else 0.0
    return lower, upper_limit(events, exposure, tail, dispersion)


def opens_needed(per_1000, beta=0.05, dispersion=1.0, events=0):
    """So many opens with no more than these events show that the rate is not above that."""
    if per_1000 <= 0:
        return math.inf
    events_excluded = gamma_quantile(events / dispersion + 1.0, 1 - beta) if events else -math.log(beta)
    return math.ceil(events_excluded * dispersion * 1000.0 / per_1000)


def rise_upper(events, mean, shape, beta=0.05):
    """The rise at which so few events would come with probability beta only; the mean is as in log_evidence."""
    if mean <= 0:
        return math.inf
    low, high = 0.0, 1.0
    while _negative_binomial_cdf(events, mean * high, shape) > beta:
        low, high = high, high * 2
        if high > 1e12:
            return math.inf
    for _step in range(60):
        middle = (low + high) / 2
        if _negative_binomial_cdf(events, mean * middle, shape) > beta:
            low = middle
        else:
            high = middle
    return high


def _negative_binomial_cdf(events, mean, shape):
    if events > 1e6:  # Next to the uncertainty of the mean, chance is nothing.
        return _gamma_cdf(shape, shape * events / mean)
    return _beta_cdf(shape / (shape + mean), shape, events + 1.0)


# Distributions, which the standard library lacks.


def gamma_quantile(shape, probability):
    """What a gamma variable of that shape and scale 1 stays below with that probability."""
    if shape <= 0:
        return 0.0
    if shape > 1e5:  # Wilson and Hilferty: the cube root is nearly normal.
        spread = 1 / (9.0 * shape)
        return shape * (1 - spread + _normal_quantile(probability) * math.sqrt(spread)) ** 3
    low, high = 0.0, shape + 10 * math.sqrt(shape) + 10
    while _gamma_cdf(shape, high) < probability:
        high *= 2
    return _bisected(lambda value: _gamma_cdf(shape, value) < probability, low, high)


def _normal_quantile(probability):
    return _bisected(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)) < probability, -40.0, 40.0)


def _bisected(below, low, high):
    """Where `below` turns false."""
    while True:
        middle = (low + high) / 2
        if not low < middle < high or high - low < 1e-13 * high:
            return middle
        if below(middle):
            low = middle
        else:
            high = middle


def _gamma_cdf(shape, value):
    """The regularised lower incomplete gamma function: its series below the mean, its continued fraction above."""
    if value <= 0:
        return 0.0
    front = math.exp(shape * math.log(value) - value - math.lgamma(shape))
    if value < shape + 1:
        term = total = 1.0 / shape
        step = shape
        while term > total * 1e-16:
            step += 1
            term *= value / step
            total += term
        return min(1.0, front * total)
    return 1 - front / _continued_fraction(value + 1 - shape, lambda n: (-n * (n - shape), value + 2 * n + 1 - shape))


def _beta_cdf(value, a, b):
    """The regularised incomplete beta function."""
    if value <= 0 or value >= 1:
        return float(value >= 1)
    if value > (a + 1) / (a + b + 2):
        return 1 - _beta_cdf(1 - value, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(value) + b * math.log1p(-value)
    )

    def term(n):
        half, odd = divmod(n, 2)
        if odd:
            return -(a + half) * (a + b + half) * value / ((a + 2 * half) * (a + 2 * half + 1)), 1.0
        return half * (b - half) * value / ((a + 2 * half - 1) * (a + 2 * half)), 1.0

    return front / (a * _continued_fraction(1.0, term))


def _continued_fraction(first, term):
    """first + a1 / (b1 + a2 / (b2 + ...)) with (a, b) = term(n), by Lentz's method."""
    tiny = 1e-300
    value = c = first or tiny
    d = 0.0
    for n in range(1, 100000):
        a, b = term(n)
        d = 1 / (b + a * d or tiny)
        c = b + a / c or tiny
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


# How bursty are the events?


def dispersion(hosts, beside=()):
    """Variance over mean of the events of `hosts`, at least 1: how far they come in bursts.

    A series [(events, opens), ...] a host, all of the same polls; `beside` are the controls' series. What all have in
    common in a poll (the time of day) is no burst. Few events say little: the estimate starts at a small excess for
    all hosts, at that of all for some, and data lead it away.
    """
    worst = 1.0
    for length in _BLOCKS:
        deviations = _deviations([_blocks(series, length) for series in list(hosts) + list(beside)])
        everybody = _shrunk(deviations, _DISPERSION)
        worst = max(worst, everybody, _shrunk(deviations[: len(hosts)], everybody))
    return worst


def dispersions(hosts):
    """The same for each host: a busy one may have longer bursts than all have on average."""
    worst = [1.0] * len(hosts)
    for length in _BLOCKS:
        deviations = _deviations([_blocks(series, length) for series in hosts])
        everybody = _shrunk(deviations, _DISPERSION)
        worst = [max(known, _shrunk([own], everybody)) for known, own in zip(worst, deviations)]
    return worst


def _blocks(series, length):
    """So many polls as if they were one; what is left over at the end is left out."""
    if length == 1:
        return series
    return [_total(series[at : at + length]) for at in range(0, len(series) - length + 1, length)]


def _shrunk(deviations, prior):
    """The ratio of sums, not the mean of ratios: a host counts by its events, as it does in the sum of all hosts."""
    squares = sum(square for host in deviations for square, _variance in host)
    variances = [variance for host in deviations for _square, variance in host]
    variance = sum(variances)
    if variance <= 0:
        return prior
    # As many equal observations, and what they are worth when they hold few events.
    weight = variance**2 / sum(each**2 for each in variances)
    weight /= 1 + 0.5 * weight / variance
    return (weight * squares / variance + _DISPERSION_WEIGHT * prior) / (weight + _DISPERSION_WEIGHT)


def _deviations(hosts):
    """For each host the pairs (squared deviation from what was to be expected, its variance without bursts)."""
    totals = [_total(series) for series in hosts]
    rates = [events / float(exposure) if exposure else 0.0 for events, exposure in totals]
    blocks = min([len(series) for series in hosts] or [0])
    deviations = [[] for _host in hosts]
    for block in range(blocks if blocks > 1 else 0):
        awaited = [rate * series[block][1] for rate, series in zip(rates, hosts)]
        everybody = sum(awaited)
        seen = sum(series[block][0] for series in hosts)
        for host, series in enumerate(hosts):
            mean = variance = awaited[host]
            if len(hosts) > 1 and everybody > 0:
                mean *= seen / everybody
                variance = mean * (1 - awaited[host] / everybody)
            if variance > 0:
                # The host's rate is estimated from the same blocks.
                deviations[host].append(((series[block][0] - mean) ** 2, variance * (1 - 1.0 / blocks)))
    return deviations


def _total(pairs):
    events = opens_ = 0
    for pair in pairs:
        events += pair[0]
        opens_ += pair[1]
    return events, opens_
