# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens fresh connections, here or on the host of the task; modules/rollout_probe.py documents it."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.module_utils import _probe
from ansible_collections.nettune.kernel.plugins.modules.rollout_probe import ARGUMENTS
from ansible_collections.nettune.kernel.plugins.plugin_utils.watch import CONTROLLER


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        if arguments["source"] != CONTROLLER or self._task.async_val:
            told: dict[str, Any] = self._execute_module(
                "nettune.kernel.rollout_probe", task_vars=task_vars, wrap_async=self._task.async_val
            )
            return told
        try:
            return {"changed": False, "tallies": _probe.run_checked(arguments)}
        except _probe.BadProbe as problem:
            raise AnsibleActionFail(str(problem)) from None
