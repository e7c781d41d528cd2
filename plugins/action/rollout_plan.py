# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans the waves of a rollout, or says why it must not begin."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.module_utils._sysctl_d import parse
from ansible_collections.nettune.kernel.plugins.plugin_utils import account, report, waves
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate import sample_of_facts


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "rollout_id": {"type": "str", "required": True},
                "facts": {"type": "dict", "required": True},
                "reviews": {"type": "dict", "required": True},
                "contents": {"type": "dict", "default": {}},
                "waves": {"type": "list", "elements": "raw", "required": True},
                "strata": {"type": "list", "elements": "str", "default": []},
                "controls": {"type": "int", "default": 5},
                "topologies": {"type": "dict", "default": {}},
                "shared": {"type": "dict", "default": {}},
                "directory": {"type": "str"},
            }
        )
        facts, reviews = arguments["facts"], arguments["reviews"]
        refusals = account.refusals(facts, reviews) + waves.differences(arguments["shared"])
        refusals += _used(arguments["directory"], arguments["rollout_id"])
        if refusals:
            return {"failed": True, "msg": "\n".join(["No host was touched.", *refusals])}

        hosts = {host: result["ansible_facts"]["nettune"] for host, result in facts.items()}
        variables = (task_vars or {}).get("hostvars", {})
        strata = {
            host: waves.stratum(
                host_facts, arguments["topologies"].get(host), variables.get(host, {}), arguments["strata"]
            )
            for host, host_facts in hosts.items()
        }
        try:
            for host, content in arguments["contents"].items():
                _check_content(host, content, reviews[host]["plan"])
            plan = waves.plan(list(hosts), arguments["waves"], strata, arguments["controls"])
        except ValueError as problem:
            raise AnsibleActionFail(str(problem)) from None
        plan["rollout_id"] = arguments["rollout_id"]
        plan["priors"] = {host: sample_of_facts(host_facts) for host, host_facts in hosts.items()}
        plan["settings"] = _settings(reviews)
        plan["findings"] = account.findings(reviews)
        return {"changed": False, "plan": plan, "msg": plan["findings"] + account.plan_lines(plan, reviews)}


def _used(directory: str | None, rollout_id: str) -> list[str]:
    """A trial is known by the name of its rollout, so rolling back a second one would undo what the first confirmed."""
    path = report.paths(directory, rollout_id)[0] if directory else None
    if path is None or not path.exists():
        return []
    return [f"rollout {rollout_id} has been run already ({path}): leave tune_rollout_id empty, or give a new name"]


def _settings(reviews: dict[str, Any]) -> list[dict[str, Any]]:
    """What is proposed, each key and value once, with the values that hosts have now."""
    settings: dict[tuple[str, str], dict[str, Any]] = {}
    for review in reviews.values():
        for item in review["plan"]:
            setting = settings.setdefault(
                (item["key"], item["proposed"]),
                {"key": item["key"], "proposed": item["proposed"], "why": item.get("why") or "", "now": []},
            )
            if item.get("now") is not None and item["now"] not in setting["now"]:
                setting["now"].append(item["now"])
    return list(settings.values())


def _check_content(host: str, content: str, plan: list[dict[str, Any]]) -> None:
    """The rendered file must say what was validated, whatever template rendered it."""
    entries, problems = parse(content)
    said = {entry.key: entry.value for entry in entries}
    if problems or said != {setting["key"]: setting["proposed"] for setting in plan}:
        raise ValueError(
            f"the file that the template made for {host} does not say the same as its plan: correct the template"
        )
