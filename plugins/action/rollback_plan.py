# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says on which hosts a rollout is to be undone, and afterwards what became of it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import rollback


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "looked": {"type": "dict"},
                "rollout_id": {"type": "str", "default": ""},
                "to": {"type": "str", "choices": ["previous", "original"], "default": "previous"},
                "planned": {"type": "dict"},
                "undone": {"type": "dict", "default": {}},
            },
            mutually_exclusive=[("looked", "planned")],
            required_one_of=[("looked", "planned")],
        )
        if arguments["planned"] is not None:
            check_mode = bool(self._task.check_mode)
            well, lines = rollback.outcome(arguments["planned"], arguments["undone"], check_mode)
            return {"changed": False, "failed": not well, "msg": lines}
        original = arguments["to"] == "original"
        planned = rollback.plan(arguments["looked"], arguments["rollout_id"], original)
        unknown = rollback.unknown(planned, arguments["looked"])
        if unknown:
            return {"failed": True, "msg": "\n".join(unknown)}
        return {
            "changed": False,
            "planned": planned,
            "hosts": rollback.targets(planned),
            "msg": rollback.plan_lines(planned, original),
        }
