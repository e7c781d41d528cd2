# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says who looks on, and which connections are opened from where; modules/rollout_watch.py documents it."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import account, watch

_PROBE = {
    **watch.WRITTEN,
    "host": {"type": "str"},
    "each": {"type": "bool", "default": False},
    "from": {"type": "list", "elements": "str", "default": [watch.CONTROLLER]},
}

# Of Jinja in older versions of Ansible, numbers come as text.
_TARGET = {
    "host": {"type": "str"},
    "address": {"type": "str"},
    "port": {"type": "int"},
    "rate": {"type": "float"},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "probes": {"type": "list", "elements": "dict", "options": _PROBE, "default": []},
                "observers": {"type": "list", "elements": "str", "default": []},
                "targets": {"type": "list", "elements": "dict", "options": _TARGET, "default": []},
                "changed": {"type": "list", "elements": "str", "default": []},
                "tallies": {"type": "list", "elements": "dict"},
            }
        )
        groups = (task_vars or {}).get("groups", {})
        try:
            observers = watch.observers(arguments["observers"], groups, arguments["changed"])
            probes = watch.probes(arguments["probes"], arguments["targets"], observers, groups)
        except watch.BadWatch as problem:
            raise AnsibleActionFail(str(problem)) from None
        result: dict[str, Any] = {"changed": False, "observers": observers, "probes": probes}
        if arguments["tallies"] is not None:
            result["probes"], silent = watch.without_silent(probes, arguments["tallies"])
            if silent:
                result["msg"] = f"Not watched, for nothing answers there before the change: {account.names(silent)}"
        return result
