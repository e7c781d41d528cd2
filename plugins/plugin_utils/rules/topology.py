# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""topology: whether what the owner declares is what the host shows."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule


@rule("warning", "docs/rules/topology.md")
def contradiction(context: Context) -> Iterator[Problem]:
    """A declared topology that evidence on the host speaks against.

    The declared one is used; it is never silently overruled.
    """
    for found in context.topology.contradictions:
        evidence = f" Seen: {found.evidence}." if found.evidence else ""
        yield Problem(
            (),
            f"topology.{found.field} is declared as {found.declared}, but this host looks like {found.detected}.",
            f"Rules that turn on it may be too mild or too strict here.{evidence}",
            f"Correct tune_topology.{found.field} for this host, or waive this with what explains the evidence.",
        )
