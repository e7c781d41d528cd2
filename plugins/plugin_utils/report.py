# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a rollout: one JSON file, and the same as a page to read.

The record grows wave by wave and is written after each, so what is there survives whatever happens to the controller.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import account, gate
from jinja2 import Environment, FileSystemLoader, StrictUndefined

Record = dict[str, Any]

_TEMPLATE = "report.html.j2"


def paths(directory: str, rollout_id: str) -> tuple[Path, Path]:
    """The JSON and the HTML file of a rollout."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", rollout_id).lstrip(".") or "rollout"
    folder = Path(directory).expanduser()
    return folder / f"{stem}.json", folder / f"{stem}.html"


def load(path: Path) -> Record | None:
    try:
        with path.open(encoding="utf-8") as stream:
            record = json.load(stream)
    except FileNotFoundError:
        return None
    if not isinstance(record, dict) or "rollout_id" not in record:
        raise ValueError(f"{path} is no record of a rollout")
    return record


def begin(plan: Mapping[str, Any]) -> Record:
    return {
        "rollout_id": plan["rollout_id"],
        "begun": _clock(),
        "updated": _clock(),
        "settings": plan["settings"],
        "findings": plan["findings"],
        "strata": plan["strata"],
        "planned": plan["waves"],
        "waves": [],
    }


def with_wave(record: Record, wave: Mapping[str, Any]) -> Record:
    """The record with the account of one wave, in place of an earlier one of the same number."""
    others = [item for item in record["waves"] if item["number"] != wave["number"]]
    waves = sorted([*others, dict(wave)], key=lambda item: int(item["number"]))
    return {**record, "updated": _clock(), "waves": waves}


def wave_record(
    number: int,
    started: Mapping[str, Any],
    judged: Mapping[str, Any],
    confirmed: Mapping[str, Any],
    undone: Mapping[str, Any] | None,
    seen: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What became of a wave, from the results of its tasks."""
    return {
        "number": number,
        "outcome": outcome(started, undone),
        "verdict": judged.get("verdict"),
        # A wave that was promoted may still fail to be confirmed.
        "reason": "; ".join(account.failures(started, confirmed)) or judged.get("reason") or "",
        "figures": judged.get("figures", {}),
        "invalid": judged.get("invalid", {}),
        "observations": judged.get("observations"),
        "hosts": {
            host: {
                "outcome": _host_outcome(result, None if undone is None else undone.get(host, {})),
                "values": result.get("values", {}),
                "side_effects": result.get("side_effects", {}),
                "drift": (undone or {}).get(host, {}).get("drift", []),
                "guard_samples": _moving((seen or {}).get(host, {}).get("samples") or []),
            }
            for host, result in started.items()
        },
    }


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


def outcome(started: Mapping[str, Any], undone: Mapping[str, Any] | None) -> str:
    if undone is not None:
        return "rolled_back"
    return "confirmed" if any(result.get("changed") for result in started.values()) else "settled"


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
        return [*said, f"Report: {path}"] if wave["number"] == total else said
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


# Files


def write(record: Record, json_path: Path, html_path: Path) -> None:
    json_path.parent.mkdir(parents=True, exist_ok=True)
    _replace(json_path, json.dumps(record, indent=1, sort_keys=True) + "\n")
    _replace(html_path, html(record))


def _replace(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        # mkstemp makes files for the owner only; a report is as readable as other files.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def html(record: Record) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    waves = [{**wave, "plots": plots(wave["observations"])} for wave in record["waves"]]
    return environment.get_template(_TEMPLATE).render(record=record, waves=waves)


# Plots

WIDTH = 640
HEIGHT = 160


def plots(observations: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Lines for the page: what happened between one look and the next, for the wave and its controls."""
    if not observations or not observations["looks"]:
        return []
    times = [0.0, *(look["elapsed"] for look in observations["looks"])]
    cumulative = [gate.judge(_until(observations, number), gate.Limits()) for number in range(len(times))]
    rejects = {}
    failed = {}
    for group in ("wave", "controls"):
        tallies = [getattr(verdict, group) for verdict in cumulative]
        if not tallies[-1].hosts:
            continue
        pairs = list(pairwise(tallies))
        rejects[group] = [_rate(b.rejects - a.rejects, b.opens - a.opens, 1000) for a, b in pairs]
        failed[group] = [_rate(b.failed - a.failed, b.connects - a.connects, 100) for a, b in pairs]
    return [
        _plot("Timestamp rejects per 1,000 opens", times, rejects),
        _plot("Failed connects, percent", times, failed),
    ]


def _until(observations: Mapping[str, Any], looks: int) -> dict[str, Any]:
    def cut(subjects: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {**subject, "samples": [subject["before"], *subject["samples"]][: looks + 1]}
            for name, subject in subjects.items()
        }

    return {
        **observations,
        "hosts": cut(observations["hosts"]),
        "controls": cut(observations["controls"]),
        "looks": observations["looks"][:looks],
    }


def _rate(events: int, exposure: int, per: int) -> float:
    return max(0.0, per * events / exposure) if exposure > 0 else 0.0


def _plot(title: str, times: list[float], series: Mapping[str, list[float]]) -> dict[str, Any]:
    top = max([1.0, *(value for values in series.values() for value in values)])
    end = times[-1] or 1.0
    drawn = {}
    for name, values in series.items():
        # A rate belongs to the whole time between two looks: steps, not slopes.
        points = []
        for value, left, right in zip(values, times, times[1:], strict=False):
            y = HEIGHT * (1 - value / top)
            points += [(WIDTH * left / end, y), (WIDTH * right / end, y)]
        drawn[name] = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return {"title": title, "top": round(top, 1), "end": round(end), "width": WIDTH, "height": HEIGHT, "series": drawn}


def _clock() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
