# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Per-interface keys of net.ipv4.conf as they act: the larger of `all` and of the interface that handles the packet."""

from __future__ import annotations

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context

# Names of interfaces that clients' packets do not come in by.
_INTERNAL = ("lo", "dummy", "tunl", "ipip", "gre", "sit", "ip6tnl", "kube-ipvs", "nodelocaldns", "veth", "cali", "cni")


def key_of(interface: str, name: str) -> str:
    """The canonical key: a dot in an interface's name becomes a slash."""
    return f"net.ipv4.conf.{interface.replace('.', '/')}.{name}"


def addressed(context: Context) -> list[str]:
    """Interfaces with an IPv4 address by which packets of others come in."""
    found = []
    for item in context.facts.interfaces:
        name, addresses = item.get("name"), item.get("addresses")
        if not isinstance(name, str) or name.startswith(_INTERNAL) or not isinstance(addresses, (list, tuple)):
            continue
        if any("." in str(address) and ":" not in str(address) for address in addresses):
            found.append(str(name))
    return found


def proposed_for(context: Context, name: str) -> list[str]:
    """Proposed keys net.ipv4.conf.*.name."""
    return [key for key in context.proposed if key.startswith("net.ipv4.conf.") and key.endswith(f".{name}")]


def effective(context: Context, name: str, interface: str) -> int | None:
    """The value that acts on an interface once the set is live; None is unknown."""
    everywhere = context.number_after(key_of("all", name))
    here = context.number_after(key_of(interface, name))
    if everywhere is None or here is None:
        # One of the two may already be the largest there is.
        known = [value for value in (everywhere, here) if value is not None]
        return max(known) if known and max(known) >= 2 else None
    return max(everywhere, here)
