# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots of a wave: per counter group the rate of the wave, the controls and the observers over time, as geometry.

Steps, not slopes: a rate belongs to the whole time between two looks. The template turns the geometry into SVG.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._counters import OPENS, TIMESTAMP_REJECTS

Point = Mapping[str, Any]
Series = Mapping[str, Sequence[Point]]
# Seconds, or a rate, as a place in the plane.
Scale = Callable[[float], float]

# The plane of a plot, and the room around it for ticks and labels, in units of its view box.
WIDTH = 392
HEIGHT = 150
# Of a plot in which nothing happened.
LOW = 24
LEFT = 40
RIGHT = 8
ABOVE = 22
BELOW = 38

# More steps than this are not told apart on a screen.
_MOST_STEPS = 120
# Beside the wave and the controls. Each has a colour and a dash of its own.
_MOST_OTHERS = 3
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True)
class Group:
    """How people call a counter group, and what it is set against."""

    title: str
    exposure: str


_GROUPS = {
    "timestamp_rejects": Group("Timestamp rejects", "opens"),
    "queue_drops": Group("Queue drops", "opens"),
    "resets": Group("Resets and failed opens", "opens"),
    "connects": Group("Failed connects", "connects"),
    "slow_connects": Group("Slow or failed connects", "connects"),
}


@dataclass(frozen=True)
class Tick:
    at: float
    label: str
    # Where the label stands, so that it stays within the plot.
    anchor: str = "middle"


@dataclass(frozen=True)
class Line:
    name: str
    # Class in the style sheet: colour and dash.
    style: str
    path: str


@dataclass(frozen=True)
class Span:
    """A part of the time axis, and what happened in it in words."""

    x: float
    width: float
    says: str


@dataclass(frozen=True)
class Plot:
    title: str
    unit: str
    height: int
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    # Where the change is; None where nothing is drawn of the time before.
    change: float
    lines: list[Line]
    spans: list[Span]
    # The whole plot in one sentence, for those who do not see it.
    summary: str


def group_of(name: str) -> Group:
    return _GROUPS.get(name) or Group(name.replace("_", " ").capitalize(), "opens")


def plots(series: Mapping[str, Series]) -> list[Plot]:
    """A plot for each counter group that has anything to show."""
    known = [name for name in _GROUPS if name in series]
    others = sorted(name for name in series if name not in _GROUPS)
    return [_plot(group_of(name), series[name]) for name in [*known, *others] if any(series[name].values())]


def guard_plot(host: str, samples: Sequence[Mapping[str, Any]]) -> Plot | None:
    """The timestamp rejects of a host as its guard saw them each second; None where it saw none."""
    changed = next((at for at, sample in enumerate(samples) if sample["phase"] != "armed"), 0)
    if not samples or changed == 0:
        return None
    # The last look before the first write is the moment of the change, to the second.
    moment = samples[changed - 1]["time"]
    points = [
        {
            "from": round(left["time"] - moment, 1),
            "to": round(right["time"] - moment, 1),
            "events": _risen(left, right, TIMESTAMP_REJECTS),
            "opens": _risen(left, right, OPENS),
        }
        for left, right in pairwise(samples)
    ]
    if not any(point["events"] for point in points):
        return None
    return _plot(Group(f"Rejects on {host}, by its guard", "opens"), {host: points})


def _risen(left: Mapping[str, Any], right: Mapping[str, Any], names: Iterable[str]) -> int:
    counters = [(left["counters"].get(name, 0), right["counters"].get(name, 0)) for name in names]
    return sum(max(0, after - before) for before, after in counters)


def _plot(group: Group, series: Series) -> Plot:
    drawn = {name: _coarser(series[name]) for name in _shown(series)}
    points = [point for name in drawn for point in drawn[name]]
    begin = min(0.0, *(float(point["from"]) for point in points))
    end = max(1.0, *(float(point["to"]) for point in points))
    most = max((rate for rate in map(rate_of, points) if rate is not None), default=0.0)
    y_step, top = _scale(max(1.0, most)) if most > 0 else (1.0, 1.0)
    height = HEIGHT if most > 0 else LOW

    def x(seconds: float) -> float:
        return round(WIDTH * (seconds - begin) / (end - begin), 1)

    def y(rate: float) -> float:
        return round(height * (1 - rate / top), 1)

    return Plot(
        title=group.title,
        unit=f"per 1,000 {group.exposure}" if most > 0 else "none at all",
        height=height,
        x_ticks=[Tick(x(at), _duration(at), _anchor(x(at))) for at in _time_ticks(begin, end)],
        y_ticks=[Tick(y(at), _number(at)) for at in _steps(0.0, top if most > 0 else 0.0, y_step)],
        change=x(0.0),
        lines=[Line(name, style, _path(drawn[name], x, y)) for name, style in _styles(drawn).items()],
        spans=_spans(drawn, group, x),
        summary=f"{group.title} {_before_and_after(drawn)}",
    )


def _shown(series: Series) -> list[str]:
    """The wave, its controls, and of the others those with the highest rates."""
    known = [name for name in ("wave", "controls") if series.get(name)]
    others = sorted(
        (name for name in series if name not in known and series[name]),
        key=lambda name: -(rate_of(_sum(series[name])) or 0.0),
    )
    return [*known, *others[:_MOST_OTHERS]]


def _styles(names: Iterable[str]) -> dict[str, str]:
    """Classes of the style sheet: the wave, or whoever is alone, is the line that people look at first."""
    listed = list(names)
    if len(listed) == 1:
        return {listed[0]: "wave"}
    others = [name for name in listed if name not in ("wave", "controls")]
    return {name: f"other{others.index(name) + 1}" if name in others else name for name in listed}


def rate_of(point: Point) -> float | None:
    """Events per 1,000; None where nothing happened that could have failed."""
    return 1000.0 * float(point["events"]) / float(point["opens"]) if point["opens"] > 0 else None


def _coarser(points: Sequence[Point]) -> list[Point]:
    """Few enough steps, neighbours added up; the moment of the change stays between two of them."""
    before, after = [p for p in points if p["from"] < 0], [p for p in points if p["from"] >= 0]
    size = math.ceil(len(points) / _MOST_STEPS) or 1
    return [_sum(part[start : start + size]) for part in (before, after) for start in range(0, len(part), size)]


def _sum(points: Sequence[Point]) -> Point:
    return {
        "from": points[0]["from"],
        "to": points[-1]["to"],
        "events": sum(point["events"] for point in points),
        "opens": sum(point["opens"] for point in points),
    }


def _path(points: Iterable[Point], x: Scale, y: Scale) -> str:
    """Steps; the pen is lifted over a time of which nothing is known."""
    commands = []
    pen = None
    for point in points:
        rate = rate_of(point)
        if rate is None:
            pen = None
            continue
        left, right, height = x(point["from"]), x(point["to"]), y(rate)
        commands.append(f"V{height}" if pen == left else f"M{left},{height}")
        commands.append(f"H{right}")
        pen = right
    return "".join(commands)


def _spans(series: Mapping[str, list[Point]], group: Group, x: Scale) -> list[Span]:
    """The time axis in pieces, each with what every series says of it."""
    edges = sorted({edge for points in series.values() for point in points for edge in (point["from"], point["to"])})
    return [
        Span(x(start), round(x(end) - x(start), 1), "\n".join([f"{_duration(start)} to {_duration(end)}", *lines]))
        for start, end in pairwise(edges)
        if (lines := [line for name in series for line in _said(name, series[name], start, end, group)])
    ]


def _said(name: str, points: Sequence[Point], start: float, end: float, group: Group) -> list[str]:
    covering = [point for point in points if point["from"] <= start and end <= point["to"]]
    return [
        f"{name}: {_in_words(point, group)}"
        + (
            ""
            if (point["from"], point["to"]) == (start, end)
            else f" ({_duration(point['from'])} to {_duration(point['to'])})"
        )
        for point in covering
    ]


def _in_words(point: Point, group: Group) -> str:
    rate = rate_of(point)
    said = f"{point['events']:,.0f} in {point['opens']:,.0f} {group.exposure}"
    return said if rate is None else f"{said}, {rate:,.1f} per 1,000"


def _before_and_after(series: Mapping[str, list[Point]]) -> str:
    return "; ".join(
        f"{name}: {_mean([p for p in points if p['to'] <= 0])} per 1,000 before the change, "
        f"{_mean([p for p in points if p['to'] > 0])} after it"
        for name, points in series.items()
    )


def _mean(points: Sequence[Point]) -> str:
    rate = rate_of(_sum(points)) if points else None
    return "unknown" if rate is None else f"{rate:,.1f}"


# Axes


def _scale(most: float) -> tuple[float, float]:
    """The step between ticks, and the top of the axis: three to five round steps."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(power * part for part in (0.2, 0.25, 0.5, 1.0, 2.0, 2.5) if most <= power * part * 5)
    return step, step * math.ceil(most / step - 1e-9)


def _steps(low: float, high: float, step: float) -> list[float]:
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _time_ticks(begin: float, end: float) -> list[float]:
    step = next((size for size in _SECONDS if (end - begin) / size <= 6), _SECONDS[-1])
    ticks = _steps(begin, end, step)
    # How long the time before was, where there is room to say so.
    return ticks if ticks[0] - begin < (end - begin) / 7 else [begin, *ticks]


def _anchor(x: float) -> str:
    return "start" if x < 10 else "end" if x > WIDTH - 10 else "middle"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}".rstrip("0")


def _duration(seconds: float) -> str:
    """-15 s, 90 s, 5 min, 2 h: the largest unit that needs no fraction, seconds for up to two minutes."""
    sign, size = ("\N{MINUS SIGN}" if seconds < 0 else ""), abs(seconds)
    if size > 120 and size % 3600 == 0:
        return f"{sign}{size / 3600:.0f} h"
    if size > 120 and size % 60 == 0:
        return f"{sign}{size / 60:.0f} min"
    return f"{sign}{_number(round(size, 1))} s"
