# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans the waves of a rollout, or says why it must not begin."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from ansible.playbook.block import Block
from ansible.plugins.action import ActionBase
from ansible_collections.nettune.kernel.plugins.module_utils._sysctl_d import parse
from ansible_collections.nettune.kernel.plugins.plugin_utils import account, gate, handover, report, waves


class ActionModule(ActionBase):  # type: ignore[misc]
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "rollout_id": {"type": "str", "default": ""},
                "reviews": {"type": "dict"},
                "missing": {"type": "list", "elements": "str", "default": []},
                "fleet": {"type": "dict", "default": {}},
                "waves": {"type": "list", "elements": "raw"},
                "canaries": {"type": "list", "elements": "str", "default": []},
                "strata": {"type": "list", "elements": "str", "default": []},
                "failure_domain": {"type": "str", "default": ""},
                "max_out_per_group": {"type": "raw", "default": "25%"},
                "controls": {"type": "int", "default": 5},
                "limits": {"type": "dict", "options": gate.LIMITS_SPEC, "default": {}},
                "directory": {"type": "str"},
                "wave": {"type": "str", "default": ""},
                "plan": {"type": "raw", "default": ""},
            },
            required_together=[("reviews", "waves")],
            required_by={"reviews": ["rollout_id"]},
        )
        try:
            if arguments["reviews"] is None:
                _check_play(self._task, task_vars or {})
                return {"changed": False, "rollout_id": _name(arguments)}
            return self._planned(arguments, (task_vars or {}).get("hostvars", {}))
        except (OSError, ValueError) as problem:
            return _refused([f"{problem}."])

    def _planned(self, arguments: dict[str, Any], variables: Any) -> dict[str, Any]:
        reviews = arguments["reviews"]
        # Wrong ones are found now, and not when the first wave is judged.
        gate.limits_of(arguments["limits"])
        shared = {host: review["shared"] for host, review in reviews.items() if "shared" in review}
        together = arguments["fleet"]
        refusals = account.refusals(reviews, arguments["missing"]) + waves.differences(shared)
        if together and together.get("verdict") != "accepted":
            refusals += _lines(together)
        if refusals:
            return _refused(refusals)
        hosts = {host: review["facts"] for host, review in reviews.items()}
        for host, review in reviews.items():
            if "content" in review:
                _check_content(host, review["content"], review["plan"])
        fleet = _fleet(hosts, arguments, variables)
        planned = _plan(fleet, arguments, variables)
        if planned.file and not self._task.check_mode:
            handover.write(planned.handover, planned.file)

        plan = {
            **planned.plan,
            "rollout_id": planned.handover.rollout_id,
            "strata": {host: fleet.stratum(host) for host in hosts},
            "priors": {host: review["sample"] for host, review in reviews.items()},
            "settings": report.settings(reviews),
            "findings": account.findings(reviews) + (_lines(together) if together.get("findings") else []),
        }
        now = [wave for wave in plan["waves"] if wave["number"] in planned.numbers]
        return {
            "changed": False,
            "plan": plan,
            "run": {
                "hosts": [host for wave in now for host in wave["hosts"]],
                "sizes": [len(wave["hosts"]) for wave in now],
                # Two rollouts in one run of Ansible have groups of their own.
                "group": f"nettune_rollout_{uuid.uuid4().hex[:12]}",
            },
            "handover": planned.handover.text(),
            "msg": plan["findings"] + account.plan_lines(plan, reviews) + planned.remarks,
        }


class _Planned(NamedTuple):
    plan: dict[str, Any]
    # Of the waves of this run.
    numbers: list[int]
    handover: handover.Handover
    remarks: list[str]
    # Where the plan is to be kept for later runs.
    file: Path | None = None


def _refused(lines: list[str]) -> dict[str, Any]:
    return {"failed": True, "msg": "\n".join([account.UNTOUCHED, *lines])}


def _lines(result: dict[str, Any]) -> list[str]:
    message = result.get("msg", "")
    return [str(line) for line in message] if isinstance(message, list) else [str(message)]


def _check_play(task: Any, variables: dict[str, Any]) -> None:
    """Keywords of a play that no task can override."""
    play = task.get_play()
    strategy = str(play.strategy)
    if not strategy.endswith(("linear", "debug")):
        raise ValueError(
            f"The play has strategy {strategy}, with which no host waits for another's verdict: use linear"
        )
    if play.max_fail_percentage is not None:
        raise ValueError(
            "The play has max_fail_percentage, with which Ansible leaves a failed wave before its hosts are rolled "
            "back: leave it out, for one bad host stops the rollout anyway; what a wave is to tolerate is in "
            "tune_max_rejects_per_1000, tune_max_failed_connects_percent and tune_limits"
        )
    several = len(variables["ansible_play_batch"]) < len(variables["ansible_play_hosts"])
    if several and _is_rescued(task):
        raise ValueError(
            "The role is in a block with rescue, after which Ansible goes on to the next batch of the play whatever "
            "became of this one: leave the rescue out (always is fine), or use the playbook nettune.kernel.tune"
        )


def _is_rescued(task: Any) -> bool:
    """Whether somebody else's block, around the role, ends failures."""
    around = task._parent
    while around is not None:
        if isinstance(around, Block) and around.rescue and around._role is not task._role:
            return True
        around = around._parent
    return False


def _name(arguments: dict[str, Any]) -> str:
    if arguments["rollout_id"]:
        return str(arguments["rollout_id"])
    if arguments["wave"] and arguments["plan"]:
        return handover.read(arguments["plan"], "tune_plan").rollout_id
    return time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + uuid.uuid4().hex[:4]


def _fleet(hosts: dict[str, Any], arguments: dict[str, Any], variables: Any) -> waves.Fleet:
    def kind(host: str, names: list[str]) -> str:
        # Variables of a host cost more than its facts.
        return waves.stratum(
            hosts[host], reviews[host].get("topology"), lambda name: variables.get(host, {}).get(name), names
        )

    reviews, name = arguments["reviews"], arguments["failure_domain"]
    domains = {host: kind(host, [name]) for host in hosts} if name else {}
    nowhere = [host for host, domain in domains.items() if domain == waves.UNKNOWN]
    if nowhere:
        raise ValueError(
            f"{account.names(nowhere)}: there is no {name} (tune_failure_domain), neither in the facts nor as a "
            "variable: set it for every host, or leave tune_failure_domain empty"
        )
    return waves.Fleet(
        hosts=list(hosts),
        strata={host: kind(host, arguments["strata"]) for host in hosts},
        domains=domains,
        settled={host for host in hosts if not _without_set(reviews[host])},
    )


def _plan(fleet: waves.Fleet, arguments: dict[str, Any], variables: Any) -> _Planned:
    rollout_id, wave = arguments["rollout_id"], arguments["wave"]
    record_file, plan_file = _files(arguments["directory"], rollout_id)
    record = report.load(record_file) if record_file else None
    begun = record and record["waves"]
    sets = {host: handover.digest(arguments["reviews"][host]["plan"]) for host in fleet.hosts}
    if wave:
        wave = handover.wave_number(wave)
        stored = _stored(arguments["plan"], rollout_id, plan_file)
        # A plan of which nothing was run may be made anew; one that was approved may not.
        if stored and (wave != 1 or begun or arguments["plan"]):
            without_set = set(fleet.hosts) - set(fleet.settled)
            return _resumed(stored, wave, handover.Now(sets, without_set, inventory=variables, record=record))
        if wave != 1:
            raise ValueError(
                f"tune_wave {wave} needs the plan that the run with tune_wave 1 made, and there is none of rollout "
                f"{rollout_id} ({plan_file}): give its tune_rollout_id and tune_report_dir, or its tune_plan"
            )
    if begun:
        # A trial is known by the name of its rollout: rolling back a second one would undo what the first confirmed.
        raise ValueError(
            f"Rollout {rollout_id} has been run already ({record_file}): leave tune_rollout_id empty, or give a new one"
        )
    named = arguments["canaries"]
    unknown = [host for host in named if host not in variables]
    if unknown:
        raise ValueError(f"tune_canaries names {account.names(unknown)}, which the inventory does not have")
    absent = [host for host in named if host not in sets]
    plan = waves.plan(
        fleet,
        arguments["waves"],
        arguments["controls"],
        [host for host in named if host in sets],
        arguments["max_out_per_group"],
    )
    remarks = [f"{account.names(absent)}: named in tune_canaries, but not part of this rollout"] if absent else []
    handed_over = handover.Handover(rollout_id, plan["waves"], sets)
    if not wave:
        return _Planned(plan, [item["number"] for item in plan["waves"]], handed_over, remarks)
    following = f"The next: tune_wave 2, or {handover.REST}, with tune_rollout_id {rollout_id}"
    return _Planned(plan, [1], handed_over, [*remarks, f"{_run_line(handed_over, [1])}. {following}"], plan_file)


def _resumed(stored: handover.Handover, wave: int | str, now: handover.Now) -> _Planned:
    resumed, numbers = handover.resume(stored, wave, now)
    joined = [host for host in now.sets if host not in stored.sets]
    left = [host for host in stored.sets if host not in now.sets]
    remarks = [f"{account.names(joined)}: not in the plan, and left alone; the next rollout has them"] if joined else []
    remarks += [f"{account.names(left)}: in the plan, but not here any more"] if left else []
    plan = {
        "hosts": [host for item in resumed.waves for host in item["hosts"]],
        "sizes": [len(item["hosts"]) for item in resumed.waves],
        "waves": resumed.waves,
    }
    return _Planned(plan, numbers, resumed, [*remarks, _run_line(resumed, numbers)])


def _run_line(plan: handover.Handover, numbers: list[int]) -> str:
    named = account.names(map(str, numbers))
    line = f"This run: wave {named} of {len(plan.waves)}" if len(numbers) == 1 else f"This run: waves {named}"
    return f"{line} ({account.count(plan.confirmed, 'wave')} confirmed before)" if plan.confirmed else line


def _files(directory: str | None, rollout_id: str) -> tuple[Path | None, Path | None]:
    """The record of a rollout, and its plan."""
    if not directory:
        return None, None
    record = report.paths(directory, rollout_id)[0]
    return record, record.with_suffix(".plan")


def _stored(given: Any, rollout_id: str, file: Path | None) -> handover.Handover | None:
    """The plan that an earlier run made: the variable if it is of this rollout, else the file."""
    if given:
        plan = handover.read(given, "tune_plan")
        if plan.rollout_id == rollout_id:
            return plan
    if file and file.exists():
        return handover.read(file.read_text(encoding="utf-8"), str(file))
    return None


def _without_set(review: dict[str, Any]) -> bool:
    return any(item.get("now") != item["proposed"] for item in review["plan"])


def _check_content(host: str, content: str, plan: list[dict[str, Any]]) -> None:
    """The rendered file must say what was validated, whatever template rendered it."""
    entries, problems = parse(content)
    said = {entry.key: entry.value for entry in entries}
    if problems or said != {setting["key"]: setting["proposed"] for setting in plan}:
        raise ValueError(
            f"The file that the template made for {host} does not say the same as its plan: correct the template"
        )
