# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the facts of a host and validates a set against them; modules/rollout_review.py documents it.

One task, because every task costs a process of the controller for every host; and what is large of the facts stays in
that process, because all that the controller keeps makes each further process dearer.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.nettune.kernel.plugins.action.sysctl_validate import ActionModule as Validation
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate import sample_of_facts

# Only validation looks at these.
_LARGE = {
    "sysctl",
    "sysctl_read_only",
    "sysctl_files",
    "interfaces",
    "listeners",
    "counters",
    "sockstat",
    "sockets",
    "writers",
}


class ActionModule(Validation):
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        told = self._execute_module(module_name="nettune.kernel.net_facts", module_args={}, task_vars=task_vars)
        facts = told.get("ansible_facts", {}).get("nettune")
        if facts is None:
            return {**told, "changed": False, "facts": None, "sample": None}
        self._task.args = {**self._task.args, "facts": facts}
        return {
            **super().run(tmp, task_vars),
            "facts": {name: value for name, value in facts.items() if name not in _LARGE},
            "sample": sample_of_facts(facts),
        }
