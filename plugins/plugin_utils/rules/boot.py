# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""boot: whether the value survives a reboot."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule


@rule("error", "sysctl.d(5)", "systemd-sysctl.service(8)")
def overridden(context: Context) -> Iterator[Problem]:
    """Another file sets the key to another value and wins at the next boot, by its name or by its directory."""
    for key, winner in (context.winners or {}).items():
        proposed = context.proposed.get(key)
        if proposed is None or (winner and (winner.path == context.file or winner.value == proposed)):
            continue
        if winner is None:
            yield Problem(
                (key,),
                f"{key} = {proposed:.80} lasts until the next boot only: a later file says -{key}, so that no file "
                "sets it.",
                f"That line is read after {context.file}, and the last word on a key counts.",
                f"Remove the line -{key}.",
            )
            continue
        yield Problem(
            (key,),
            f"{key} = {proposed:.80} lasts until the next boot only: {winner.path}, line {winner.line}, then sets "
            f"{winner.value:.80}.",
            f"It is read after {context.file}, and the last assignment of a key wins.",
            f"Remove line {winner.line} of {winner.path}, or set tune_file to a name that sorts after it.",
        )
