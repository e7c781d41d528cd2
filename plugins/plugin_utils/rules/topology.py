# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""topology: whether what the owner declares is what the host shows."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule

# Keys of which other rules say more where the topology is known.
_TURNING = (
    "net.ipv4.tcp_tw_recycle",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_rfc1337",
    "net.ipv4.ip_forward",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "*.arp_ignore",
    "*.arp_announce",
)


@rule("warning", "docs/rules/topology.md")
def contradiction(context: Context) -> Iterator[Problem]:
    """A declared topology that evidence on the host speaks against.

    The declared one is used; it is never silently overruled.
    """
    for found in context.topology.contradictions:
        evidence = f" Seen here: {found.evidence}." if found.evidence else ""
        yield Problem(
            (),
            f"topology.{found.field} is declared as {found.declared}, but this host looks like {found.detected}.",
            f"What is declared is used; rules that turn on it may be too mild or too strict here.{evidence}",
            f"Correct tune_topology.{found.field} for this host, or waive this with what explains the evidence.",
        )


@rule("info", "docs/rules/topology.md", keys=_TURNING)
def hint(context: Context) -> Iterator[Problem]:
    """A weak sign of a topology that nobody has declared, or that differs from the declared one, where the set turns on
    it. No other rule acts on it.
    """
    for sign in context.topology.hints:
        # A node translates for its own pods.
        gateway = "nat_gateway" in sign.value and not context.topology.has_role("kubernetes_node")
        if sign.field == "vips" or (sign.field == "role" and not gateway):
            continue
        declared = context.topology.source(sign.field) == "declared"
        evidence = f" Seen here: {sign.evidence}." if sign.evidence else ""
        yield Problem(
            (),
            f"A weak sign says topology.{sign.field} = {sign.value}, "
            + ("which differs from what is declared." if declared else "which nobody has declared."),
            f"Rules for this set turn on it, and none of them acts on a sign as weak as this.{evidence}",
            f"Keep tune_topology.{sign.field} if the sign has another cause."
            if declared
            else f"Declare tune_topology.{sign.field} for this host, whichever way it is.",
        )
