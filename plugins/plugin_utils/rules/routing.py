# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""routing: forwarding, and which way back is believed."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.interfaces import (
    addressed,
    effective,
    global_ipv6,
    key_of,
    proposed_for,
    scope_of,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.words import listed

_FORWARD = "net.ipv4.ip_forward"
_FORWARD_ALL = "net.ipv4.conf.all.forwarding"
_FORWARD_IPV6 = "net.ipv6.conf.all.forwarding"
_BRIDGE = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
_NEIGHBOURS = ("gc_thresh1", "gc_thresh2", "gc_thresh3")
_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"
# Roles that forward packets, and what stops without it.
_FORWARDING_ROLES = {
    "nat_gateway": "the hosts behind it lose their way out",
    "kubernetes_node": "pods lose each other and the world",
}


@rule("error", _IP_SYSCTL, keys=[_FORWARD, "*.forwarding"])
def forwarding_off(context: Context) -> Iterator[Problem]:
    """ip_forward = 0 on a host whose role is to forward.

    A warning for one interface of several: only packets that come in by it are dropped. An LVS NAT director needs it
    where answers of its real servers come in.
    """
    stops = [(role, stop) for role, stop in _FORWARDING_ROLES.items() if context.topology.has_role(role)]
    if not stops and context.topology.has_role("lvs_director") and context.topology.front == "lvs_nat":
        stops = [("lvs_director", "LVS NAT stops")]
    if not stops:
        return
    interfaces = addressed(context)
    for key in [_FORWARD, *proposed_for(context, "forwarding")]:
        if context.number(key) != 0 or key == key_of("default", "forwarding"):
            continue
        interface = scope_of(key).replace("/", ".") if key not in (_FORWARD, _FORWARD_ALL) else ""
        if interface and interface not in interfaces:
            continue
        partly = bool(interface) and len(interfaces) > 1
        dropped = f"that come in by {interface} and " if interface else ""
        for role, stop in stops:
            now = context.now(key)
            yield Problem(
                (key,),
                f"{key} = 0 on a {role} ({context.topology.source('role')}): {stop}"
                + (f" as far as {interface} is concerned." if partly else "."),
                f"Packets {dropped}that are not for this host are dropped." + (f" It is {now} now." if now else ""),
                f"Write {key} = 1 instead, or leave the line out.",
                severity="warning" if partly else None,
            )


@rule("info", _IP_SYSCTL, "net/ipv4/devinet.c, inet_forward_change", keys=[_FORWARD])
def forwarding_resets(context: Context) -> Iterator[Problem]:
    """A new value of ip_forward, which sets other keys too: conf.*.forwarding of every interface to the same value, and
    conf.all.accept_redirects to the opposite one.

    A warning where the same set gives such a key another value before it: the later ip_forward then undoes that.
    """
    now, proposed = context.number_now(_FORWARD), context.number(_FORWARD)
    if proposed is None or now is None or bool(proposed) == bool(now):
        return
    opposite = "0" if proposed else "1"
    order = list(context.proposed)
    undone = [
        key
        for key in order[: order.index(_FORWARD)]
        if (
            (key == "net.ipv4.conf.all.accept_redirects" and context.proposed[key] != opposite)
            or (key in proposed_for(context, "forwarding") and (context.number(key) != 0) != (proposed != 0))
        )
    ]
    yield Problem(
        (_FORWARD, *undone),
        f"{_FORWARD} goes from {now} to {proposed} and takes conf.*.forwarding of all interfaces with it; "
        f"conf.all.accept_redirects becomes {opposite}."
        + (f" The set gives {listed(undone)} another value before, which that undoes." if undone else ""),
        "Writing it puts these keys on the defaults of a router or of a host, whatever was written before.",
        f"Put {_FORWARD} first in the set." if undone else "Set what must differ after it, in the same set.",
        severity="warning" if undone else None,
    )


@rule("warning", _IP_SYSCTL, "RFC 3704", keys=["*.rp_filter"])
def strict_rp_filter(context: Context) -> Iterator[Problem]:
    """rp_filter = 1 on a host with several interfaces, or with pods: replies may come by another way than packets
    leave. On a host with one interface, LVS DR real servers among them, it is harmless.
    """
    interfaces = addressed(context)
    node = "kubernetes_node" in context.topology.roles
    if len(interfaces) < 2 and not node:
        return
    for key in proposed_for(context, "rp_filter"):
        scope = key.split(".")[3]
        if context.number(key) != 1 or scope in ("lo", "default") or context.now(key) == "1":
            continue
        # The larger of all and of the interface acts: strict filtering of one does nothing against loose of the other.
        touched = interfaces if scope == "all" else [scope.replace("/", ".")]
        strict = [one for one in touched if effective(context, "rp_filter", one) in (1, None)]
        if touched and not strict:
            continue
        where = "a node with pods" if node else f"a host with {len(interfaces)} interfaces ({', '.join(interfaces)})"
        yield Problem(
            (key,),
            f"{key} = 1 on {where} drops packets that come in by {' or '.join(strict) or 'an interface'} while the way "
            "back goes out by another.",
            "Strict filtering believes a source only on the interface of its route; policy routing, several uplinks "
            "and tunnels break on it. The larger of conf.all and conf.<interface> counts.",
            f"Write {key} = 2 instead, for which any interface will do, or 0.",
        )


_DEFAULTS = ("net.ipv4.conf.default.", "net.ipv6.conf.default.")


@rule("info", _IP_SYSCTL, "net/ipv4/devinet.c, inetdev_init")
def only_for_later_interfaces(context: Context) -> Iterator[Problem]:
    """A key of conf.default, and none of that name for conf.all or an interface: default is copied when an interface is
    made, and those that are there keep what they have.
    """
    here = [str(item.get("name")) for item in context.facts.interfaces if item.get("name") not in (None, "lo")]
    for key in [key for key in context.proposed if key.startswith(_DEFAULTS)]:
        _net, protocol, _conf, _default, name = key.split(".", 4)
        value = context.proposed[key]
        if len(proposed_for(context, name, (protocol,))) > 1:
            continue
        now = {one: context.now(f"net.{protocol}.conf.{one.replace('.', '/')}.{name}") for one in here}
        others = [one if kept is None else f"{one} ({kept})" for one, kept in now.items() if kept != value]
        if others:
            yield Problem(
                (key,),
                f"{key} = {value:.60} changes nothing on {listed(others)}: it is for interfaces that come later.",
                "The values of conf.default are copied when an interface is made. At boot, it depends on whether a "
                "network card is found before or after the file is read.",
                f"Set net.{protocol}.conf.all.{name} or the interfaces themselves too, if those are meant.",
            )


# Keys of TCP and of sockets, which a packet that is passed on never meets.
_OF_SOCKETS = ("net.ipv4.tcp_", "net.ipv4.ip_local_port_range", "net.ipv4.udp_", "net.core.somaxconn")
_PASSING_ON = {
    "nat_gateway": "net.netfilter.nf_conntrack_* holds the limits and the time-outs of those, and NAT takes its ports "
    "from the rule, or from 1024 to 65535",
    "lvs_director": "the time-outs of those are IPVS's own (ipvsadm --set)",
}


@rule("info", _IP_SYSCTL, "Documentation/networking/nf_conntrack-sysctl.rst")
def ends_here(context: Context) -> Iterator[Problem]:
    """Keys of TCP and of sockets on a host that only passes packets on: they act on connections that end on the host
    itself, such as its ssh.
    """
    roles = context.topology.roles
    if not roles or not _PASSING_ON.keys() >= set(roles):
        return
    keys = tuple(key for key in context.proposed if key.startswith(_OF_SOCKETS))
    if not keys:
        return
    yield Problem(
        keys,
        f"On a {' and '.join(roles)} ({context.topology.source('role')}) {listed(keys, 3)} "
        f"{'acts' if len(keys) == 1 else 'act'} on connections of the host itself, not on those that it passes on.",
        f"A packet that is passed on belongs to no socket here: {'; '.join(_PASSING_ON[role] for role in roles)}.",
        f"Leave {'it' if len(keys) == 1 else 'them'} out, unless the host's own connections are meant.",
    )


_NO_ANSWER = 8


@rule("error", _IP_SYSCTL, keys=["*.arp_ignore"])
def arp_unanswered(context: Context) -> Iterator[Problem]:
    """arp_ignore = 8: no ARP request is answered, whatever address it is for."""
    for key in proposed_for(context, "arp_ignore"):
        scope = scope_of(key)
        if context.number(key) != _NO_ANSWER or scope in ("lo", "default"):
            continue
        touched = addressed(context) if scope == "all" else [scope.replace("/", ".")]
        if touched and all(effective(context, "arp_ignore", one) not in (_NO_ANSWER, None) for one in touched):
            continue
        yield Problem(
            (key,),
            f"{key} = 8 answers no ARP request on {listed(touched) or 'any interface'}: neighbours, the router among "
            "them, no longer find this host.",
            "They reach it only while they remember where it is, or after it has asked for them itself.",
            f"Write {key} = 1 instead, which answers for addresses of the interface that is asked.",
        )


@rule("warning", _IP_SYSCTL, keys=["*.rp_filter", "*.arp_ignore", "*.arp_announce"])
def lowered_in_vain(context: Context) -> Iterator[Problem]:
    """conf.all lowered while the interfaces hold a higher value: the larger counts, so that nothing changes."""
    for name in ("rp_filter", "arp_ignore", "arp_announce"):
        key = f"net.ipv4.conf.all.{name}"
        proposed, now = context.number(key), context.number_now(key)
        if proposed is None or now is None or proposed >= now:
            continue
        higher = {
            interface: value
            for interface in addressed(context)
            if (value := effective(context, name, interface)) is not None and value > proposed
        }
        if higher:
            interfaces = listed(f"{interface} ({value})" for interface, value in higher.items())
            yield Problem(
                (key,),
                f"{key} = {proposed} changes nothing on these interfaces, whose own value is larger: {interfaces}.",
                "The larger of conf.all and conf.<interface> counts.",
                f"Set {key_of(min(higher), name)} = {proposed} too, and so on for each of them.",
            )


@rule("warning", _IP_SYSCTL, "RFC 4861", keys=[_FORWARD_IPV6])
def router_ignores_advertisements(context: Context) -> Iterator[Problem]:
    """IPv6 forwarding switched on while interfaces have accept_ra = 1: a router no longer listens to router
    advertisements, and a default route that came by them expires.
    """
    if context.number(_FORWARD_IPV6) in (None, 0) or context.now(_FORWARD_IPV6) == context.proposed[_FORWARD_IPV6]:
        return
    deaf = []
    for interface in dict.fromkeys(name for name, _address in global_ipv6(context)):
        key = f"net.ipv6.conf.{interface.replace('.', '/')}.accept_ra"
        if context.number_after(key) == 1:
            deaf.append((interface, key))
    if deaf:
        yield Problem(
            (_FORWARD_IPV6,),
            f"{_FORWARD_IPV6} = {context.proposed[_FORWARD_IPV6]} makes {listed(name for name, _key in deaf)} ignore "
            "router advertisements.",
            "accept_ra = 1 holds only for hosts that do not forward. A default route and addresses that came by "
            "advertisements expire, mostly within 30 minutes.",
            f"Set {deaf[0][1]} = 2 too where the route comes by advertisements, or 0 to say that it is static.",
        )


@rule("error", "Documentation/networking/bridge.rst", keys=_BRIDGE)
def bridge_bypasses_services(context: Context) -> Iterator[Problem]:
    """bridge-nf-call-iptables = 0 on a Kubernetes node: packets between pods of one bridge no longer pass the rules
    that make service addresses work.
    """
    if not context.topology.has_role("kubernetes_node"):
        return
    for key in _BRIDGE:
        if context.number(key) == 0:
            yield Problem(
                (key,),
                f"{key} = 0 on a kubernetes_node ({context.topology.source('role')}): service addresses fail between "
                "pods of this node.",
                "kube-proxy and bridged networks rely on bridged packets passing the filter rules.",
                f"Write {key} = 1 instead.",
            )


@rule("warning", _IP_SYSCTL, "arp(7)", keys=[f"*.{name}" for name in _NEIGHBOURS])
def neighbour_table(context: Context) -> Iterator[Problem]:
    """Thresholds of the neighbour table that are not in rising order, or whose last one is lower than before: beyond it
    no new neighbour can be reached.
    """
    for protocol in ("ipv4", "ipv6"):
        keys = [f"net.{protocol}.neigh.default.{name}" for name in _NEIGHBOURS]
        values = [context.number_after(key) for key in keys]
        known = [value for value in values if value is not None]
        changed = tuple(key for key in keys if context.sets(key))
        if not changed or any(value < 0 for value in known):
            continue
        if known != sorted(known):
            shown = ", ".join(
                f"{name} {value}" for name, value in zip(_NEIGHBOURS, values, strict=True) if value is not None
            )
            yield Problem(
                changed,
                f"The neighbour table of {protocol} has thresholds out of order: {shown}.",
                "Below the first nothing is collected, above the second what is old, and the third is the end: more "
                'neighbours than that cannot be reached ("neighbour table overflow").',
                f"Write them in rising order, such as {' '.join(str(value) for value in sorted(known))}.",
            )
            continue
        last, now = context.number(keys[2]), context.number_now(keys[2])
        if last is not None and last < (1024 if now is None else now):
            yield Problem(
                (keys[2],),
                f"{keys[2]} = {last} is less than the {1024 if now is None else now} that hold now.",
                'Beyond it new neighbours cannot be reached ("neighbour table overflow" in the log).',
                f"Leave it at {1024 if now is None else now} or more.",
            )


@rule("warning", _IP_SYSCTL, "RFC 1191", keys=["net.ipv4.ip_no_pmtu_disc"])
def path_mtu_discovery_off(context: Context) -> Iterator[Problem]:
    """ip_no_pmtu_disc = 1: the size that a path can carry is no longer looked for."""
    if context.number("net.ipv4.ip_no_pmtu_disc") == 1:
        yield Problem(
            ("net.ipv4.ip_no_pmtu_disc",),
            "net.ipv4.ip_no_pmtu_disc = 1 sends packets that routers may fragment, and never learns what a path "
            "carries.",
            "Fragments cost routers and receivers work, and many filters and load balancers drop them.",
            "Write net.ipv4.tcp_mtu_probing = 1 instead, which finds paths whose ICMP messages are filtered.",
        )
