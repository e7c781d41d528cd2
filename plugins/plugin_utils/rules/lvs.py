# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lvs: real servers behind IP Virtual Server that hold the virtual address themselves (DR and TUN), and directors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.interfaces import (
    addressed,
    effective,
    key_of,
    proposed_for,
    scope_of,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule

_REFERENCE = "Documentation/networking/ip-sysctl.rst"
_TUNNELS = ("tunl", "ipip")

# Effective values with which a real server keeps the virtual address to itself, and what it does with others. From 4 on
# arp_ignore does as 0, apart from 8, of which routing.arp_unanswered has more to say; 3 hides only addresses of scope
# host, which `ip address add` does not give.
QUIET = {
    "arp_ignore": (
        (1, 2, 8),
        "answers ARP requests for the virtual address and draws its traffic away from the director",
    ),
    "arp_announce": ((2,), "tells its neighbours by ARP that the virtual address is here"),
}


def behind_director(context: Context) -> bool:
    """Whether this is a real server that holds the virtual address itself."""
    return context.topology.front in ("lvs_dr", "lvs_tun") and not context.topology.has_role("lvs_director")


def unfit(context: Context, name: str) -> list[tuple[str, int]]:
    """(interface, effective value) of interfaces where it is known not to be one of QUIET."""
    values = ((interface, effective(context, name, interface)) for interface in addressed(context))
    return [(interface, value) for interface, value in values if value is not None and value not in QUIET[name][0]]


def _unfit_keys(context: Context, name: str) -> list[str]:
    """Keys of the set whose values are not of QUIET, and count for packets of others."""
    keys = [key for key in proposed_for(context, name) if scope_of(key) not in ("lo", "default")]
    return [key for key in keys if (value := context.number(key)) is not None and value not in QUIET[name][0]]


def _only_on_lo(context: Context, name: str) -> bool:
    return context.sets(key_of("lo", name)) and not any(
        context.sets(key_of(one, name)) for one in ("all", *addressed(context))
    )


@rule("error", _REFERENCE, keys=["*.arp_ignore", "*.arp_announce"])
def arp_on_lo_only(context: Context) -> Iterator[Problem]:
    """ARP settings on lo alone: requests come in by another interface, whose value and conf.all's count."""
    if not behind_director(context):
        return
    for name, (quiet, effect) in QUIET.items():
        on_lo = key_of("lo", name)
        if not context.number(on_lo) or not _only_on_lo(context, name):
            continue
        known = addressed(context)
        everywhere = context.number_now(key_of("all", name))
        values = [effective(context, name, interface) for interface in known]
        certain = bool(unfit(context, name))
        if not certain and (everywhere in quiet or (values and None not in values)):
            continue
        yield Problem(
            (on_lo,),
            f"{on_lo} = {context.proposed[on_lo]} alone does nothing: this real server "
            f"{'still' if certain else 'perhaps'} {effect}.",
            f"ARP comes in by {', '.join(known) or 'the network interface'}, not by lo; there the larger of "
            "conf.all and conf.<interface> counts.",
            f"Write {key_of('all', name)} = {quiet[0]} instead.",
            severity=None if certain else "warning",
        )


@rule("error", _REFERENCE, keys=["*.arp_ignore", "*.arp_announce"])
def arp_unfit(context: Context) -> Iterator[Problem]:
    """On a DR or TUN real server, arp_ignore that comes to something else than 1 or 2, or arp_announce to something
    else than 2, by this set. 3 and more are no stricter: both then do as 0, but arp_ignore = 3 hides addresses of scope
    host.
    """
    if not behind_director(context):
        return
    for name, (quiet, effect) in QUIET.items():
        keys, found = _unfit_keys(context, name), unfit(context, name)
        # Interfaces unknown: what is set for all decides, and a higher one elsewhere is a guess.
        if not keys or (not found and (addressed(context) or key_of("all", name) not in keys)):
            continue
        where = ", ".join(f"{interface} ({value})" for interface, value in found) or "all interfaces"
        yield Problem(
            tuple(keys),
            f"{keys[0]} = {context.proposed[keys[0]]} on {where}: this real server {effect}.",
            f"Behind {context.topology.front} ({context.topology.source('front')}) the virtual address is on every "
            "real server, and only the director may own up to it.",
            f"Write {key_of('all', name)} = {quiet[0]} instead.",
        )


@rule("warning", _REFERENCE)
def arp_missing(context: Context) -> Iterator[Problem]:
    """A DR or TUN real server with a known virtual address, whose live ARP settings are not those that it needs, and a
    set that leaves them so. Rules of arptables or nftables can do the same work unseen.
    """
    if not behind_director(context) or not context.topology.vips:
        return
    for name, (quiet, effect) in QUIET.items():
        found = unfit(context, name)
        if not found or _unfit_keys(context, name) or _only_on_lo(context, name):
            continue
        listed = ", ".join(f"{interface} ({value})" for interface, value in found)
        yield Problem(
            (key_of("all", name),),
            f"{name} does not hide the virtual address {', '.join(context.topology.vips)} on {listed}: this real "
            f"server {effect}.",
            f"Behind {context.topology.front} ({context.topology.source('front')}) every real server holds the "
            "virtual address. The larger of conf.all and conf.<interface> counts.",
            f"Set {key_of('all', name)} = {quiet[0]} too, or waive this where arptables or nftables does it.",
        )


def _is_bare(interface: Mapping[str, Any]) -> bool:
    """Up, and known to have no IPv4 address."""
    addresses = interface.get("addresses")
    if not isinstance(addresses, (list, tuple)) or interface.get("state") in (None, "down"):
        return False
    return not any("." in str(address) for address in addresses)


def _drops_from_tunnels(context: Context, scope: str) -> bool | None:
    """Whether rp_filter of this scope makes a tunnel drop what comes out of it; None: perhaps.

    The loose filter, 2, is content with any interface for the way back, but asks for an address where packets come in.
    """
    if scope == "default":  # For tunnels that are made later.
        return False if context.number_after(key_of("all", "rp_filter")) == 2 else None
    bare = {str(interface.get("name")): _is_bare(interface) for interface in context.facts.interfaces}
    # Where none is seen, it is yet to be made.
    tunnels = [name for name in bare if name.startswith(_TUNNELS)] or ["tunl0"]
    if scope != "all":
        tunnels = [scope.replace("/", ".")] if scope.startswith(_TUNNELS) else []
    values = [(effective(context, "rp_filter", tunnel), bare.get(tunnel, False)) for tunnel in tunnels]
    if any(value == 1 or (value == 2 and is_bare) for value, is_bare in values):
        return True
    return None if any(value is None for value, _is_bare in values) else False


@rule("error", _REFERENCE, "RFC 3704", "net/ipv4/fib_frontend.c, __fib_validate_source", keys=["*.rp_filter"])
def strict_rp_filter_with_tunnel(context: Context) -> Iterator[Problem]:
    """rp_filter = 1 on an LVS TUN real server: packets come out of the tunnel with sources whose way back is the
    network interface, and are dropped. 2 does the same on a tunnel without an address, where the virtual address is on
    lo.

    A warning where the value that acts on the tunnel is not known, and for conf.default, which only tunnels made later
    take over.
    """
    if context.topology.front != "lvs_tun" or not behind_director(context):
        return
    for key in proposed_for(context, "rp_filter"):
        value, scope = context.number(key), scope_of(key)
        if value not in (1, 2):
            continue
        drops = _drops_from_tunnels(context, scope)
        if drops is False or (value == 2 and drops is None):
            continue
        source = context.topology.source("front")
        if drops:
            effect = "drops what comes out of the tunnel"
        elif scope == "default":
            effect = "drops what comes out of a tunnel that is made later"
        else:
            effect = "drops what comes out of the tunnel, unless conf.all or the tunnel's own value is 2"
        yield Problem(
            (key,),
            f"{key} = {value} behind LVS TUN ({source}) {effect}.",
            "The client's address is routed by the network interface, and strict filtering wants it to come in by "
            "that. The larger of conf.all and conf.<interface> counts."
            if value == 1
            else "On an interface without an address the loose filter drops like the strict one. The larger of "
            "conf.all and conf.<interface> counts.",
            f"Write {key} = 0 instead, and 0 or 2 for the tunnel's interface."
            if value == 1
            else "Write 0 for conf.all and for the tunnel's interface, or put the virtual address on the tunnel.",
            severity=None if drops else "warning",
        )


_VS = "net.ipv4.vs."
# Keys that act with some ways of forwarding only.
_METHODS = {
    f"{_VS}snat_reroute": ("lvs_nat", "lvs_fullnat"),
    f"{_VS}nat_icmp_send": ("lvs_nat", "lvs_fullnat"),
    f"{_VS}pmtu_disc": ("lvs_tun",),
}
_REUSE_MODE = f"{_VS}conn_reuse_mode"
_VS_CONNTRACK = f"{_VS}conntrack"
_EXPIRE = f"{_VS}expire_nodest_conn"
_IPVS = "Documentation/networking/ipvs-sysctl.rst"
# The first kernel that reschedules a connection on a port used again without a second's delay under conntrack.
_NO_DELAY = (5, 9, 0)


def _director(context: Context) -> bool:
    return context.topology.has_role("lvs_director")


@rule("info", _IPVS, keys=_METHODS)
def other_forwarding_method(context: Context) -> Iterator[Problem]:
    """A key of IPVS that acts with another way of forwarding than the one that this director is declared with."""
    front = context.topology.front
    if not _director(context) or front not in ("lvs_dr", "lvs_nat", "lvs_tun", "lvs_fullnat"):
        return
    for key, methods in _METHODS.items():
        if context.sets(key) and front not in methods:
            yield Problem(
                (key,),
                f"{key} = {context.proposed[key]} has no effect on a director that forwards by {front}.",
                f"It acts with {' and '.join(methods)}: only there answers come back through the director or packets "
                "are wrapped.",
                "Leave the line out.",
            )


@rule(
    "warning",
    _IPVS,
    "commit f0a5e4d7a594 (ipvs: allow connection reuse for unconfirmed conntrack)",
    keys=[_REUSE_MODE, _VS_CONNTRACK],
)
def connection_reuse(context: Context) -> Iterator[Problem]:
    """conn_reuse_mode = 0, with which a client that uses a port again goes to the server of its last connection, also
    when that has been taken out; or anything else together with conntrack before 5.9, with which such a connection
    waits a second.

    Information where 1 is set on a director of DR or TUN: there it does as 0, and 3 does what 1 does with NAT.
    expire_nodest_conn = 1 sends such clients to another server with any of them.
    """
    mode, conntrack = context.number_after(_REUSE_MODE), context.number_after(_VS_CONNTRACK)
    mode = 1 if mode is None else mode
    old = context.facts.kernel.version < _NO_DELAY and not context.facts.kernel.backports
    front = context.topology.front
    one_sided = front in ("lvs_dr", "lvs_tun")
    if mode != 0 and conntrack == 1 and old:
        yield Problem(
            tuple(key for key in (_REUSE_MODE, _VS_CONNTRACK) if context.sets(key)),
            f"{_VS_CONNTRACK} = 1 with {_REUSE_MODE} = {mode} on kernel {context.facts.kernel.release}: a connection "
            "from a port that was used shortly before waits one second.",
            "The director drops the first SYN, to be rid of the old conntrack entry, and the client sends it again.",
            f"Write {_VS_CONNTRACK} = 0 where no filter rule needs it, or use 5.9 or later.",
        )
    elif context.number_after(_EXPIRE) == 1 or (old and conntrack == 1):
        return
    elif context.number(_REUSE_MODE) == 0:
        yield Problem(
            (_REUSE_MODE,),
            f"{_REUSE_MODE} = 0 sends a client that uses a port again to the server that had its last connection, even "
            "one that was taken out.",
            "It was the way around a delay of one second before 5.9, where conntrack is on."
            + (" This kernel does not have that delay." if not old else " It is not on here."),
            f"Write {_REUSE_MODE} = {3 if one_sided else 1} instead"
            + (f", or {_EXPIRE} = 1 too." if one_sided else ", or leave the line out: it is the default."),
        )
    elif context.number(_REUSE_MODE) == 1 and one_sided:
        yield Problem(
            (_REUSE_MODE,),
            f"{_REUSE_MODE} = 1 does as 0 on a director that forwards by {front}: a client that uses a port again goes "
            "to the server that had its last connection, even one that was taken out.",
            "1 acts on connections in TIME_WAIT. This director sees only what clients send, and for it connections end "
            "in FIN_WAIT.",
            f"Write {_REUSE_MODE} = 3 instead, or {_EXPIRE} = 1 too.",
            severity="info",
        )


@rule("warning", _REFERENCE, "RFC 1812, section 5.2.7.2", keys=["*.send_redirects"])
def director_redirects(context: Context) -> Iterator[Problem]:
    """send_redirects = 1 on an LVS NAT director with one interface: it tells real servers to answer clients of their
    own network directly, and the client then sees an answer from a stranger.
    """
    if not _director(context) or context.topology.front != "lvs_nat" or len(addressed(context)) > 1:
        return
    for key in proposed_for(context, "send_redirects"):
        if context.number(key) == 1 and context.now(key) != "1":
            yield Problem(
                (key,),
                f"{key} = 1 on a director of LVS NAT with one interface tells real servers to pass it by.",
                "A packet that leaves by the interface it came in by draws a redirect; an answer that does not return "
                "through the director is not translated back.",
                f"Write {key} = 0 instead; the larger of conf.all and conf.<interface> counts.",
            )
