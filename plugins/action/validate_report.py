# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what validation found on all hosts as files; modules/validate_report.py documents it."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import account
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report import files
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.reviews import read


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "directory": {"type": "str", "required": True},
                "reviews": {"type": "dict", "required": True},
                "asked": {"type": "dict", "default": {}},
            }
        )
        if self._task.check_mode:
            return {"skipped": True, "msg": "nothing to report in check mode"}
        # The arguments as they came: the files that variables come from do not survive a copy.
        asked = self._task.args.get("asked") or {}
        reviews = list(read(arguments["reviews"], asked))
        try:
            paths = files.write(arguments["directory"], reviews)
        except OSError as problem:
            raise AnsibleActionFail(f"the findings cannot be written: {problem}") from None
        failed = [review.host for review in reviews if review.failed]
        hosts = account.count(len(reviews), "host")
        said = f"{len(failed)} of {hosts} failed: {account.names(failed)}" if failed else f"{hosts} accepted"
        return {
            "changed": False,
            "verdict": "rejected" if failed else "accepted",
            "files": {kind: str(path) for kind, path in paths.items()},
            "msg": f"{said}. Findings: {', '.join(map(str, paths.values()))}",
        }
