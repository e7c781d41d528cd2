# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens fresh TCP connections from the controller and counts them."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils.probe import Target, probe


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "targets": {"type": "list", "elements": "dict", "required": True},
                "seconds": {"type": "float", "default": 0.0},
                "rate": {"type": "float", "default": 1.0},
                "timeout": {"type": "float", "default": 3.0},
                "slow_ms": {"type": "float", "default": 500.0},
            }
        )
        if arguments["seconds"] < 0 or arguments["rate"] <= 0 or arguments["timeout"] <= 0:
            raise AnsibleActionFail("seconds must not be negative, rate and timeout must be above 0")
        try:
            targets = [Target.from_dict(target) for target in arguments.pop("targets")]
        except ValueError as problem:
            raise AnsibleActionFail(str(problem)) from None
        probes = probe(targets, **arguments)
        attempts = sum(result["attempts"] for result in probes.values())
        failed = sum(result["failed"] for result in probes.values())
        return {
            "changed": False,
            "probes": probes,
            "connected": [host for host, result in probes.items() if result["ok"]],
            "msg": f"{failed} of {attempts} connects to {len(probes)} hosts failed",
        }
