# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: one HTML file that needs nothing else, and that a browser is told to let load nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import account, clock, gate
from ansible_collections.nettune.kernel.plugins.plugin_utils.report import plots
from ansible_collections.nettune.kernel.plugins.plugin_utils.report.record import (
    BETWEEN_WAVES,
    DONE,
    HALTED,
    PLANNED,
    REFUSED,
    RUNNING,
    Record,
    hosts,
)
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent
_MOST_GUARDS = 4
# Tests of single hosts, observers and probes.
_MOST_SINGLE = 12
_TITLES = {
    PLANNED: "Planned",
    RUNNING: "Running",
    BETWEEN_WAVES: "Between waves",
    DONE: "Done",
    HALTED: "Rolled back",
    REFUSED: "Refused",
}
# Good, bad, or neither: what the colours say.
_TONES = {
    "confirmed": "good",
    "promote": "good",
    "done": "good",
    "rolled_back": "bad",
    "roll_back": "bad",
    "halted": "bad",
    "refused": "bad",
    "in_the_way": "bad",
    "lost": "bad",
    "not_rolled_back": "bad",
    "inconclusive": "open",
    "running": "open",
    "on_trial": "open",
}
_OUTCOMES = {"settled": "had the set already", "waiting": "not started", "in_the_way": "stands in the way"}


def html(record: Record) -> str:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        words=lambda name: _OUTCOMES.get(name) or str(name).replace("_", " "),
        tone=lambda name: _TONES.get(name, ""),
        names=account.names,
        count=account.count,
        number=_number,
        bound=_bound,
        clock=clock.in_words,
        group_title=lambda name: plots.group_of(name).title,
    )
    began = {wave["number"]: wave for wave in record["waves"]}
    style, script = _text("page.css"), _text("page.js")
    return environment.get_template("page.html.j2").render(
        record=record,
        title=_TITLES[record["state"]],
        summary=_summary(record).rstrip("."),
        plan=[{**planned, "wave": began.get(planned["number"])} for planned in record["planned"]],
        waves=[_wave(wave) for wave in record["waves"]],
        refused=record.get("refused"),
        hosts=[_host_row(record, host, wave, began.get(wave, {}), item) for host, wave, item in hosts(record)],
        room=plots,
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; "
        "form-action 'none'",
    )


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _summary(record: Record) -> str:
    waves, total = record["waves"], len(record["planned"])
    if record["state"] == HALTED:
        return f"{record['halted'][0].upper()}{record['halted'][1:]}"
    if record["state"] == RUNNING:
        return f"Wave {waves[-1]['number']} of {total} is on trial"
    if record["state"] == DONE:
        confirmed = sum(item.get("outcome") == "confirmed" for _host, _wave, item in hosts(record))
        return f"Confirmed on {account.count(confirmed, 'host')} in {account.count(total, 'wave')}"
    if record["state"] == REFUSED:
        asked = record["refused"]["hosts"].values()
        obstacles = sum(item["outcome"] == "in_the_way" for item in asked)
        in_the_way = f" {obstacles} of {account.count(len(asked), 'host')} in the way" if obstacles else ""
        return account.UNTOUCHED + in_the_way
    return f"{len(waves)} of {account.count(total, 'wave')} done"


def _wave(wave: Mapping[str, Any]) -> dict[str, Any]:
    observations = wave["observations"]
    figures = wave["figures"]
    tests = figures.get("tests", [])
    shown = _worth_showing(tests)
    looked = observations and observations["looks"]
    return {
        **wave,
        # Where something happened first.
        "plots": sorted(
            [*(plots.plots(gate.series(observations)) if looked else []), *_guards(wave)], key=lambda plot: -plot.height
        ),
        "tests": [_test(test) for test in shown],
        "untold": len(tests) - len(shown),
        "excluded": figures.get("excluded", {}),
        "watched": round(observations["looks"][-1]["elapsed"]) if looked else 0,
        "beside": {kind: list(observations.get(kind) or {}) for kind in ("controls", "observers")} if looked else {},
        "changes": _shared(
            {
                name: {"values": host["values"], "side_effects": host["side_effects"]}
                for name, host in wave["hosts"].items()
            }
        ),
        "undone": _shared({name: {"lines": host["undone"]} for name, host in wave["hosts"].items()}),
    }


def _guards(wave: Mapping[str, Any]) -> list[plots.Plot]:
    """Of hosts that were rolled back, as their guards saw it each second."""
    seen = (plots.guard_plot(name, host["guard_samples"]) for name, host in wave["hosts"].items())
    return list(islice((plot for plot in seen if plot), _MOST_GUARDS))


def _worth_showing(tests: list[Any]) -> list[Any]:
    """The wave as a whole, and of single hosts and probes those that say most. The JSON has more of them."""
    single = [test for test in tests if test["kind"] != "wave" and (test["exceeded_at"] or test["evidence"] > 1)]
    most = sorted(single, key=lambda test: -test["share"])[:_MOST_SINGLE]
    return [test for test in tests if test["kind"] == "wave"] + most


def _test(test: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **test,
        "percent": round(100 * min(1.0, test["share"]), 1),
        "exposure": plots.group_of(test["group"]).exposure,
    }


def _shared(stories: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Stories with the hosts that they are true of; those without anything to tell are left out."""
    told: dict[str, dict[str, Any]] = {}
    for host, story in stories.items():
        if any(story.values()):
            told.setdefault(json.dumps(story, sort_keys=True), {"hosts": [], **story})["hosts"].append(host)
    return list(told.values())


def _host_row(
    record: Record, host: str, number: int, wave: Mapping[str, Any], item: Mapping[str, Any]
) -> dict[str, Any]:
    figures = wave.get("figures", {})
    seen = figures.get("hosts", {}).get(host, {})
    opens, rejects = seen.get("opens"), seen.get("timestamp_rejects")
    subject = (wave.get("observations") or {}).get("hosts", {}).get(host, {})
    notes = [subject.get("lost") and f"lost: {subject['lost']}", subject.get("guard") and f"guard: {subject['guard']}"]
    notes += [figures.get("excluded", {}).get(host)]
    notes += [f"{entry['key']} left alone: {entry['found']}" for entry in item.get("drift", [])]
    if item.get("outcome") == "lost" and item.get("deadline"):
        notes.append(f"its own guard rolls back by {clock.in_words(item['deadline'])}")
    return {
        "name": host,
        "wave": number,
        "stratum": record["strata"].get(host, ""),
        "outcome": item.get("outcome", "waiting"),
        "opens": opens,
        "rejects_per_1000": 1000 * rejects / opens if opens and rejects is not None else None,
        "connects": seen.get("connects"),
        "failed": seen.get("failed"),
        "changed": len(item.get("values", {})) or None,
        "notes": "; ".join(dict.fromkeys(note for note in notes if note)),
    }


# Figures as people read them


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value and (abs(value) >= 1e6 or abs(value) < 0.01):
        mantissa, _e, exponent = f"{value:.0e}".partition("e")
        power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{power}" if mantissa == "1" else f"{mantissa}·10{power}"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def _bound(value: float | None) -> str:
    """The upper end of an interval, which may be open."""
    return "∞" if value is None else _number(value)
