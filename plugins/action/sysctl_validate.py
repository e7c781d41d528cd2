# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates a sysctl set on the controller; modules/sysctl_validate.py documents it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import stored_facts, waves
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import UnusableRequest
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import catalogue
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import rules
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import FAIL_ON, review, validate

# Now, in the process that forks the workers: each of them would read these anew.
catalogue()
rules()

_ARGUMENTS = (
    "sysctl",
    "sysctl_conf",
    "facts",
    "facts_dir",
    "topology",
    "waivers",
    "reasons",
    "file",
    "fail_on",
    "strata",
)


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        host = str(variables.get("inventory_hostname", "localhost"))
        arguments = self._task.args
        result["changed"] = False
        try:
            unknown = sorted(str(name) for name in arguments if name not in _ARGUMENTS)
            if unknown:
                raise UnusableRequest(f"there is no argument {unknown[0]}: it has {', '.join(_ARGUMENTS)}")
            fail_on = arguments.get("fail_on") or "error"
            facts = _facts(arguments, host, variables)
            topology, strata = arguments.get("topology"), arguments.get("strata")
            if strata and not isinstance(strata, list):
                raise UnusableRequest("strata must be a list of names")
            validation = validate(
                host=host,
                raw_facts=facts,
                sysctl=arguments.get("sysctl"),
                sysctl_conf=arguments.get("sysctl_conf"),
                declared_topology=topology,
                raw_waivers=arguments.get("waivers"),
                reasons=arguments.get("reasons"),
                file=arguments.get("file"),
                fail_on=fail_on,
                # From hostvars, where variables are templated.
                stratum=waves.stratum(facts, topology, variables.get("hostvars", {}).get(host, {}).get, strata or []),
            )
        except UnusableRequest as problem:
            result.update(failed=True, msg=f"{host}: {problem}.")
            return result
        result.update(validation.as_dict())
        if validation.rejected and fail_on != FAIL_ON[-1]:
            result.update(failed=True, msg=review(validation))
        elif validation.findings or validation.waived:
            result["msg"] = review(validation)
        return result


def _facts(arguments: Mapping[str, Any], host: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    facts, folder = arguments.get("facts"), arguments.get("facts_dir")
    if facts is not None and folder is not None:
        raise UnusableRequest("give one of facts and facts_dir")
    if folder is not None:
        return stored_facts.read(str(folder), host)
    known = stored_facts.bare(variables.get("ansible_facts", {}) if facts is None else facts)
    if known is None:
        raise UnusableRequest(
            "there are no facts with a kernel.release of it: run nettune.kernel.net_facts first (with fact caching "
            "where that is another run), or give facts"
        )
    return known
