# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the record and the page of a rollout, and says how a wave ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import account, report


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "directory": {"type": "str", "default": "./reports"},
                "plan": {"type": "dict", "required": True},
                "refused": {"type": "str"},
                "reviews": {"type": "dict", "default": {}},
                "wave": {"type": "int"},
                "running": {"type": "bool", "default": False},
                "started": {"type": "dict", "default": {}},
                "gate": {"type": "dict", "default": {}},
                "confirmed": {"type": "dict", "default": {}},
                "undone": {"type": "dict"},
            }
        )
        if arguments["running"] and arguments["wave"] is None:
            raise AnsibleActionFail("with running, name the wave that is")
        if self._task.check_mode:
            return {"skipped": True, "msg": "nothing to report in check mode"}
        json_path, html_path = report.paths(arguments["directory"], arguments["plan"]["rollout_id"])
        try:
            said = _write(arguments, json_path, html_path)
        except (OSError, ValueError) as problem:
            raise AnsibleActionFail(f"the report cannot be written: {problem}") from None
        return {"changed": False, "json": str(json_path), "html": str(html_path), "msg": said}


def _write(arguments: dict[str, Any], json_path: Path, html_path: Path) -> list[str]:
    """Writes both files; returns how the wave ended, in lines."""
    if arguments["refused"]:
        why = [line for line in arguments["refused"].splitlines() if line != account.UNTOUCHED]
        refused = report.refused(report.load(json_path), arguments["plan"], why, arguments["reviews"])
        if refused:
            report.write(refused, json_path, html_path)
        return [f"Report: {html_path}" if refused else f"Left as it is, the report of what was run: {html_path}"]
    record = report.planned(report.load(json_path), arguments["plan"])
    if arguments["wave"] is None:
        report.write(record, json_path, html_path)
        return [f"Report: {html_path}"]
    wave = report.wave_record(
        arguments["wave"],
        arguments["started"],
        arguments["gate"],
        arguments["confirmed"],
        arguments["undone"],
        arguments["running"],
    )
    record = report.with_wave(record, wave)
    report.write(record, json_path, html_path)
    return [] if arguments["running"] else report.lines(record, wave, arguments["undone"], html_path)
