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
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.reviews import read, read_fleet

# What each host was asked about, and the problem that kept it from being validated: each option by host.
_OF_HOSTS = ("sysctl", "sysctl_conf_file", "fail_on", "problem")


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
                "fleet": {"type": "dict", "default": {}},
                **{name: {"type": "dict", "default": {}} for name in _OF_HOSTS},
            }
        )
        if self._task.check_mode:
            return {"skipped": True, "msg": "nothing to report in check mode"}
        # The arguments as they came: the files that variables come from do not survive a copy.
        given = {name: self._task.args.get(name) or {} for name in _OF_HOSTS}
        asked = {
            host: {name: of_hosts[host] for name, of_hosts in given.items() if host in of_hosts}
            for host in dict.fromkeys(host for of_hosts in given.values() for host in of_hosts)
        }
        reviews = list(read(arguments["reviews"], asked))
        fleet = read_fleet(arguments["fleet"], reviews)
        try:
            paths = files.write(arguments["directory"], reviews, fleet)
        except OSError as problem:
            raise AnsibleActionFail(f"the findings cannot be written: {problem}") from None
        failed = [review.host for review in reviews if review.failed]
        hosts = account.count(len(reviews), "host")
        said = f"{len(failed)} of {hosts} failed: {account.names(failed)}" if failed else f"{hosts} accepted"
        if fleet is not None and fleet.failed:
            said += "; together they are rejected"
        return {
            "changed": False,
            "verdict": "rejected" if failed or (fleet is not None and fleet.failed) else "accepted",
            "files": {kind: str(path) for kind, path in paths.items()},
            "msg": f"{said}. Findings: {', '.join(map(str, paths.values()))}",
        }
