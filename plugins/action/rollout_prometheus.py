# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes samples of hosts from Prometheus; modules/rollout_prometheus.py documents it."""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

from ansible.errors import AnsibleActionFail
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import account, prometheus


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "url": {"type": "str", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "instances": {"type": "dict", "default": {}},
                "matchers": {"type": "str", "default": ""},
                "seconds": {"type": "float", "default": 60.0},
                "bearer_token": {"type": "str", "no_log": True},
                "headers": {"type": "dict", "default": {}, "no_log": True},
                "timeout": {"type": "float", "default": 10.0},
                "validate_certs": {"type": "bool", "default": True},
                "ca_path": {"type": "path"},
                "before": {"type": "bool", "default": False},
                "complete": {"type": "bool", "default": False},
            }
        )
        if arguments["seconds"] < 1 or arguments["timeout"] <= 0:
            raise AnsibleActionFail("seconds must be at least 1, and timeout above 0")
        variables = (task_vars or {}).get("hostvars", {})
        known = arguments["instances"]
        instances = {
            host: str(known.get(host) or prometheus.instance_of(host, variables.get(host, {})))
            for host in arguments["hosts"]
        }
        try:
            found = prometheus.samples(_ask(arguments, instances), instances) if instances else {}
        except (prometheus.BadAnswer, OSError, ValueError) as problem:
            said = f"{arguments['url']}: {problem}"
            if arguments["complete"]:
                raise AnsibleActionFail(said) from None
            # One question without an answer is no reason to undo anything.
            return {
                "changed": False,
                "hosts": _told({}, arguments, instances),
                "instances": instances,
                "warnings": [said],
            }
        if arguments["complete"]:
            _check(found, instances, arguments["url"])
        return {"changed": False, "hosts": _told(found, arguments, instances), "instances": instances}


def _ask(arguments: dict[str, Any], instances: dict[str, str]) -> Any:
    """One request, however many hosts. A form, since the names of a thousand are too long for an address."""
    headers = {str(name): str(value) for name, value in arguments["headers"].items()}
    headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    if arguments["bearer_token"]:
        headers["Authorization"] = f"Bearer {arguments['bearer_token']}"
    question = prometheus.query(instances.values(), arguments["seconds"], arguments["matchers"])
    try:
        with open_url(
            arguments["url"].rstrip("/") + "/api/v1/query",
            data=urlencode({"query": question, "time": f"{time.time():.3f}"}),
            headers=headers,
            method="POST",
            timeout=arguments["timeout"],
            validate_certs=arguments["validate_certs"],
            ca_path=arguments["ca_path"],
            http_agent="nettune",
        ) as answer:
            return json.load(answer)
    except HTTPError as refusal:
        # Prometheus says in JSON what it minds. Whoever stands before it does not.
        try:
            return json.load(refusal)
        except ValueError:
            raise refusal from None
    except HTTPException as problem:
        raise prometheus.BadAnswer(f"this is no whole answer in HTTP: {problem!r}") from None


def _told(
    found: dict[str, list[prometheus.Sample]], arguments: dict[str, Any], instances: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """As looks tell it, but for the trial: nobody asked the host."""
    told: dict[str, dict[str, Any]] = {}
    for host in instances:
        samples = found.get(host, [])
        told[host] = {"sample": samples[-1] if samples else None}
        if arguments["before"]:
            told[host].update(before=prometheus.thinned(samples[:-1]), baseline=samples[-1:])
    return told


def _check(found: dict[str, list[prometheus.Sample]], instances: dict[str, str], url: str) -> None:
    absent = [f"{host} ({instances[host]})" for host in instances if not found.get(host)]
    if absent:
        raise AnsibleActionFail(
            f"{url} has no recent samples of {account.names(absent)}: see that node_exporter runs there and is "
            "scraped, and that tune_prometheus_instance is its label instance"
        )
    narrow = [host for host in instances if prometheus.lacks(found[host][-1])]
    if narrow:
        raise AnsibleActionFail(
            f"{account.names(narrow)}: node_exporter does not export what is to be watched: "
            f"start it with {prometheus.FLAG}"
        )
