# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads or stores the facts of a host on the controller; modules/stored_facts.py documents it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import stored_facts
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import UnusableRequest


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        host = str(variables.get("inventory_hostname", "localhost"))
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"directory": {"type": "str"}, "facts": {"type": "dict"}},
            required_by={"facts": "directory"},
        )
        directory, facts = arguments["directory"], arguments["facts"]
        try:
            if facts is not None:
                return self._store(directory, host, facts)
            return {"changed": False, "facts": _known(directory, host, variables)}
        except UnusableRequest as problem:
            return {"failed": True, "changed": False, "msg": f"{host}: {problem}."}
        except OSError as problem:
            return {"failed": True, "changed": False, "msg": f"{host}: the facts cannot be stored: {problem}."}

    def _store(self, directory: str, host: str, facts: dict[str, Any]) -> dict[str, Any]:
        if self._task.check_mode:
            return {"skipped": True, "msg": "nothing is stored in check mode"}
        path, changed = stored_facts.write(directory, host, facts)
        return {"changed": changed, "path": str(path)}


def _known(directory: str | None, host: str, variables: dict[str, Any]) -> dict[str, Any]:
    if directory is not None:
        return stored_facts.read(directory, host)
    facts = stored_facts.bare(variables.get("ansible_facts", {}))
    if facts is None:
        raise UnusableRequest(
            "Ansible's fact cache has no nettune facts of it: run nettune.kernel.net_facts with fact caching first"
        )
    return facts
