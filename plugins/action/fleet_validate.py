# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates the hosts of a fleet against each other; modules/fleet_validate.py documents it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import account, waves
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import UnusableRequest
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import review_fleet

_BLOCKING = {"error": ("error",), "warning": ("error", "warning"), "never": ()}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "facts": {"type": "dict", "required": True},
                "reviews": {"type": "dict", "required": True},
                "topologies": {"type": "dict", "default": {}},
                "strata": {"type": "list", "elements": "str", "default": []},
                "waivers": {"type": "list", "elements": "dict", "default": []},
                "fail_on": {"type": "str", "choices": list(_BLOCKING), "default": "error"},
            }
        )
        variables = (task_vars or {}).get("hostvars", {})
        try:
            found = review_fleet(dict(_members(arguments, variables)), arguments["waivers"])
        except UnusableRequest as problem:
            raise AnsibleActionFail(f"{problem}.") from None
        findings = [finding.as_dict() for finding in found]
        rejected = any(finding["severity"] in _BLOCKING[arguments["fail_on"]] for finding in findings)
        return {
            "changed": False,
            "failed": rejected,
            "findings": findings,
            "verdict": "rejected" if rejected else "accepted",
            "msg": account.fleet_lines(findings) or ["The hosts fit each other."],
        }


def _members(arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """Name and description of each host whose facts are known and whose set has a plan."""
    for host, result in arguments["facts"].items():
        facts = (result.get("ansible_facts") or {}).get("nettune") or result.get("facts")
        plan = (arguments["reviews"].get(host) or {}).get("plan")
        if facts and plan:
            topology = arguments["topologies"].get(host) or {}
            yield (
                host,
                {
                    "facts": facts,
                    "sysctl": {setting["key"]: setting["proposed"] for setting in plan},
                    "topology": topology,
                    "strata": [waves.stratum(facts, topology, variables.get(host, {}), arguments["strata"])],
                },
            )
