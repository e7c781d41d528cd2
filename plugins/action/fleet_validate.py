# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates the hosts of a fleet against each other; modules/fleet_validate.py documents it."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import account
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import UnusableRequest
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.fleet import Member
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import FAIL_ON, rejects, review_fleet


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "members": {"type": "dict", "required": True},
                "waivers": {"type": "list", "elements": "dict", "default": []},
                "fail_on": {"type": "str", "choices": list(FAIL_ON), "default": "error"},
            }
        )
        try:
            members = [Member.read(host, raw) for host, raw in arguments["members"].items() if raw]
            found, waived = review_fleet(members, arguments["waivers"])
        except UnusableRequest as problem:
            raise AnsibleActionFail(f"{problem}.") from None
        rejected = rejects(found, arguments["fail_on"])
        findings = [finding.as_dict() for finding in found]
        return {
            "changed": False,
            "failed": rejected,
            "findings": findings,
            "waived": [waiver.waived(finding) for finding, waiver in waived],
            "verdict": "rejected" if rejected else "accepted",
            "fail_on": arguments["fail_on"],
            "msg": account.fleet_lines(findings) or ["The hosts fit each other."],
        }
