# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts over time, as a report draws them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.counting import Pair, Track, count
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.groups import GROUPS


def series(observations: Mapping[str, Any]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """{group: {"wave" | "controls" | "observer NAME" | "probe NAME": [{from, to, events, opens}]}}.

    from and to are seconds since the change. What happened before is one stretch, as long as it is known.
    """
    counted = count(observations)
    tracks = {
        "wave": (counted.wave, _seconds_before(observations["hosts"])),
        "controls": (counted.beside, _seconds_before(observations["controls"])),
        **{
            f"observer {name}": (track, _seconds_before({name: observations["observers"][name]}))
            for name, track in counted.observers.items()
        },
        **{f"probe {name}": (track, 0.0) for name, track in counted.services.items()},
    }
    times = [float(look["elapsed"]) for look in observations["looks"]]
    drawn = {
        # A service has connects, and no counters.
        group: {
            name: _line(track, group, before, times) for name, (track, before) in tracks.items() if group in track.soak
        }
        for group in GROUPS
    }
    return {group: {name: line for name, line in lines.items() if line} for group, lines in drawn.items()}


def _line(track: Track, group: str, before: float, times: list[float]) -> list[dict[str, Any]]:
    polls = []
    since = 0.0
    for until, pair in zip(times, track.soak[group], strict=True):
        if pair:
            # A look without a new sample is part of the next.
            polls.append(_poll(since, until, pair))
            since = until
    events, opened = track.total_before(group)
    if polls and opened and before > 0:
        polls.insert(0, _poll(-before, 0.0, (events, opened)))
    return polls


def _poll(since: float, until: float, pair: Pair) -> dict[str, Any]:
    return {"from": round(since, 1), "to": round(until, 1), "events": pair[0], "opens": pair[1]}


def _seconds_before(subjects: Mapping[str, Any]) -> float:
    spans = [float(one["before"][-1]["time"] - one["before"][0]["time"]) for one in subjects.values() if one["before"]]
    return statistics.median(spans) if spans else 0.0
