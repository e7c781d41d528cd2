# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""security: doors that a set opens, and hardening that breaks what the host is for."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import version
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.interfaces import (
    addressed,
    global_ipv6,
    key_of,
    proposed_for,
    scope_of,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.words import listed

_SYNCOOKIES = "net.ipv4.tcp_syncookies"
_FORWARD = "net.ipv4.ip_forward"
_UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"
_ECHO_ALL = "net.ipv4.icmp_echo_ignore_all"
_ECHO_BROADCAST = "net.ipv4.icmp_echo_ignore_broadcasts"
_SACK = "net.ipv4.tcp_sack"
_CHALLENGE = "net.ipv4.tcp_challenge_ack_limit"
_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"


@rule("warning", _IP_SYSCTL, "RFC 4987", keys=[_SYNCOOKIES])
def syncookies_off(context: Context) -> Iterator[Problem]:
    """tcp_syncookies = 0: a flood of SYNs with forged sources fills the queue of a listener, and nobody gets in."""
    if context.number(_SYNCOOKIES) == 0 and not context.topology.only_client:
        ports = sorted({listener.port for listener in context.facts.listeners if listener.protocol == "tcp"})
        whose = f" ({listed(str(port) for port in ports)})" if ports else ""
        yield Problem(
            (_SYNCOOKIES,),
            f"{_SYNCOOKIES} = 0: a flood of SYNs locks everybody out of the listening ports{whose}.",
            "Cookies are sent only when the SYN queue is full, and cost nothing before.",
            f"Write {_SYNCOOKIES} = 1 instead, or leave the line out: it is the default.",
        )


@rule("warning", _IP_SYSCTL, "RFC 7126, section 4.3", keys=["*.accept_source_route"])
def source_routing(context: Context) -> Iterator[Problem]:
    """accept_source_route = 1 for IPv4: senders choose the way of a packet, past filters.

    It acts where conf.all and the interface both have it. The kernel gives 1 to interfaces and 0 to conf.all, so that
    one of them alone is harmless.
    """
    everywhere = context.number_after(key_of("all", "accept_source_route"))
    for key in proposed_for(context, "accept_source_route"):
        if context.number(key) in (None, 0) or everywhere in (None, 0):
            continue
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]} lets a sender prescribe the route of its packets.",
            "That is a way around filters and into networks that are not routed to it. It acts where conf.all and "
            "conf.<interface> both have it.",
            f"Write {key_of('all', 'accept_source_route')} = 0 instead, which is enough for all interfaces.",
        )


@rule("warning", _IP_SYSCTL, keys=["*.accept_redirects"])
def redirects_accepted(context: Context) -> Iterator[Problem]:
    """accept_redirects = 1 set by hand: a neighbour can change this host's routes."""
    for key in proposed_for(context, "accept_redirects", ("ipv4", "ipv6")):
        if context.number(key) in (None, 0) or context.now(key) == context.proposed[key]:
            continue
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]} lets any neighbour change the routes of this host.",
            "An ICMP redirect carries no proof of who sent it.",
            f"Write {key} = 0 instead, and put the route into the host's own configuration.",
        )


@rule("info", _IP_SYSCTL, keys=[_FORWARD, "net.ipv6.conf.all.forwarding"])
def routes_between_interfaces(context: Context) -> Iterator[Problem]:
    """Forwarding on a host with several interfaces whose declared roles need none."""
    interfaces = addressed(context)
    roles = set(context.topology.roles)
    if len(interfaces) < 2 or not roles or not roles <= {"server", "client", "l7_proxy", "database"}:
        return
    for key in (_FORWARD, "net.ipv6.conf.all.forwarding"):
        if context.number(key) in (None, 0) or context.now(key) == context.proposed[key]:
            continue
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]} lets this {' and '.join(sorted(roles))} route between "
            f"{listed(interfaces)}.",
            "Whoever reaches one of its interfaces may reach the networks of the others through it.",
            "Leave the line out, or drop what must not pass with a filter on forwarded packets.",
        )


@rule("warning", _IP_SYSCTL, keys=["*.route_localnet"])
def loopback_from_outside(context: Context) -> Iterator[Problem]:
    """route_localnet = 1: 127.0.0.0/8 is routed, so that neighbours can reach what listens on localhost."""
    for key in proposed_for(context, "route_localnet"):
        if context.number(key) in (None, 0) or context.now(key) == context.proposed[key]:
            continue
        node = context.topology.has_role("kubernetes_node")
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]} lets hosts of the same network reach services that listen on 127.0.0.1.",
            "The kernel no longer treats 127.0.0.0/8 from outside as impossible"
            + ("; kube-proxy filters such packets in its iptables mode (CVE-2020-8558)." if node else "."),
            "Leave the line out, or drop packets to 127.0.0.0/8 that come in by another interface than lo.",
            severity="info" if node else None,
        )


@rule("warning", _IP_SYSCTL, keys=[_UNPRIVILEGED])
def privileged_ports(context: Context) -> Iterator[Problem]:
    """ip_unprivileged_port_start low enough that any program may take the port of a system service while that
    restarts.
    """
    start = context.number(_UNPRIVILEGED)
    if start is None or not 0 <= start < 1024:
        return
    listening = {listener.port for listener in context.facts.listeners}
    exposed = sorted(port for port in listening if start <= port < 1024)
    alone = context.facts.container is not None and context.facts.own_network_namespace is True
    if alone or not (exposed or start <= 22):
        return
    named = listed(str(port) for port in exposed) if exposed else "22 among them"
    yield Problem(
        (_UNPRIVILEGED,),
        f"{_UNPRIVILEGED} = {start}: any program of any user may listen on ports from {start} on ({named}).",
        "While sshd or another service restarts, somebody else can take its port and receive its clients.",
        f"Write {_UNPRIVILEGED} = 80 if a web server without root is what you want (better: CAP_NET_BIND_SERVICE for "
        "that program), or leave the line out.",
        severity="info" if start > 22 else None,
    )


@rule("warning", _IP_SYSCTL, keys=[_ECHO_ALL, _ECHO_BROADCAST])
def echo(context: Context) -> Iterator[Problem]:
    """icmp_echo_ignore_all = 1, which hides the host from health checks by ping; icmp_echo_ignore_broadcasts = 0, which
    makes it an amplifier.
    """
    if context.number(_ECHO_ALL) == 1 and context.now(_ECHO_ALL) != "1":
        front = context.topology.front
        checked = f", also for {front} in front if it checks by ping" if front in _BALANCED else ""
        yield Problem(
            (_ECHO_ALL,),
            f"{_ECHO_ALL} = 1 makes this host look dead to every check by ping{checked}.",
            "It hides nothing: a TCP connection to any port finds the host. Monitoring and the search for a fault "
            "lose their first tool.",
            f"Write {_ECHO_ALL} = 0 instead, and limit the rate with net.ipv4.icmp_ratelimit or a filter.",
        )
    if context.number(_ECHO_BROADCAST) == 0:
        yield Problem(
            (_ECHO_BROADCAST,),
            f"{_ECHO_BROADCAST} = 0 makes this host answer pings that were sent to everybody.",
            "With a forged source that floods a victim with the answers of a whole network.",
            f"Write {_ECHO_BROADCAST} = 1 instead, or leave the line out: it is the default.",
        )


_BALANCED = ("lvs_dr", "lvs_nat", "lvs_tun", "lvs_fullnat", "l7")


@rule("warning", "CVE-2019-11477", "RFC 2018", keys=[_SACK])
def sack_off(context: Context) -> Iterator[Problem]:
    """tcp_sack = 0, the makeshift of 2019: kernels since then have the fix, and one lost packet now costs much more."""
    if context.number(_SACK) != 0:
        return
    fixed = context.facts.kernel.version >= version("5.2")
    yield Problem(
        (_SACK,),
        f"{_SACK} = 0: after several losses in a window TCP sends again what had arrived, one round trip for each.",
        "It was the makeshift against CVE-2019-11477; "
        + (
            f"kernel {context.facts.kernel.release} has the fix."
            if fixed
            else "vendors' updates of June 2019 and later have the fix."
        ),
        f"Write {_SACK} = 1 instead, or leave the line out: it is the default.",
    )


@rule("info", "CVE-2016-5696", keys=[_CHALLENGE])
def challenge_ack_limit(context: Context) -> Iterator[Problem]:
    """tcp_challenge_ack_limit raised against the side channel of 2016, which newer kernels do not have."""
    number = context.number(_CHALLENGE)
    if number is None or number <= 1000 or context.facts.kernel.version < version("4.7"):
        return
    if context.now(_CHALLENGE) == context.proposed[_CHALLENGE]:
        return
    yield Problem(
        (_CHALLENGE,),
        f"{_CHALLENGE} = {number} is not needed on kernel {context.facts.kernel.release}.",
        "The side channel of 2016 (CVE-2016-5696) was closed in 4.7: the limit there varies at random.",
        "Leave the line out.",
    )


@rule("error", "Documentation/networking/ipv6.rst", keys=["*.disable_ipv6"])
def ipv6_in_use(context: Context) -> Iterator[Problem]:
    """disable_ipv6 = 1, from a hardening guide, on a host that uses IPv6: its addresses are gone at once, and not back
    with 0.
    """
    for key in proposed_for(context, "disable_ipv6", ("ipv6",)):
        scope = scope_of(key)
        if context.number(key) != 1 or context.now(key) == "1" or scope == "default":
            continue
        held = [
            f"{address} on {name}" for name, address in global_ipv6(context) if scope in ("all", name.replace(".", "/"))
        ]
        local = scope in ("all", "lo") and any(listener.address == "::1" for listener in context.facts.listeners)
        if not held and not local:
            continue
        what = f"removes {listed(held)}" if held else "removes ::1, on which a program of this host listens"
        yield Problem(
            (key,),
            f"{key} = 1 {what}.",
            "Addresses go the moment that it is written, with the connections on them; setting 0 again does not bring "
            "static ones back.",
            "Leave the line out, or take the addresses and the names that lead to them away first.",
        )
