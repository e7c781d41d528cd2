# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts change together, and who is watched beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Wave:
    number: int
    hosts: list[str]
    # Hosts of later waves, untouched while this one soaks.
    controls: list[str]


def plan(
    hosts: Sequence[str], sizes: Sequence[Any], strata: Mapping[str, str] | None = None, controls: int = 5
) -> dict[str, Any]:
    """The waves over `hosts`. Raises ValueError with a sentence where `sizes` cannot be read.

    The first wave holds at least one host of every stratum, grown where its size does not suffice; the later ones keep
    the mix of strata.
    """
    strata = strata or {}
    counts = wave_counts(len(hosts), sizes)
    canaries = _first_of_each_stratum(hosts, strata)
    rest = _mixed([host for host in hosts if host not in set(canaries)], strata)
    if counts and len(canaries) > counts[0]:
        counts = _grow_first(counts, len(canaries))
    order = canaries + rest

    waves = []
    start = 0
    for number, count in enumerate(counts, 1):
        members = order[start : start + count]
        start += count
        waves.append(Wave(number, members, _controls(members, order[start:], strata, controls)))
    return {
        "hosts": order,
        "sizes": counts,
        "waves": [asdict(wave) for wave in waves],
        "strata": {host: strata.get(host, "") for host in order},
    }


def wave_counts(total: int, sizes: Sequence[Any]) -> list[int]:
    """How many hosts each wave has. A percentage is of all hosts; the last size repeats until no host is left."""
    if not isinstance(sizes, list | tuple) or not sizes:
        raise ValueError('tune_waves must be a list of host counts and percentages, such as [1, "10%", "100%"]')
    wanted = [_count(size, position, total) for position, size in enumerate(sizes)]
    counts: list[int] = []
    while (left := total - sum(counts)) > 0:
        counts.append(min(left, wanted[min(len(counts), len(wanted) - 1)]))
    return counts


def _count(size: Any, position: int, total: int) -> int:
    text = str(size).strip()
    number = text.removesuffix("%").strip()
    if number.isdecimal() and int(number) > 0 and not isinstance(size, bool):
        if not text.endswith("%"):
            return int(number)
        if int(number) <= 100:
            return max(1, total * int(number) // 100)
    raise ValueError(
        f'tune_waves[{position}] is {size!r}: write a number of hosts, or a percentage from "1%" to "100%"'
    )


def _grow_first(counts: list[int], first: int) -> list[int]:
    """The same total with a first wave of `first` hosts, taken from the waves that follow."""
    missing = first - counts[0]
    grown = [first]
    for count in counts[1:]:
        taken = min(missing, count)
        missing -= taken
        if count > taken:
            grown.append(count - taken)
    return grown


def _first_of_each_stratum(hosts: Iterable[str], strata: Mapping[str, str]) -> list[str]:
    first: dict[str, str] = {}
    for host in hosts:
        first.setdefault(strata.get(host, ""), host)
    return list(first.values())


def _mixed(hosts: Sequence[str], strata: Mapping[str, str]) -> list[str]:
    """Spread every stratum evenly, so that any cut of the order has about the mix of the whole."""
    sizes: dict[str, int] = {}
    seen: dict[str, int] = {}
    for host in hosts:
        sizes[strata.get(host, "")] = sizes.get(strata.get(host, ""), 0) + 1
    places = {}
    for index, host in enumerate(hosts):
        stratum = strata.get(host, "")
        places[host] = ((seen.get(stratum, 0) + 0.5) / sizes[stratum], index)
        seen[stratum] = seen.get(stratum, 0) + 1
    return sorted(hosts, key=lambda host: places[host])


def _controls(wave: Sequence[str], later: Sequence[str], strata: Mapping[str, str], limit: int) -> list[str]:
    """Untouched hosts to compare with: those of the wave's own strata first."""
    own = {strata.get(host, "") for host in wave}
    return sorted(later, key=lambda host: strata.get(host, "") not in own)[: max(0, limit)]


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
    facts: Mapping[str, Any], declared: Mapping[str, Any] | None, variables: Mapping[str, Any], names: Sequence[str]
) -> str:
    """What kind of host this is, as text: the values of `names`, each a path in the facts or the name of a variable."""
    return " ".join(str(_value(facts, declared or {}, variables, name)) for name in names)


def _value(facts: Mapping[str, Any], declared: Mapping[str, Any], variables: Mapping[str, Any], name: str) -> Any:
    if name == "role":
        detected = facts.get("topology", {}).get("role") or []
        roles = declared.get("role") or [item["value"] for item in detected]
        return "+".join(sorted({roles} if isinstance(roles, str) else set(roles))) or "-"
    value: Any = facts
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        value = variables.get(name)
    return "-" if value is None else value
