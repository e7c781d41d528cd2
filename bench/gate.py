# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the gate is wrong, and how soon it is right, on simulated waves; beside three simpler tests.

The gate is the one that rollouts use, from counts on: the wave as a whole and each host, alpha shared with the other
counter groups. It is asked after most looks, as in a rollout with no more than it knows by then, and its first alarm
counts. Every test sees the same counts. Exits with 1 when the false alarms are more than alpha allows.
"""

import argparse
import dataclasses
import itertools
import math
import multiprocessing
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "playbooks", "collections"))
sys.dont_write_bytecode = True

from ansible_collections.nettune.kernel.plugins.module_utils._evidence import (  # noqa: E402
    RateTest,
    dispersion,
    per_thousand,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.counting import (  # noqa: E402
    Counted,
    Track,
    together,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.evidence import tests  # noqa: E402
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.groups import (  # noqa: E402
    CONNECTS,
    COUNTERS,
    Limits,
)

LIMITS = Limits()
ALPHA = LIMITS.alpha
FLOOR = LIMITS.max_rejects_per_1000
MIN_EVENTS = LIMITS.min_rejects
POLLS = 60  # of the soak
BEFORE = 60
SHORT = [4, 0.2, 0.2, 0.2, 0.2, 0.2]  # lengths of the polls before, in those of the soak
HISTORY = 600  # since boot
OPENS = 200  # per host and poll
CONTROLS = 5
# Events per 1,000 opens before the change. Near zero is one event in 50 polls of a host.
BASE = {"near zero": 0.1, "rare bursts": 0.1}
BASE_ELSEWHERE = 5.0
SCENARIOS = {
    "poisson": "independent events",
    "bursty": "a poll's rate varies like a gamma variable of shape 0.5, host by host",
    "clustered": "events come in bursts of 4 on average, some of which last for several polls",
    "unequal": "rates and traffic of the hosts differ log-normally, by factors of 3.3 and 2.2 a standard deviation",
    "unequal bursty": "both",
    "diurnal": "rate and traffic rise and fall together on all hosts, the rate by a factor of 7",
    "short before": "one poll of 20 s and five of 1 s before, where those of the soak have 5 s: the role's defaults",
    "near zero": "hardly any events before",
    "rare bursts": "hardly any events before, and these in bursts of 20",
    "all groups": "bursty, and so are queue drops and resets",
}
WITHOUT_CONTROLS = ("poisson", "bursty", "clustered", "near zero")
RISES = (1.0, 1.5, 3.0, 10.0, 100.0)
NAMES = ("evidence", "threshold", "mann-whitney", "poisson")
# Instead of a number of canaries: one host without controls, judged by the gate, or by its guard.
ALONE, GUARD = 0, -1
WORDS = {ALONE: "alone", GUARD: "guard"}
# After every look would take ten times as long. Early looks matter most: bursts are hardly known by then.
JUDGED_AT = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 40, 50, 60)


# Simulation


def poisson(rng, mean):
    """Exact: for large means by way of the gamma variable at which a certain event comes."""
    if mean > 30:
        halfway = int(mean * 7 / 8)
        reached = rng.gammavariate(halfway, 1)
        if reached > mean:
            return binomial(rng, halfway - 1, mean / reached)
        return halfway + poisson(rng, mean - reached)
    count, product, limit = 0, rng.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def binomial(rng, number, probability):
    count = 0
    while number > 30:
        median = 1 + number // 2
        value = rng.betavariate(median, number + 1 - median)
        if value >= probability:
            number, probability = median - 1, probability / value
        else:
            count += median
            number, probability = number - median, (probability - value) / (1 - value)
    return count + sum(rng.random() < probability for _event in range(number))


class Host:
    """[(events, opens) of each poll] before and in the soak, what it counted since boot, and its true rate now."""

    def __init__(self, rng, scenario, rise, day):
        rate, traffic = BASE.get(scenario, BASE_ELSEWHERE) / 1000, OPENS
        if scenario.startswith("unequal"):
            rate, traffic = rate * math.exp(rng.gauss(0, 1.2)), traffic * math.exp(rng.gauss(0, 0.8))
        self.rate = rate * rise * 1000
        shift, self.bursts = rng.uniform(-0.1, 0.1), 0
        past = HISTORY * traffic
        size = 20 if scenario == "rare bursts" else 1
        self.since_boot = (size * poisson(rng, past * rate / size), round(past))
        lengths = SHORT if scenario == "short before" else [1] * BEFORE
        self.before = [
            self._poll(rng, scenario, rate, traffic * length, day + poll / 120.0, shift)
            for poll, length in enumerate(lengths)
        ]
        # As the gate has it: of polls that last alike, it learns how far events come in bursts.
        self.even = [pair for pair, length in zip(self.before, lengths, strict=True) if length <= 1]
        self.soak = [
            self._poll(rng, scenario, rate * rise, traffic, day + (BEFORE + poll) / 120.0, shift)
            for poll in range(POLLS)
        ]
        # Other groups of counters, in which nothing changes.
        self.others = {
            group: (
                [self._poll(rng, scenario, rate, traffic, day, shift) for _poll in range(BEFORE)],
                [self._poll(rng, scenario, rate, traffic, day, shift) for _poll in range(POLLS)],
            )
            for group in (COUNTERS[1:] if scenario == "all groups" else ())
        }

    def _poll(self, rng, scenario, rate, traffic, day, shift):
        if scenario == "diurnal":
            rate *= math.exp(math.sin(2 * math.pi * day))
            traffic *= 1 + 0.5 * math.sin(2 * math.pi * (day + shift))
        opens = max(1, round(rng.gauss(traffic, math.sqrt(traffic))))
        mean = opens * rate
        if scenario.endswith(("bursty", "all groups")):
            return poisson(rng, mean * rng.gammavariate(0.5, 1) / 0.5), opens
        if scenario == "clustered":
            events, self.bursts = clustered(rng, self.bursts + poisson(rng, mean / 4))
            return events, opens
        if scenario == "rare bursts":
            return sum(poisson(rng, 20) for _burst in range(poisson(rng, mean / 20))), opens
        return poisson(rng, mean), opens

    def track(self):
        """As the gate counts it: the other counters stand still, and all connects are made."""
        track = Track("host", {"timestamp_rejects": self.before}, {"timestamp_rejects": self.soak})
        track.even = {"timestamp_rejects": self.even}
        track.usual = {"timestamp_rejects": self.since_boot}
        for group in COUNTERS[1:]:
            before, soak = self.others.get(group, ([], [(0, opens) for _events, opens in self.soak]))
            track.before[group] = track.even[group] = before
            track.soak[group] = soak
            track.usual[group] = self.since_boot if before else (0, HISTORY * OPENS)
        for group in CONNECTS:
            track.soak[group] = [(0, 10)] * POLLS
        return track


def clustered(rng, bursts):
    """(events, bursts that go on in the next poll): each event may end it, or move it to the next."""
    events = lasting = 0
    for _burst in range(bursts):
        while True:
            events += 1
            fate = rng.random()
            if fate < 0.25:
                break
            if fate < 0.5:
                lasting += 1
                break
    return events, lasting


def summed(series):
    return [tuple(map(sum, zip(*poll, strict=True))) for poll in zip(*series, strict=True)]


def total(rows):
    return tuple(map(sum, zip(*rows, strict=True)))


def running(rows):
    return list(itertools.accumulate(rows, lambda one, other: (one[0] + other[0], one[1] + other[1])))


# The tests. Each returns the poll at which it raises the alarm, or 0.


@dataclasses.dataclass
class Looked(Counted):
    """Counts after some looks. Bursts before the change are the same at every look, and worked out once."""

    known: dict

    def dispersion_before(self, group):
        return self.once("all", group, super().dispersion_before)

    def dispersions(self, group):
        return self.once("each", group, super().dispersions)

    def once(self, what, group, work_out):
        if (what, group) not in self.known:
            self.known[what, group] = work_out(group)
        return self.known[what, group]


def by_evidence(hosts, controls):
    """(poll of the alarm, whether the wave is promoted at the end)"""
    tracks = [[host.track() for host in group] for group in (hosts, controls)]
    known = {}
    for polls in JUDGED_AT:
        wave, beside = ([until(track, polls) for track in group] for group in tracks)
        counted = Looked(
            hosts=dict(enumerate(wave)),
            controls=dict(enumerate(beside)),
            observers={},
            services={},
            wave=together("the wave", wave, polls),
            beside=together("controls", beside, polls),
            known=known,
        )
        tried = tests(counted, LIMITS)
        if any(test.exceeded for test in tried):
            return polls, False
    return 0, all(test.no_worse for test in tried)


def until(track, polls):
    soak = {group: pairs[:polls] for group, pairs in track.soak.items()}
    return Track(track.name, track.before, soak, usual=track.usual, even=track.even)


def by_guard(host):
    test = RateTest(total(host.before), None, dispersion([host.even]), ALPHA)
    for poll, pair in enumerate(host.soak, 1):
        if test.add(*pair):
            return poll
    return 0


def by_threshold(before, wave, controls):
    """More than 5 per 1,000, and more than three times the controls and the time before."""
    before = total(before)
    beside = running(controls) if controls else [before] * POLLS
    for poll, (seen, others) in enumerate(zip(running(wave), beside, strict=True), 1):
        if all(exceeds(seen, reference) for reference in (before, others)):
            return poll
    return 0


def exceeds(seen, reference, ratio=3):
    rate = per_thousand(*seen)
    reference_rate = per_thousand(*reference) if reference[1] else 0.0
    return seen[0] >= MIN_EVENTS and rate > FLOOR and rate > ratio * reference_rate


def by_mann_whitney(before, wave, controls):
    """Rates of the polls of the wave against those of the controls, looked at every six polls."""
    rates = [events / max(opens, 1) for events, opens in wave]
    others = [events / max(opens, 1) for events, opens in controls or before]
    for poll in range(6, POLLS + 1, 6):
        if mann_whitney_z(rates[:poll], others[:poll] if controls else others) > Z:
            return poll
    return 0


def by_poisson(before, wave, controls):
    """The wave's share of all events against its share of all opens, looked at after each poll."""
    beside = running(controls) if controls else [total(before)] * POLLS
    for poll, ((events, opens), (other_events, other_opens)) in enumerate(zip(running(wave), beside, strict=True), 1):
        number, share = events + other_events, opens / max(opens + other_opens, 1)
        spread = math.sqrt(number * share * (1 - share))
        if events >= MIN_EVENTS and spread and (events - number * share) / spread > Z:
            return poll
    return 0


Z = 2.3263478740408408  # the normal distribution's 1 - ALPHA


def mann_whitney_z(sample, others):
    ordered = sorted([(value, 1) for value in sample] + [(value, 0) for value in others])
    n, m, size = len(sample), len(others), len(ordered)
    ranks, ties, at = 0.0, 0.0, 0
    while at < size:
        end = at
        while end < size and ordered[end][0] == ordered[at][0]:
            end += 1
        ranks += (at + end + 1) / 2 * sum(mine for _value, mine in ordered[at:end])
        ties += (end - at) ** 3 - (end - at)
        at = end
    variance = n * m / 12 * (size + 1 - ties / (size * (size - 1)))
    return (ranks - n * (n + 1) / 2 - n * m / 2) / math.sqrt(variance) if variance > 0 else 0.0


# The runs


def run(case):
    """(polls of the alarms by test, whether the wave is promoted, whether the rise led over the floor)."""
    scenario, canaries, rise, _number = case
    rng = random.Random(repr(case))
    day = rng.random()
    hosts = [Host(rng, scenario, rise, day) for _host in range(max(1, canaries))]
    controls = [Host(rng, scenario, 1.0, day) for _host in range(CONTROLS if canaries > 0 else 0)]
    alarm, promoted = (by_guard(hosts[0]), None) if canaries == GUARD else by_evidence(hosts, controls)
    before, wave = summed(host.before for host in hosts), summed(host.soak for host in hosts)
    beside = summed(host.soak for host in controls) if controls else []
    alarms = [alarm, *(test(before, wave, beside) for test in (by_threshold, by_mann_whitney, by_poisson))]
    rate = sum(host.rate * total(host.soak)[1] for host in hosts) / total(wave)[1]
    return alarms, promoted, rate > 1.2 * FLOOR


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few runs: a smoke test")
    parser.add_argument(
        "--runs", type=int, default=2000, help="of each case without a rise; a quarter at 1.5, a tenth above"
    )
    parser.add_argument("--canaries", type=int, nargs="*", default=[1, 5, 50], help="sizes of the wave")
    arguments = parser.parse_args()
    runs, sizes, rises = (40, [1, 5], RISES[::3]) if arguments.quick else (arguments.runs, arguments.canaries, RISES)
    start = time.perf_counter()
    introduce(rises)
    score = Score()
    with multiprocessing.Pool() as pool:
        for scenario in SCENARIOS:
            for canaries in (*sizes, *(WORDS if scenario in WITHOUT_CONTROLS and 1 in sizes else ())):
                results = {}
                for rise in rises:
                    count = max(20, runs // {1.0: 1, 1.5: 4}.get(rise, 10))
                    cases = [(scenario, canaries, rise, number) for number in range(count)]
                    results[rise] = pool.map(run, cases, chunksize=max(1, count // 40))
                score.tell(f"{scenario}, {WORDS.get(canaries, canaries)}", results)
    score.sum_up()
    print(f"{time.perf_counter() - start:.0f} s on {os.cpu_count()} cores")
    return int(score.false_alarms_are_too_many(each=not arguments.quick))


def introduce(rises):
    print(
        f"alpha {ALPHA} for all counter groups, {POLLS} polls, {BEFORE} polls before, {OPENS} opens a host and poll, "
        f"{CONTROLS} controls,\nfloor {FLOOR:g} per 1,000. Events per 1,000 opens before the change:"
    )
    for name, what in SCENARIOS.items():
        print(f"  {name}: {BASE.get(name, BASE_ELSEWHERE):g}; {what}")
    print(
        "\nShare of runs with an alarm, and the median poll of the alarm. Alarms at 1.0 are false; those at 1.5, which"
        "\nis tolerated, are false for the evidence only. Rises that do not lead over the floor are left out (-)."
        "\nPromoted: the share that the gate promotes at the end of the soak.\n"
    )
    print(f"{'':22}{'test':14}" + "".join(f"{f'x {rise:g}':>13}" for rise in rises))


class Score:
    """Prints what came of the runs, and adds up how well the gate did."""

    def __init__(self):
        self.worst = {}
        self.false = self.nulls = 0
        self.missed = []

    def tell(self, who, results):
        for index, name in enumerate(NAMES):
            cells = []
            for rise, done in results.items():
                polls = [alarms[index] for alarms, _promoted, above in done if above or rise <= 1.5]
                cells.append(_cell(polls, rise > 1.5))
                if index == 0 and polls:
                    self._add(who, rise, polls, cells[-1])
            print(f"{'' if index else who:22}{name:14}{''.join(cells)}", flush=True)
        if results[1.0][0][1] is not None:
            shares = (sum(promoted for _alarms, promoted, _above in done) / len(done) for done in results.values())
            print(f"{'':22}{'promoted':14}" + "".join(f"{share:8.4f}     " for share in shares), flush=True)

    def _add(self, who, rise, polls, cell):
        hits = sorted(poll for poll in polls if poll)
        share = len(hits) / len(polls)
        if rise <= 1.5:
            self.worst[rise] = max(self.worst.get(rise, (0, "")), (share, who))
            self.false, self.nulls = self.false + len(hits), self.nulls + len(polls)
        elif rise <= 10:
            late = rise == 10 and (not hits or hits[len(hits) // 2] > 6)
            if late or share < {3.0: 0.6, 10.0: 0.99}[rise]:
                self.missed.append(f"{who}, x {rise:g}:{cell.rstrip()}")

    def sum_up(self):
        worst = ", ".join(f"{share:.4f} at x {rise:g} ({who})" for rise, (share, who) in self.worst.items())
        print(f"\nFalse alarms of the evidence at worst: {worst}.")
        print(
            "Missed targets (threefold found in 0.6; tenfold in 0.99, by poll 6 in half of the runs):",
            *(self.missed or ["none"]),
            sep="\n  ",
        )

    def false_alarms_are_too_many(self, each):
        allowed = ALPHA * self.nulls + 3 * math.sqrt(ALPHA * self.nulls)
        return self.false > allowed or (each and self.worst[1.0][0] > ALPHA)


def _cell(polls, timed):
    if not polls:
        return f"{'-':>8}     "
    hits = sorted(poll for poll in polls if poll)
    middle = f" @{hits[len(hits) // 2]:<3}" if hits and timed else " " * 5
    return f"{len(hits) / len(polls):8.4f}{middle}"


if __name__ == "__main__":
    sys.exit(main())
