# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the facts of a host, validates a set against them and renders its file; modules/rollout_review.py documents it.

One task, because every task costs a process of the controller for every host; and what is large of the facts stays in
that process, because all that the controller keeps makes each further process dearer.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible_collections.nettune.kernel.plugins.action.sysctl_validate import ActionModule as Validation
from ansible_collections.nettune.kernel.plugins.plugin_utils import own_variables
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
        # Not those of validation.
        own = {name: self._task.args.get(name) for name in ("template", "target", "shared", "own")}
        wrong = own_variables.wrong(own["own"] or {})
        if facts is None:
            return {**told, "changed": False, "facts": None, "sample": None, "wrong": wrong}
        arguments = {name: value for name, value in self._task.args.items() if name not in own}
        self._task.args = {**arguments, "facts": facts}
        known = {
            "facts": {name: value for name, value in facts.items() if name not in _LARGE},
            "sample": sample_of_facts(facts),
            "topology": arguments.get("topology"),
            "target": own["target"],
            "shared": own["shared"] or {},
            "wrong": wrong,
        }
        validated = super().run(tmp, task_vars)
        if own["template"] and not validated.get("failed"):
            try:
                known["content"] = self._rendered(str(own["template"]), validated["plan"], task_vars or {})
            except AnsibleError as problem:
                return {**known, "failed": True, "msg": f"The file of the set cannot be rendered: {problem}"}
        return {**validated, **known}

    def _rendered(self, template: str, plan: list[dict[str, Any]], variables: dict[str, Any]) -> str:
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        return str(lookup.run([template], variables={**variables, "settings": plan})[0])
