# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""routing: forwarding, and which way back is believed."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.interfaces import addressed, effective, proposed_for
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule

_FORWARD = "net.ipv4.ip_forward"
_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"
# Roles that forward packets, and what stops without it.
_FORWARDING_ROLES = {
    "nat_gateway": "the hosts behind it lose their way out",
    "kubernetes_node": "pods lose each other and the world",
}


@rule("error", _IP_SYSCTL)
def forwarding_off(context: Context) -> Iterator[Problem]:
    """ip_forward = 0 on a host whose role is to forward."""
    if context.number(_FORWARD) != 0:
        return
    stops = [(role, stop) for role, stop in _FORWARDING_ROLES.items() if role in context.topology.roles]
    if not stops and "lvs_director" in context.topology.roles and context.topology.front == "lvs_nat":
        stops = [("lvs_director", "LVS NAT stops")]
    for role, stop in stops:
        yield Problem(
            (_FORWARD,),
            f"{_FORWARD} = 0 on a {role} ({context.topology.source('role')}): {stop}.",
            f"Packets that are not for this host are dropped. It is {context.now(_FORWARD) or 'not known'} now."
            if context.now(_FORWARD)
            else "Packets that are not for this host are dropped.",
            f"Write {_FORWARD} = 1, or leave the line out.",
        )


@rule("info", _IP_SYSCTL, "net/ipv4/devinet.c, inet_forward_change")
def forwarding_resets(context: Context) -> Iterator[Problem]:
    """A new value of ip_forward, which sets other keys of all interfaces too."""
    now = context.number_now(_FORWARD)
    if context.number(_FORWARD) is not None and now is not None and context.number(_FORWARD) != now:
        yield Problem(
            (_FORWARD,),
            f"{_FORWARD} goes from {now} to {context.proposed[_FORWARD]} and takes conf.*.forwarding and "
            "conf.*.accept_redirects of all interfaces with it.",
            "Writing it puts per-interface keys on the defaults of a router or of a host.",
            "Set what must differ after it, in the same set.",
        )


@rule("warning", _IP_SYSCTL, "RFC 3704")
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
        # Loose filtering of all wins over strict filtering of one.
        if scope != "all" and (context.number_after("net.ipv4.conf.all.rp_filter") or 0) == 2:
            continue
        where = "a node with pods" if node else f"a host with {len(interfaces)} interfaces ({', '.join(interfaces)})"
        yield Problem(
            (key,),
            f"{key} = 1 on {where} drops packets that come in by another interface than the way back goes out.",
            "Strict filtering believes a source only on the interface of its route; policy routing, several uplinks "
            "and tunnels break on it. The larger of conf.all and conf.<interface> counts.",
            f"Write {key} = 2 (any interface will do), or 0.",
        )


@rule("warning", _IP_SYSCTL)
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
            listed = ", ".join(f"{interface} {value}" for interface, value in higher.items())
            yield Problem(
                (key,),
                f"{key} = {proposed} is outvoted: {listed}.",
                "The larger of conf.all and conf.<interface> counts.",
                f"Set net.ipv4.conf.<interface>.{name} as well.",
            )
