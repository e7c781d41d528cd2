# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a wave of a rollout, or says why it failed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.plugin_utils import account, gate

# What is to be done with the wave.
WATCH = "watch"


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "observations": {"type": "dict"},
                "record": {"type": "raw"},
                "wave": {"type": "int"},
                "started": {"type": "dict"},
                "priors": {"type": "dict", "default": {}},
                "controls": {"type": "dict", "default": {}},
                "earlier": {"type": "list", "elements": "str", "default": []},
                "observers": {"type": "dict", "default": {}},
                "probes_before": {"type": "list", "elements": "dict", "default": []},
                "looked": {"type": "dict"},
                "probes": {"type": "list", "elements": "dict", "default": []},
                "judged": {"type": "dict", "default": {}},
                "confirmed": {"type": "dict"},
                "limits": {"type": "dict", "options": gate.LIMITS_SPEC, "default": {}},
                "soak": {"type": "float"},
                "soak_max": {"type": "float"},
                "on_inconclusive": {
                    "type": "str",
                    "choices": ["roll_back", "promote", "pause"],
                    "default": "roll_back",
                },
            },
            mutually_exclusive=[("observations", "started", "record"), ("wave", "confirmed")],
            required_one_of=[("observations", "started", "record")],
            required_by={"confirmed": ["started"], "record": ["wave"], "soak_max": ["soak"]},
        )
        if arguments["confirmed"] is not None:
            reason, evidence = gate.blame(arguments["started"], arguments["judged"], arguments["confirmed"])
            return {"changed": False, "reason": reason, "evidence": evidence}
        if arguments["started"] is not None:
            if arguments["wave"] is None:
                raise AnsibleActionFail("with started, give wave to begin it, or confirmed to say why it failed")
            return _begin(arguments, bool(self._task.check_mode))
        stored = None
        if arguments["record"] is not None:
            wave = _recorded(arguments["record"], arguments["wave"])
            arguments["observations"] = wave["observations"]
            stored = wave.get("limits")
        try:
            arguments["limits"] = gate.limits_of(arguments["limits"], stored)
        except ValueError as problem:
            raise AnsibleActionFail(str(problem)) from None
        except TypeError as problem:
            raise AnsibleActionFail(f"the limits in the record are not those of a rollout: {problem}") from None
        # What is judged came from a file, or from somebody's own task, and may have any shape.
        try:
            return _judge(arguments)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as problem:
            raise AnsibleActionFail(
                f"the observations are not those of a rollout: {problem!r} is wrong or missing"
            ) from None


def _begin(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    started = arguments["started"]
    lost = [host for host, result in started.items() if result.get("unreachable")]
    observations = gate.begin(
        arguments["wave"],
        started,
        arguments["controls"],
        arguments["priors"],
        time.time(),
        observers=arguments["observers"],
        probes_before=arguments["probes_before"],
        earlier=arguments["earlier"],
    )
    return {
        "changed": False,
        "failed": bool(lost),
        "msg": account.started_lines(started, check_mode),
        "observations": observations,
    }


def _recorded(record: Any, wave: int) -> Any:
    """One wave in the JSON of a rollout, or in the path of that."""
    if not isinstance(record, Mapping):
        try:
            record = json.loads(Path(str(record)).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise AnsibleActionFail(f"the record {record} cannot be read: {problem}") from None
    waves = record.get("waves") if isinstance(record, Mapping) else None
    if not isinstance(waves, list) or not all(isinstance(item, Mapping) for item in waves):
        raise AnsibleActionFail("the record is not that of a rollout: it has no waves")
    for item in waves:
        if item.get("number") == wave:
            if not item.get("observations"):
                raise AnsibleActionFail(f"wave {wave} of the record was not watched: there is nothing to judge")
            return item
    numbers = ", ".join(str(item.get("number")) for item in waves) or "none"
    raise AnsibleActionFail(f"the record has no wave {wave}, only {numbers}")


def _judge(arguments: dict[str, Any]) -> dict[str, Any]:
    observations = arguments["observations"]
    if arguments["looked"] is not None:
        observations = gate.add_look(
            observations,
            arguments["looked"],
            arguments["controls"],
            arguments["probes"],
            time.time(),
            observers=arguments["observers"],
        )
    limits = arguments["limits"]
    verdict = gate.judge(observations, limits)
    elapsed = observations["looks"][-1]["elapsed"] if observations["looks"] else 0.0
    decision = _decision(verdict.verdict, elapsed, arguments)
    return {
        "changed": False,
        "failed": decision == gate.ROLL_BACK,
        "verdict": verdict.verdict,
        "decision": decision,
        "done": decision != WATCH,
        "elapsed": elapsed,
        "reason": verdict.reason,
        "evidence": verdict.evidence,
        "msg": f"Wave {observations['wave']}: {verdict.verdict}: {verdict.reason}.{gate.not_counted(verdict)}",
        "limits": asdict(limits),
        "figures": verdict.figures(),
        "excluded": verdict.excluded,
        "progress": gate.progress(observations, verdict),
        "observations": observations,
    }


def _decision(verdict: str, elapsed: float, arguments: Mapping[str, Any]) -> str:
    """Evidence of damage ends the soak at once; nothing else does before its time."""
    if verdict == gate.ROLL_BACK:
        return verdict
    least = arguments["soak"] or 0.0
    most = max(least, arguments["soak_max"] or 0.0)
    if verdict == gate.PROMOTE:
        return verdict if elapsed >= least else WATCH
    return str(arguments["on_inconclusive"]) if elapsed >= most else WATCH
