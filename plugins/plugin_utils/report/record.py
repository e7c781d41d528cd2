# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a rollout. It grows from the plan to the end of the last wave; docs/report.md says what is in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import account, clock

Record = dict[str, Any]

# Changes when a reader of an older one would misread it.
SCHEMA = 1

PLANNED = "planned"
RUNNING = "running"
BETWEEN_WAVES = "between_waves"
DONE = "done"
HALTED = "halted"
REFUSED = "refused"


def begin(plan: Mapping[str, Any]) -> Record:
    """The record before any host is touched."""
    now = clock.stamp()
    return {
        "schema": SCHEMA,
        "rollout_id": plan["rollout_id"],
        "state": PLANNED,
        "begun": now,
        "updated": now,
        "deadline": None,
        "halted": None,
        "refused": None,
        "settings": plan["settings"],
        "findings": plan["findings"],
        "strata": plan["strata"],
        "planned": plan["waves"],
        "waves": [],
    }


def planned(record: Record | None, plan: Mapping[str, Any]) -> Record:
    """The record with the waves of this plan, begun where nothing was run yet."""
    if record is None or record["state"] == REFUSED:
        return begin(plan)
    if not record["waves"]:
        return {**begin(plan), "begun": record["begun"]}
    return {**record, "planned": plan["waves"], "strata": {**record["strata"], **plan["strata"]}}


def refused(
    record: Record | None, plan: Mapping[str, Any], why: Iterable[str], reviews: Mapping[str, Any]
) -> Record | None:
    """The record of a rollout that must not begin, or go on; None where there is one of waves that have ended.

    plan: what is known of it, which may be no more than a name.
    """
    if record and record["waves"] and record["state"] != BETWEEN_WAVES:
        return None
    now = clock.stamp()
    refusal = {
        "at": now,
        "why": list(why),
        "hosts": {host: _refused_host(reviews[host], lines) for host, lines in account.in_the_way(reviews).items()},
    }
    if record and record["waves"]:
        return {**record, "updated": now, "refused": refusal}
    unplanned = {
        "settings": settings(reviews),
        "findings": [line for line in account.findings(reviews) if line not in refusal["why"]],
        "strata": {},
        "waves": [],
    }
    return {**begin({**unplanned, **plan}), "state": REFUSED, "refused": refusal}


def _refused_host(review: Mapping[str, Any], lines: list[str]) -> dict[str, Any]:
    kernel = ((review.get("facts") or {}).get("kernel") or {}).get("release")
    return {"outcome": "in_the_way" if lines else "accepted", "kernel": kernel, "why": lines}


def settings(reviews: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is proposed, each key and value once, with the values that hosts have now."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for review in reviews.values():
        for item in review.get("plan", []):
            setting = found.setdefault(
                (item["key"], item["proposed"]),
                {"key": item["key"], "proposed": item["proposed"], "why": item.get("why") or "", "now": []},
            )
            if item.get("now") is not None and item["now"] not in setting["now"]:
                setting["now"].append(item["now"])
    return list(found.values())


def with_wave(record: Record, wave: Mapping[str, Any]) -> Record:
    """The record with the account of one wave, in place of an earlier one of the same number."""
    others = [item for item in record["waves"] if item["number"] != wave["number"]]
    waves = sorted([*others, dict(wave)], key=lambda item: int(item["number"]))
    state = _state(wave, waves, record["planned"])
    return {
        **record,
        "state": state,
        "updated": clock.stamp(),
        # Until then whoever is on trial hears from the controller, or goes back by itself.
        "deadline": wave["deadline"] if state == RUNNING else None,
        "halted": f"wave {wave['number']}: {wave['reason']}" if state == HALTED else None,
        "refused": None,
        "waves": waves,
    }


def _state(wave: Mapping[str, Any], waves: list[Any], planned: list[Any]) -> str:
    if wave["outcome"] == "on_trial":
        return RUNNING
    if wave["outcome"] == "rolled_back":
        return HALTED
    return DONE if len(waves) == len(planned) else BETWEEN_WAVES


def wave_record(
    number: int,
    started: Mapping[str, Any],
    judged: Mapping[str, Any],
    confirmed: Mapping[str, Any],
    undone: Mapping[str, Any] | None,
    running: bool = False,
) -> dict[str, Any]:
    """What became of a wave, or how it stands while it is `running`, from the results of its tasks."""
    observations = judged.get("observations")
    deadlines = [result["trial"]["deadline_epoch"] for result in started.values() if _has_deadline(result)]
    return {
        "number": number,
        "outcome": "on_trial" if running else _wave_outcome(started, undone),
        "verdict": judged.get("verdict"),
        # A wave that was promoted may still fail to be confirmed.
        "reason": "; ".join(account.failures(started, confirmed)) or judged.get("reason") or "",
        "began": clock.stamp(observations["began"]) if observations else None,
        "deadline": clock.stamp(max(deadlines)) if deadlines else None,
        "limits": judged.get("limits", {}),
        "figures": judged.get("figures", {}),
        "observations": observations,
        "hosts": {
            host: _host_record(result, confirmed.get(host, {}), undone, host, running)
            for host, result in started.items()
        },
    }


def _host_record(
    started: Mapping[str, Any],
    confirmed: Mapping[str, Any],
    undone: Mapping[str, Any] | None,
    host: str,
    running: bool,
) -> dict[str, Any]:
    result = None if undone is None else undone.get(host, {})
    return {
        "outcome": _host_running(started, confirmed) if running else _host_outcome(started, result),
        "values": started.get("values", {}),
        "side_effects": started.get("side_effects", {}),
        "deadline": clock.stamp(started["trial"]["deadline_epoch"]) if _has_deadline(started) else None,
        # How it was rolled back, or why not.
        "undone": account.how_undone(result) if result else [],
        "drift": (result or {}).get("drift", []),
        "guard_samples": _moving((result or {}).get("samples") or []),
    }


def _has_deadline(started: Mapping[str, Any]) -> bool:
    return "deadline_epoch" in started.get("trial", {})


def _moving(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A series without the counters that stand still: most do, and a wave has many series."""
    first = samples[0]["counters"] if samples else {}
    moved = {
        name
        for sample in samples
        for name in {*first, *sample["counters"]}
        if sample["counters"].get(name) != first.get(name)
    }
    return [
        {**sample, "counters": {name: value for name, value in sample["counters"].items() if name in moved}}
        for sample in samples
    ]


def _wave_outcome(started: Mapping[str, Any], undone: Mapping[str, Any] | None) -> str:
    if undone is not None:
        return "rolled_back"
    return "confirmed" if any(result.get("changed") for result in started.values()) else "settled"


def _host_running(started: Mapping[str, Any], confirmed: Mapping[str, Any]) -> str:
    if account.silent(started) or started.get("failed"):
        return "lost" if account.silent(started) else "untouched"
    if not started or started.get("skipped"):
        return "waiting"
    if not started.get("changed"):
        return "settled"
    return "confirmed" if confirmed.get("changed") else "on_trial"


def _host_outcome(started: Mapping[str, Any], undone: Mapping[str, Any] | None) -> str:
    if undone is None:
        return "confirmed" if started.get("changed") else "settled"
    if account.silent(undone):
        return "lost"
    if undone.get("failed"):
        return "not_rolled_back"
    state = undone.get("trial", {}).get("state")
    return "rolled_back" if undone.get("changed") or state == "rolled_back" else "untouched"


def lines(record: Record, wave: Mapping[str, Any], undone: Mapping[str, Any] | None, path: Path) -> list[str]:
    """How the wave ended, for people."""
    total = len(record["planned"])
    heading = f"Wave {wave['number']} of {total}"
    if undone is None:
        said = [f"{heading}: {_ending(wave)}"]
        return [*said, f"Report: {path}"] if record["state"] == DONE else said
    said = [f"{heading} is rolled back, and no further wave starts.", *account.undone_lines(undone)]
    before = [host for item in record["waves"] if item["outcome"] == "confirmed" for host in item["hosts"]]
    if before:
        said.append(f"Confirmed by earlier waves, left as they are: {account.names(before)}. rollback.yml undoes them")
    return [*said, f"Report: {path}"]


def _ending(wave: Mapping[str, Any]) -> str:
    confirmed = [host for host, item in wave["hosts"].items() if item["outcome"] == "confirmed"]
    settled = len(wave["hosts"]) - len(confirmed)
    parts = [f"confirmed on {account.count(len(confirmed), 'host')}"] if confirmed else []
    parts += [f"{account.count(settled, 'host')} had the set already"] if settled else []
    return ", ".join(parts) + "."


def paths(directory: str, rollout_id: str) -> tuple[Path, Path]:
    """The JSON and the HTML file of a rollout."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", rollout_id).lstrip(".") or "rollout"
    folder = Path(directory).expanduser()
    return folder / f"{stem}.json", folder / f"{stem}.html"


def hosts(record: Record) -> Iterable[tuple[str, int, Mapping[str, Any]]]:
    """All hosts of the plan, in its order: name, wave, and what became of it ({} before its wave)."""
    known = {(wave["number"], host): item for wave in record["waves"] for host, item in wave["hosts"].items()}
    for wave in record["planned"]:
        for host in wave["hosts"]:
            yield host, wave["number"], known.get((wave["number"], host), {})
