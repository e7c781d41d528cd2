# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts change together, and who is watched beside them."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

# The stratum, or the failure domain, of a host of which it is not known.
UNKNOWN = "-"


@dataclass(frozen=True)
class Wave:
    number: int
    hosts: list[str]
    # Watched beside the wave, and not changed meanwhile.
    controls: list[str]
    # Those of the controls that an earlier wave changed.
    earlier: list[str]


@dataclass(frozen=True)
class Fleet:
    """The hosts of a rollout in the order of the inventory, and what is known of them."""

    hosts: Sequence[str]
    strata: Mapping[str, str] = field(default_factory=dict)
    # Empty: there are no failure domains.
    domains: Mapping[str, str] = field(default_factory=dict)
    # Whoever has the set already: changing them shows nothing, and untouched they are not.
    settled: Collection[str] = frozenset()

    def stratum(self, host: str) -> str:
        return self.strata.get(host, "")

    def domain(self, host: str) -> str:
        return self.domains.get(host, "")


def plan(
    fleet: Fleet, sizes: Any, controls: int = 5, canaries: Sequence[str] = (), max_out: Any = "100%"
) -> dict[str, Any]:
    """The waves over all hosts. Raises ValueError with a sentence where there are none as wanted.

    The first wave is `canaries`, or as large as the first size, and holds at least one host of every stratum. The later
    ones keep the mix of strata. No wave has more than `max_out` hosts of one failure domain.
    """
    wanted = _wanted(sizes, len(fleet.hosts))
    limits = _limits(fleet, max_out)
    first = _first(fleet, list(dict.fromkeys(canaries)), limits)
    out = Counter(map(fleet.domain, first))
    waiting = _Waiting(fleet, set(first), limits)
    batches = []
    if first:
        batches.append(first + ([] if canaries else waiting.take(wanted[0] - len(first), out)))
    while batch := waiting.take(wanted[min(len(batches), len(wanted) - 1)], Counter()):
        batches.append(batch)

    order = [host for batch in batches for host in batch]
    waves = list(_with_controls(fleet, order, batches, controls))
    return {
        "hosts": order,
        "sizes": [len(batch) for batch in batches],
        "waves": [asdict(wave) for wave in waves],
    }


# Sizes and limits


def _wanted(sizes: Any, total: int) -> list[int]:
    """How many hosts each wave is to have. A percentage is of all hosts."""
    if not isinstance(sizes, list | tuple) or not sizes:
        raise ValueError('tune_waves must be a list of host counts and percentages, such as [1, "10%", "100%"]')
    return [_amount(size, f"tune_waves[{position}]", total) for position, size in enumerate(sizes)]


def _amount(size: Any, name: str, total: int) -> int:
    text = str(size).strip()
    number = text.removesuffix("%").strip()
    if number.isdecimal() and int(number) > 0 and not isinstance(size, bool):
        if not text.endswith("%"):
            return int(number)
        if int(number) <= 100:
            return max(1, total * int(number) // 100)
    raise ValueError(f'{name} is {size!r}: write a number of hosts, or a percentage from "1%" to "100%"')


def _limits(fleet: Fleet, max_out: Any) -> dict[str, int]:
    """How many hosts of each failure domain a wave may have. A percentage is of the domain's own hosts."""
    if not fleet.domains:
        return {"": len(fleet.hosts)}
    return {
        domain: _amount(max_out, "tune_max_out_per_group", size)
        for domain, size in Counter(map(fleet.domain, fleet.hosts)).items()
    }


# The first wave


def _first(fleet: Fleet, named: list[str], limits: Mapping[str, int]) -> list[str]:
    """The canaries named by hand, and one host of every stratum that they miss."""
    room = Counter(limits)
    room.subtract(map(fleet.domain, named))
    for domain, left in room.items():
        if left < 0:
            too_many = [host for host in named if fleet.domain(host) == domain]
            raise ValueError(
                f"tune_canaries names {', '.join(too_many)}, all of failure domain {domain}, of which "
                f"{limits[domain]} may be out at once (tune_max_out_per_group): name fewer of them"
            )
    missed = _candidates(fleet, set(map(fleet.stratum, named)))
    return named + [missed[stratum][domain] for stratum, domain in _placed(missed, room).items()]


def _candidates(fleet: Fleet, covered: set[str]) -> dict[str, dict[str, str]]:
    """{stratum: {domain: a host}}, those that would really change first."""
    candidates: dict[str, dict[str, str]] = {}
    for host in sorted(fleet.hosts, key=lambda host: host in fleet.settled):
        if fleet.stratum(host) not in covered:
            candidates.setdefault(fleet.stratum(host), {}).setdefault(fleet.domain(host), host)
    return candidates


def _placed(wants: Mapping[str, Mapping[str, str]], room: Mapping[str, int]) -> dict[str, str]:
    """A domain for every stratum, none beyond its room: a matching, grown along augmenting paths."""
    placed: dict[str, str] = {}
    inside: dict[str, set[str]] = defaultdict(set)
    for newcomer in wants:
        # Who came to look at a domain first: the newcomer, or a stratum that would make room by moving there.
        asked: dict[str, str] = {}
        queue = deque([newcomer])
        free = None
        while queue and free is None:
            stratum = queue.popleft()
            for domain in wants[stratum]:
                if domain in asked:
                    continue
                asked[domain] = stratum
                if len(inside[domain]) < room[domain]:
                    free = domain
                    break
                queue.extend(sorted(inside[domain]))
        if free is None:
            raise ValueError(
                f"The first wave cannot hold a host of every stratum: those of {newcomer!r} are in failure domains "
                f"that are full by then ({', '.join(wants[newcomer])}). Raise tune_max_out_per_group, or let "
                "tune_strata tell fewer kinds apart"
            )
        while free is not None:
            stratum = asked[free]
            left = placed.get(stratum)
            placed[stratum] = free
            inside[free].add(stratum)
            if left is not None:
                inside[left].discard(stratum)
            free = left
    return placed


# The later waves


class _Waiting:
    """Hosts in the order in which they are to change, handed out by the number."""

    def __init__(self, fleet: Fleet, gone: set[str], limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._queues: dict[str, deque[tuple[int, str]]] = defaultdict(deque)
        for place, host in enumerate(_mixed(fleet, [host for host in fleet.hosts if host not in gone])):
            self._queues[fleet.domain(host)].append((place, host))
        # The next host of each domain.
        self._heads = [(*queue[0], domain) for domain, queue in self._queues.items()]
        heapq.heapify(self._heads)

    def take(self, count: int, out: Counter[str]) -> list[str]:
        """Up to `count` hosts, of no domain more than it has room for beside `out`."""
        taken: list[str] = []
        held_back = []
        while self._heads and len(taken) < count:
            head = heapq.heappop(self._heads)
            _place, host, domain = head
            if out[domain] >= self._limits[domain]:
                held_back.append(head)
                continue
            out[domain] += 1
            taken.append(host)
            self._queues[domain].popleft()
            if self._queues[domain]:
                heapq.heappush(self._heads, (*self._queues[domain][0], domain))
        for head in held_back:
            heapq.heappush(self._heads, head)
        return taken


def _mixed(fleet: Fleet, hosts: Sequence[str]) -> list[str]:
    """Spread every stratum evenly, so that any cut of the order has about the mix of the whole.

    Hosts that have the set already are spread by themselves: a wave of them alone would show nothing.
    """

    def kind(host: str) -> tuple[str, bool]:
        return fleet.stratum(host), host in fleet.settled

    sizes = Counter(map(kind, hosts))
    seen: Counter[tuple[str, bool]] = Counter()
    places = {}
    for index, host in enumerate(hosts):
        own = kind(host)
        places[host] = ((seen[own] + 0.5) / sizes[own], own[1], index)
        seen[own] += 1
    return sorted(hosts, key=places.__getitem__)


# Controls


def _with_controls(fleet: Fleet, order: Sequence[str], batches: Sequence[list[str]], count: int) -> Iterator[Wave]:
    untouched = _Pool(fleet, order, [place for place, host in enumerate(order) if host not in fleet.settled])
    everybody = _Pool(fleet, order, range(len(order)))
    start = 0
    for number, batch in enumerate(batches, 1):
        stop = start + len(batch)
        mix = Counter(map(fleet.stratum, batch))
        controls = untouched.sample(mix, stop, len(order), count)
        # Nobody is untouched beside the last wave: then those who changed before speak for what befalls all alike.
        earlier = [] if controls else everybody.sample(mix, 0, start, count)
        yield Wave(number, batch, controls or earlier, earlier)
        start = stop


class _Pool:
    """Hosts that may serve as controls, by their places in the order of the rollout."""

    def __init__(self, fleet: Fleet, order: Sequence[str], places: Sequence[int]) -> None:
        self._order = order
        self._all = places
        self._of_stratum: dict[str, list[int]] = defaultdict(list)
        for place in places:
            self._of_stratum[fleet.stratum(order[place])].append(place)

    def sample(self, mix: Counter[str], start: int, stop: int, count: int) -> list[str]:
        """Up to `count` hosts with places from start to stop, as near to the mix of strata as can be."""
        own = {stratum: _between(self._of_stratum.get(stratum, []), start, stop, count) for stratum in mix}
        chosen: list[int] = []
        given: Counter[str] = Counter()
        for _seat in range(max(0, count)):
            able = [stratum for stratum, places in own.items() if given[stratum] < len(places)]
            if not able:
                break
            # Each seat goes where a share is missing most (Sainte-Lague).
            stratum = max(able, key=lambda stratum: mix[stratum] / (2 * given[stratum] + 1))
            chosen.append(own[stratum][given[stratum]])
            given[stratum] += 1
        for place in _between(self._all, start, stop, count):
            if len(chosen) >= count:
                break
            if place not in chosen:
                chosen.append(place)
        return [self._order[place] for place in chosen]


def _between(places: Sequence[int], start: int, stop: int, count: int) -> Sequence[int]:
    """The first `count` of the places from start to stop."""
    first = bisect_left(places, start)
    return places[first : min(first + max(0, count), bisect_left(places, stop))]


def differences(shared: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """{host: {variable: value}} as a sentence for each variable that hosts do not agree on."""
    first: dict[str, dict[str, str]] = {}
    for host, values in shared.items():
        for name, value in values.items():
            first.setdefault(name, {}).setdefault(str(value), host)
    return [
        f"{name} differs between hosts ({', '.join(f'{host}: {value}' for value, host in hosts.items())}): "
        "set it for all"
        for name, hosts in first.items()
        if len(hosts) > 1
    ]


def stratum(
    facts: Mapping[str, Any],
    declared: Mapping[str, Any] | None,
    variable: Callable[[str], Any],
    names: Sequence[str],
) -> str:
    """What kind of host this is, as text: the values of `names`, each a path in the facts or in the variables."""
    return " ".join(str(_value(facts, declared or {}, variable, name)) for name in names)


def _value(facts: Mapping[str, Any], declared: Mapping[str, Any], variable: Callable[[str], Any], name: str) -> Any:
    if name == "role":
        detected = facts.get("topology", {}).get("role") or []
        roles = declared.get("role") or [item["value"] for item in detected]
        return "+".join(sorted({roles} if isinstance(roles, str) else set(roles))) or UNKNOWN
    first, *rest = name.split(".")
    value = _inside(facts.get(first), rest)
    if value is None:
        value = _inside(variable(first), rest)
    return UNKNOWN if value is None else value


def _inside(value: Any, path: Sequence[str]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
