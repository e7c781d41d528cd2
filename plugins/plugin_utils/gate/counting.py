# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From samples and tallies to counts: what each host, service and group of hosts went through, poll by poll."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._evidence import dispersion, dispersions, increments
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.groups import CONNECTS, COUNTERS, Counts, counts

Pair = tuple[int, int]  # (events, opens)

_NOTHING: Pair = (0, 0)


@dataclass
class Track:
    """Of one host, service, or group of hosts: pairs by counter group. None is a poll of which nothing is known."""

    name: str
    before: dict[str, list[Pair]] = field(default_factory=dict)
    soak: dict[str, list[Pair | None]] = field(default_factory=dict)
    # What is known from longer ago: all that a host counted from its start to the change.
    usual: dict[str, Pair] = field(default_factory=dict)
    # The same as before, without polls much longer than the others: what bursts are estimated from.
    even: dict[str, list[Pair]] = field(default_factory=dict)
    # Why some of its samples cannot be used.
    excluded: str | None = None
    # Whether all of the soak is known.
    known: bool = True

    def total(self, group: str) -> Pair:
        return added(pair for pair in self.soak.get(group, []) if pair)

    def total_before(self, group: str) -> Pair:
        return added(self.before.get(group, []))


def added(pairs: Iterable[Pair]) -> Pair:
    events = exposure = 0
    for pair in pairs:
        events += pair[0]
        exposure += pair[1]
    return events, exposure


@dataclass
class Counted:
    """All that the tests rest on."""

    hosts: dict[str, Track]
    controls: dict[str, Track]
    observers: dict[str, Track]
    services: dict[str, Track]
    wave: Track
    beside: Track

    def dispersion(self, group: str) -> float:
        """How far events come in bursts: in the time before, and at the controls. Never in the wave's own soak."""
        soak = _aligned([[pair or _NOTHING for pair in track.soak.get(group, [])] for track in self.controls.values()])
        return max(self.dispersion_before(group), float(dispersion(soak)))

    def dispersion_before(self, group: str) -> float:
        quiet = [*self.hosts.values(), *self.observers.values(), *self.services.values()]
        return float(dispersion(_aligned([track.even.get(group, []) for track in quiet])))

    def dispersions(self, group: str) -> dict[str, float]:
        """Of each host of the wave, where that is known."""
        longest = max((len(track.even.get(group, [])) for track in self.hosts.values()), default=0)
        series = {name: track.even[group] for name, track in self.hosts.items() if len(track.even[group]) == longest}
        return dict(zip(series, map(float, dispersions(list(series.values()))), strict=True))


def _aligned(series: Sequence[list[Pair]]) -> list[list[Pair]]:
    """The latest polls of those that have most of them: one host with few must not hide the others."""
    most = max(map(len, series), default=0)
    kept = [polls for polls in series if len(polls) > most / 2 and any(pair[1] for pair in polls)]
    length = min(map(len, kept), default=0)
    return [polls[-length:] for polls in kept] if length > 1 else []


def count(observations: Mapping[str, Any]) -> Counted:
    looks = observations["looks"]
    before, soak = _Probes(observations["probes_before"]), [_Probes(look["probes"]) for look in looks]
    elapsed = [look["elapsed"] for look in looks]
    tracks = {
        role: {name: _track(name, subject, before, soak, elapsed) for name, subject in observations[role].items()}
        for role in ("hosts", "controls", "observers")
    }
    services: dict[str, Track] = {}
    for name in dict.fromkeys(name for probes in (before, *soak) for name in probes.services):
        services[name] = track = Track(name)
        _add_connects(track, before.services.get(name), [probes.services.get(name) for probes in soak])
    wave, controls = tracks["hosts"], tracks["controls"]
    earlier = [subject.get("changed") for subject in observations["controls"].values()]
    beside = "hosts of earlier waves" if earlier and all(earlier) else "controls"
    counted = Counted(
        **tracks,
        services=services,
        wave=together("the wave", wave.values(), len(looks)),
        beside=together(beside, controls.values(), len(looks)),
    )
    for group in CONNECTS:
        # Connects have no counter since boot, and fail nearly nowhere: they usually go as they went everywhere.
        everywhere = added(track.total_before(group) for track in (counted.wave, counted.beside, *services.values()))
        for track in (counted.wave, counted.beside, *wave.values(), *services.values()):
            track.usual[group] = everywhere
    return counted


class _Probes:
    """The tallies of one poll, by whom they reached and where they came from."""

    def __init__(self, tallies: Iterable[Mapping[str, Any]]):
        # [attempts, failed, slow]
        self.hosts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.services: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        # Connections that the host counts, and that are no traffic of others.
        self.own: dict[str, int] = defaultdict(int)
        for tally in tallies:
            host, source = tally["host"], tally["source"]
            reached = self.hosts[host] if host else self.services[f"{tally['probe']} from {source}"]
            for at, name in enumerate(("attempts", "failed", "slow")):
                reached[at] += tally[name]
            if host:
                self.own[host] += tally["ok"]
            self.own[source] += tally["attempts"]


def _track(
    name: str, subject: Mapping[str, Any], before: _Probes, soak: Sequence[_Probes], elapsed: Sequence[float]
) -> Track:
    track = Track(name)
    polls, seconds, last = _polls_before(track, subject["before"])
    even = _even(polls, seconds)
    since_boot = counts(last["counters"]) if last else (0, 0, 0, 0)
    ours = before.own.get(name, 0)
    for at, group in enumerate(COUNTERS, 1):
        track.usual[group] = (since_boot[at], since_boot[0])
        track.even[group] = [(poll[at], poll[0]) for poll in even]
        # Our own connections are no traffic.
        events, opened = added((poll[at], poll[0]) for poll in polls)
        track.before[group] = [(events, max(0, opened - ours))] if polls else []
    # The last sample before may be older than the last connects before.
    unseen = max(0, ours - sum(poll[0] for poll in polls))
    own = [probes.own.get(name, 0) for probes in soak]
    found = _polls_since(track, subject["samples"], last, own, unseen, elapsed, max(seconds, default=0.0))
    for at, group in enumerate(COUNTERS, 1):
        track.soak[group] = [(poll[at], poll[0]) if poll else None for poll in found]
    _add_connects(track, before.hosts.get(name), [probes.hosts.get(name) for probes in soak])
    if subject["lost"]:
        track.excluded, track.known = subject["lost"], False
    return track


def _polls_before(track: Track, samples: Sequence[Any]) -> tuple[list[Counts], list[float], Any]:
    """(counts, seconds) of each poll before the change, and the last sample."""
    polls: list[Counts] = []
    seconds: list[float] = []
    last = None
    for sample in samples:
        rise = increments(last, sample) if last else None
        if rise is not None:
            polls.append(counts(rise))
            seconds.append(sample["time"] - last["time"])
        elif last:
            track.excluded = f"{_difference(last, sample)} before the change, and is known from then on"
            polls, seconds = [], []
        last = sample
    return polls, seconds, last


def _polls_since(
    track: Track,
    samples: Sequence[Any],
    last: Any,
    own: Sequence[int],
    unseen: int,
    elapsed: Sequence[float],
    longest: float,
) -> list[Counts | None]:
    """The counts of each look. A look without an answer, or with an old one, is part of the next that has a new one.

    own: our connections, by look; unseen: those from before that no sample shows yet; longest: seconds between samples.
    """
    polls: list[Counts | None] = []
    ours, looks, newest = unseen, 0, 0
    for number, sample in enumerate(samples, 1):
        ours += own[number - 1]
        # The look is a connection too.
        looks += 1
        poll: Counts | None = None
        if sample and not _is_old(last, sample):
            rise = increments(last, sample) if last else None
            unseen = 0
            if rise is None:
                track.known = False
                track.excluded = (
                    f"{_difference(last, sample)} by look {number}" if last else "nothing is known from before"
                )
            else:
                opened, rejects, drops, resets = counts(rise)
                poll = (max(0, opened - ours - looks), rejects, drops, resets)
                longest = max(longest, sample["time"] - last["time"])
                # It may have been taken at any time since the look before, and show none of our connections since.
                unseen = min(own[number - 1], max(0, ours - opened))
            last, ours, looks, newest = sample, unseen, 0, number
        polls.append(poll)
    missing = _missing_at_the_end(samples, newest, elapsed, longest)
    if missing:
        track.known = False
        track.excluded = track.excluded or missing
    return polls


def _is_old(last: Any, sample: Mapping[str, Any]) -> bool:
    """Whether it is the last one again: whoever keeps samples, such as Prometheus, may be asked sooner than it asks."""
    return bool(last) and sample["boot_id"] == last["boot_id"] and sample["time"] <= last["time"]


def _missing_at_the_end(samples: Sequence[Any], newest: int, elapsed: Sequence[float], longest: float) -> str | None:
    """Why the soak is not known to its end. newest: the look that brought the last new sample."""
    if newest == len(samples):
        return None
    if not samples[-1]:
        return f"it did not answer look {len(samples)}"
    # What the first look brings may be from before the change. Later on, one sample may be missed.
    if newest > 1 and elapsed[-1] - elapsed[newest - 1] <= 2 * longest:
        return None
    return f"it had no new sample after look {newest}" if newest else "it had no new sample since the change"


def _difference(last: Mapping[str, Any], sample: Mapping[str, Any]) -> str:
    """Why two samples cannot be compared."""
    if last["boot_id"] != sample["boot_id"]:
        return "it was rebooted"
    if set(last["counters"]) != set(sample["counters"]):
        return "its kernel came to show other counters"
    return "its counters went back"


def _even(polls: Sequence[Counts], seconds: Sequence[float]) -> list[Counts]:
    if not polls:
        return []
    longest = 3 * statistics.median(seconds)
    return [poll for poll, length in zip(polls, seconds, strict=True) if length <= longest]


def _add_connects(track: Track, before: Sequence[int] | None, soak: Sequence[Sequence[int] | None]) -> None:
    for group in CONNECTS:
        polls = [before] if before else []
        track.before[group] = track.even[group] = [_connects(group, poll) for poll in polls]
        track.soak[group] = [_connects(group, poll) if poll else None for poll in soak]


def _connects(group: str, poll: Sequence[int]) -> Pair:
    attempts, failed, slow = poll
    return (failed if group == "connects" else failed + slow), attempts


def together(name: str, tracks: Iterable[Track], looks: int) -> Track:
    """Many hosts as one; those of which nothing is known in the soak are left out of the time before too."""
    total = Track(name)
    tracks = list(tracks)
    for group in (*COUNTERS, *CONNECTS):
        known = [track for track in tracks if any(track.soak[group])]
        total.before[group] = [added(track.total_before(group) for track in known)]
        if group in COUNTERS:
            total.usual[group] = added(track.usual[group] for track in known)
        total.soak[group] = []
        for look in range(looks):
            pairs = [pair for track in known if (pair := track.soak[group][look])]
            total.soak[group].append(added(pairs) if pairs else None)
    return total
