# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a host without running a module there; modules/rollout_look.py documents it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import look


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec={"trial": {"type": "str"}})
        answer = self._low_level_execute_command(look.COMMAND)
        try:
            seen = look.parse(answer["stdout"])
        except ValueError as problem:
            said = " ".join(str(answer.get("stderr") or answer.get("stdout") or "").split())
            return {"failed": True, "msg": f"the host cannot be looked at: {problem}" + (f" ({said})" if said else "")}
        result = {"changed": False, "sample": seen.sample, "pending": seen.trial is not None}
        if arguments["trial"] and seen.trial != arguments["trial"]:
            # Only now a module: it hears why the trial is gone, and ends what a dead guard left.
            told = self._execute_module("nettune.kernel.sysctl_trial_info", module_args={}, task_vars=task_vars)
            if told.get("failed") or told.get("unreachable"):
                return dict(told)
            result["pending"] = (told["pending"] or {}).get("id") == arguments["trial"]
            result["history"] = told["history"]
        return result
