# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a wave of a rollout, or says why it failed."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import account, gate

_LIMITS = {item.name: {"type": type(item.default).__name__, "default": item.default} for item in fields(gate.Limits)}


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "observations": {"type": "dict"},
                "wave": {"type": "int"},
                "started": {"type": "dict"},
                "priors": {"type": "dict", "default": {}},
                "controls": {"type": "dict", "default": {}},
                "looked": {"type": "dict"},
                "probes": {"type": "dict", "default": {}},
                "judged": {"type": "dict", "default": {}},
                "confirmed": {"type": "dict"},
                "limits": {"type": "dict", "options": _LIMITS, "default": {}, "apply_defaults": True},
                "final": {"type": "bool", "default": True},
                "on_inconclusive": {"type": "str", "choices": ["roll_back", "promote"], "default": "roll_back"},
            },
            mutually_exclusive=[("observations", "started"), ("wave", "confirmed")],
            required_one_of=[("observations", "started")],
            required_by={"confirmed": ["started"]},
        )
        if arguments["confirmed"] is not None:
            reason, evidence = gate.blame(arguments["started"] or {}, arguments["judged"], arguments["confirmed"])
            return {"changed": False, "reason": reason, "evidence": evidence}
        if arguments["started"] is not None:
            if arguments["wave"] is None:
                raise AnsibleActionFail("with started, give wave to begin it, or confirmed to say why it failed")
            return _begin(arguments, bool(self._task.check_mode))
        try:
            return _judge(arguments)
        except (KeyError, TypeError, AttributeError) as problem:
            raise AnsibleActionFail(
                f"the observations are not those of a rollout: {problem!r} is wrong or missing"
            ) from None


def _begin(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    started = arguments["started"]
    lost = [host for host, result in started.items() if result.get("unreachable")]
    observations = gate.begin(arguments["wave"], started, arguments["controls"], arguments["priors"], time.time())
    return {
        "changed": False,
        "failed": bool(lost),
        "msg": account.started_lines(started, check_mode),
        "observations": observations,
    }


def _judge(arguments: dict[str, Any]) -> dict[str, Any]:
    observations = arguments["observations"]
    if arguments["looked"] is not None:
        observations = gate.add_look(
            observations, arguments["looked"], arguments["controls"], arguments["probes"], time.time()
        )
    verdict = gate.judge(observations, gate.Limits(**arguments["limits"]))
    stop = verdict.verdict == gate.ROLL_BACK
    if arguments["final"] and verdict.verdict == gate.INCONCLUSIVE:
        stop = arguments["on_inconclusive"] == "roll_back"
    return {
        "changed": False,
        "failed": stop,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "evidence": verdict.evidence,
        "msg": f"Wave {observations['wave']}: {verdict.verdict}: {verdict.reason}.",
        "figures": verdict.figures(),
        "invalid": verdict.invalid,
        "progress": gate.progress(observations, verdict),
        "observations": observations,
    }
