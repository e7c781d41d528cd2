# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Per-interface keys of net.ipv4.conf as they act: the larger of `all` and of the interface that handles the packet."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context

# Names of interfaces that clients' packets do not come in by.
_INTERNAL = ("lo", "dummy", "tunl", "ipip", "gre", "sit", "ip6tnl", "kube-ipvs", "nodelocaldns", "veth", "cali", "cni")


def key_of(interface: str, name: str) -> str:
    """The canonical key: a dot in an interface's name becomes a slash."""
    return f"net.ipv4.conf.{interface.replace('.', '/')}.{name}"


def scope_of(key: str) -> str:
    """all, default, or the interface of a key net.*.conf.SCOPE.name."""
    return key.split(".")[3]


def _addresses(context: Context) -> Iterator[tuple[str, str]]:
    """(interface, address with its prefix) as strings, whatever the facts hold."""
    for item in context.facts.interfaces:
        name, addresses = item.get("name"), item.get("addresses")
        if isinstance(name, str) and isinstance(addresses, (list, tuple)):
            for address in addresses:
                yield str(name), str(address)


def addressed(context: Context) -> list[str]:
    """Interfaces with an IPv4 address by which packets of others come in."""
    found = (
        name
        for name, address in _addresses(context)
        if "." in address and ":" not in address and not name.startswith(_INTERNAL)
    )
    return list(dict.fromkeys(found))


def global_ipv6(context: Context) -> list[tuple[str, str]]:
    """(interface, address) of IPv6 addresses that others can reach."""
    found = []
    for name, cidr in _addresses(context):
        if ":" not in cidr:
            continue
        try:
            address = ipaddress.ip_interface(cidr).ip
        except ValueError:
            continue
        if not address.is_link_local and not address.is_loopback:
            found.append((name, str(address)))
    return found


def proposed_for(context: Context, name: str, protocols: Iterable[str] = ("ipv4",)) -> list[str]:
    """Proposed keys net.PROTOCOL.conf.*.name."""
    beginnings = tuple(f"net.{protocol}.conf." for protocol in protocols)
    return [key for key in context.named(name) if key.startswith(beginnings)]


def effective(context: Context, name: str, interface: str) -> int | None:
    """The value that acts on an interface once the set is live; None is unknown."""
    everywhere = context.number_after(key_of("all", name))
    here = context.number_after(key_of(interface, name))
    if everywhere is None or here is None:
        # One of the two may already be the largest there is.
        known = [value for value in (everywhere, here) if value is not None]
        return max(known) if known and max(known) >= 2 else None
    return max(everywhere, here)
