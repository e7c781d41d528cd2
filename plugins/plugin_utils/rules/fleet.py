# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fleet: hosts that do not fit each other, each of which is fine by itself.

A rule of this family is a function over all members of a rollout. Which hosts meet is not known from facts: a finding
names both sides, and whoever reads it knows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import Finding, UnusableRequest
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules import lvs
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.interfaces import key_of
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.words import listed, plural

_RECYCLE = "net.ipv4.tcp_tw_recycle"
_REUSE = "net.ipv4.tcp_tw_reuse"
_TIMESTAMPS = "net.ipv4.tcp_timestamps"
_CONNTRACK = "net.netfilter.nf_conntrack_max"
_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"
# Roles that open connections to others of the fleet, and roles that are connected to.
_OPENING = ("l7_proxy", "client", "kubernetes_node")


@dataclass(frozen=True)
class Member:
    """What the rules compare of one host: small, since a fleet has ten thousand."""

    host: str
    # Hosts of one stratum are meant to be alike.
    stratum: tuple[str, ...]
    kernel: tuple[int, int, int]
    roles: tuple[str, ...]
    front: str | None
    vips: tuple[str, ...]
    offset_per_tuple: bool | None
    proposed: Mapping[str, str]
    reasons: frozenset[str]
    # The values of some keys once the set is live, where known.
    after: Mapping[str, int]
    # ARP setting -> the interfaces on which it will be too low for a virtual address.
    arp_short: Mapping[str, tuple[str, ...]]

    def as_dict(self) -> dict[str, Any]:
        """Plain types, without the name of the host."""
        return {
            "stratum": list(self.stratum),
            "kernel": list(self.kernel),
            "roles": list(self.roles),
            "front": self.front,
            "vips": list(self.vips),
            "offset_per_tuple": self.offset_per_tuple,
            "proposed": dict(self.proposed),
            "reasons": sorted(self.reasons),
            "after": dict(self.after),
            "arp_short": {name: list(interfaces) for name, interfaces in self.arp_short.items()},
        }

    @classmethod
    def read(cls, host: str, raw: Mapping[str, Any]) -> Member:
        """Of what as_dict returned. Raises UnusableRequest."""
        try:
            return cls(
                host=host,
                stratum=tuple(raw["stratum"]),
                kernel=tuple(raw["kernel"]),
                roles=tuple(raw["roles"]),
                front=raw["front"],
                vips=tuple(raw["vips"]),
                offset_per_tuple=raw["offset_per_tuple"],
                proposed=raw["proposed"],
                reasons=frozenset(raw["reasons"]),
                after=raw["after"],
                arp_short={name: tuple(interfaces) for name, interfaces in raw["arp_short"].items()},
            )
        except (AttributeError, KeyError, TypeError):
            raise UnusableRequest(f"{host} has no member of nettune.kernel.sysctl_validate") from None


@dataclass(frozen=True)
class Mismatch:
    keys: tuple[str, ...]
    # The hosts to change.
    hosts: tuple[str, ...]
    message: str
    reason: str
    fix: str


Check = Callable[[Sequence[Member]], Iterator[Mismatch]]


@dataclass(frozen=True)
class FleetRule:
    id: str
    severity: str
    references: tuple[str, ...]
    check: Check
    waivable: bool = True

    @property
    def documentation(self) -> str:
        return inspect.getdoc(self.check) or ""

    def findings(self, members: Sequence[Member]) -> Iterator[Finding]:
        for found in self.check(members):
            yield Finding(
                self.id, self.severity, found.keys, found.message, found.reason, found.fix, self.references, found.hosts
            )


RULES: list[FleetRule] = []


def fleet_rule(severity: str, *references: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        RULES.append(FleetRule(f"fleet.{check.__name__}", severity, references, check))
        return check

    return register


def member(context: Context, stratum: Iterable[str] = ()) -> Member:
    """One host as the fleet's rules see it. stratum: what the rollout stratifies by beside kernel and role."""
    topology = context.topology
    kernel = context.facts.kernel
    after = {key: context.number_after(key) for key in (_RECYCLE, _REUSE, _TIMESTAMPS, _CONNTRACK)}
    return Member(
        host=context.host,
        stratum=(f"{kernel.version[0]}.{kernel.version[1]}", *sorted(topology.roles), *map(str, stratum)),
        kernel=kernel.version,
        roles=topology.roles,
        front=topology.front,
        vips=topology.vips,
        offset_per_tuple=context.facts.timestamp_offset_per_tuple,
        proposed=context.proposed,
        reasons=frozenset(context.reasons),
        after={key: value for key, value in after.items() if value is not None},
        arp_short={name: tuple(interface for interface, _value in lvs.unfit(context, name)) for name in lvs.QUIET}
        if lvs.behind_director(context)
        else {},
    )


def review_fleet(members: Iterable[Member]) -> list[Finding]:
    """What the hosts of a rollout are to each other: findings that name hosts, the worst first."""
    ordered = sorted(members, key=lambda one: one.host)
    found = [finding for rule in RULES for finding in rule.findings(ordered)]
    severities = ("error", "warning", "info")
    return sorted(found, key=lambda finding: severities.index(finding.severity))


def _names(members: Iterable[Member]) -> tuple[str, ...]:
    return tuple(one.host for one in members)


@fleet_rule("error", "commit 4396e46187ca (tcp: remove tcp_tw_recycle)", "commit 165573e41f2f")
def recycle_meets_offsets(members: Sequence[Member]) -> Iterator[Mismatch]:
    """tcp_tw_recycle on one host, and other hosts whose kernels give each connection a timestamp offset of its own
    (4.10, and again since 2026): without any NAT about half of their connections to it fail.
    """
    recycling = [one for one in members if one.after.get(_RECYCLE) and one.after.get(_TIMESTAMPS) != 0]
    offset = [
        one
        for one in members
        if one.after.get(_TIMESTAMPS) in (None, 1)
        and (one.offset_per_tuple is True or (one.offset_per_tuple is None and one.kernel[:2] == (4, 10)))
    ]
    if recycling and offset:
        yield Mismatch(
            (_RECYCLE,),
            _names(recycling),
            f"{_RECYCLE} is on ({listed(_names(recycling))}), and the kernels of {listed(_names(offset))} give each "
            "connection a timestamp offset of its own: about half of the connections between them will fail.",
            "recycle compares the timestamp of a SYN with the last one of the same address; with such offsets every "
            "second one is older. Read from kernel symbols or by version 4.10.",
            f"Write {_RECYCLE} = 0 on {listed(_names(recycling))} first; until then tcp_timestamps = 2 on the others "
            "avoids it.",
        )


@fleet_rule("warning", _IP_SYSCTL)
def reuse_needs_both_ends(members: Sequence[Member]) -> Iterator[Mismatch]:
    """tcp_tw_reuse = 1 on hosts that open connections, and timestamps off on hosts that they may connect to: a port is
    used again only where both ends send timestamps.
    """
    reusing = [
        one for one in members if one.proposed.get(_REUSE) == "1" and one.after.get(_TIMESTAMPS) != 0 and _opens(one)
    ]
    without = [one for one in members if one.after.get(_TIMESTAMPS) == 0]
    changed = any(one.proposed.get(_REUSE) or one.proposed.get(_TIMESTAMPS) for one in (*reusing, *without))
    if reusing and without and changed:
        yield Mismatch(
            (_REUSE, _TIMESTAMPS),
            _names(without),
            f"{_REUSE} = 1 on {listed(_names(reusing))} does nothing for connections to {listed(_names(without))}, "
            f"where {_TIMESTAMPS} = 0.",
            "A port in TIME_WAIT is taken over only where timestamps of both ends prove that the old connection is "
            "over.",
            f"Write {_TIMESTAMPS} = 1 on {listed(_names(without))}.",
        )


def _opens(one: Member) -> bool:
    return not one.roles or any(role in _OPENING for role in one.roles)


@fleet_rule("error", _IP_SYSCTL)
def arp_differs_behind_vip(members: Sequence[Member]) -> Iterator[Mismatch]:
    """Real servers of one virtual address, some of which will answer ARP for it: those draw all its traffic."""
    by_vip: dict[str, list[Member]] = {}
    for one in members:
        for vip in one.vips if one.arp_short else ():
            by_vip.setdefault(vip, []).append(one)
    for vip, servers in sorted(by_vip.items()):
        for name, (quiet, _effect) in lvs.QUIET.items():
            short = [one for one in servers if one.arp_short[name]]
            if not short or len(short) == len(servers):
                continue  # all of them: each host's own finding says so
            where = short[0].arp_short[name][0]
            yield Mismatch(
                (key_of("all", name),),
                _names(short),
                f"{listed(_names(short))} will not hide {vip} by {name} ({where}), unlike "
                f"{plural(len(servers) - len(short), 'real server')} beside it.",
                "Whoever answers ARP for the virtual address gets all its traffic, past the director; the rest of the "
                "pool is idle.",
                f"Write {key_of('all', name)} = {quiet[0]} on {listed(_names(short))}.",
            )


@fleet_rule("warning", "Documentation/networking/nf_conntrack-sysctl.rst")
def standby_tracks_less(members: Sequence[Member]) -> Iterator[Mismatch]:
    """Directors or gateways of one stratum, or of one virtual address, of which one tracks fewer connections: after a
    failover its table is full.
    """
    groups: dict[tuple[str, ...], list[Member]] = {}
    for one in members:
        role = next((role for role in ("lvs_director", "nat_gateway") if role in one.roles), None)
        if role and _CONNTRACK in one.after:
            groups.setdefault((role, *(sorted(one.vips) or one.stratum)), []).append(one)
    for (shared, *_rest), group in sorted(groups.items()):
        most = max(one.after[_CONNTRACK] for one in group)
        less = [one for one in group if one.after[_CONNTRACK] < most]
        if less:
            values = sorted({one.after[_CONNTRACK] for one in less})
            yield Mismatch(
                (_CONNTRACK,),
                _names(less),
                f"{_CONNTRACK} is {listed(map(str, values))} on {listed(_names(less))} and {most} on other hosts with "
                f"role {shared} that may hand over to them.",
                "When the larger one fails, the smaller one gets its connections and drops what does not fit.",
                f"Write {_CONNTRACK} = {most} on {listed(_names(less))}.",
            )


@fleet_rule("warning", "docs/rules/fleet.md")
def uneven_within_stratum(members: Sequence[Member]) -> Iterator[Mismatch]:
    """A key that hosts of one stratum (kernel series, roles, and what the rollout stratifies by) get different values
    for, or that some do not get, without a written reason: mostly a leftover in one host's variables.
    """
    strata: dict[tuple[str, ...], list[Member]] = {}
    for one in members:
        if one.proposed:
            strata.setdefault(one.stratum, []).append(one)
    for stratum, group in sorted(strata.items()):
        if len(group) < 2:
            continue
        # Most fleets get one set: equal dictionaries need no look at their keys.
        kinds: dict[tuple[tuple[str, str], ...], list[Member]] = {}
        for one in group:
            kinds.setdefault(tuple(sorted(one.proposed.items())), []).append(one)
        if len(kinds) > 1:
            yield from _uneven(stratum, group)


def _uneven(stratum: tuple[str, ...], group: Sequence[Member]) -> Iterator[Mismatch]:
    for key in sorted({key for one in group for key in one.proposed}):
        by_value: dict[str | None, list[Member]] = {}
        for one in group:
            by_value.setdefault(one.proposed.get(key), []).append(one)
        usual = max(by_value, key=lambda value: (len(by_value[value]), value or ""))
        others = [one for value, ones in by_value.items() if value != usual for one in ones if key not in one.reasons]
        if not others:
            continue
        values = sorted({_said(one.proposed.get(key)) for one in others})
        yield Mismatch(
            (key,),
            _names(others),
            f"{key} is {listed(values)} for {listed(_names(others))} and {_said(usual)} for the other "
            f"{plural(len(by_value[usual]), 'host')} of stratum {' '.join(stratum)}.",
            "Hosts of one stratum stand for each other: a canary that differs proves nothing for the rest.",
            f"Use one value, or write into tune_reasons why {listed(_names(others))} should differ.",
        )


def _said(value: str | None) -> str:
    return "not set" if value is None else f"{value:.60}"
