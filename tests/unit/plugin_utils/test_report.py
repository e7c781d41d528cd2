# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report, and what it says of a wave."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import simulated_rollout
from ansible_collections.nettune.kernel.plugins.plugin_utils import gate, report
from ansible_collections.nettune.kernel.plugins.plugin_utils.report import plots

PLAN: dict[str, Any] = {
    "rollout_id": "r-1",
    "hosts": ["a", "b"],
    "strata": {"a": "", "b": ""},
    "waves": [{"number": 1, "hosts": ["a"], "controls": ["b"]}, {"number": 2, "hosts": ["b"], "controls": []}],
    "settings": [
        {"key": "net.ipv4.tcp_fin_timeout", "proposed": "30", "why": "<script>alert(1)</script>", "now": ["60"]}
    ],
    "findings": ["a: warning <b>"],
}
STARTED = {"a": {"changed": True, "values": {"net.ipv4.tcp_fin_timeout": {"before": "60", "after": "30"}}}}


def judged() -> dict[str, Any]:
    return simulated_rollout.judged(simulated_rollout.soak(1, ["a"], ["b"], looks=6))


def record() -> report.Record:
    undone = {"a": {"changed": True, "trial": {"state": "rolled_back"}, "drift": []}}
    return report.with_wave(report.begin(PLAN), report.wave_record(1, STARTED, judged(), {}, undone))


class Page(HTMLParser):
    """Elements of a page, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.loads: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "style") or name.startswith("on")]


def test_the_page_is_complete_and_loads_nothing() -> None:
    page = Page(report.html(record()))
    assert page.loads == []
    # Its own script, and nothing of what the values say.
    assert page.elements.count("script") == 1
    assert "b" not in page.elements


def test_a_page_before_any_wave() -> None:
    assert "not started" in report.html(report.begin(PLAN))


REVIEWS: dict[str, Any] = {
    "a": {"verdict": "accepted", "facts": {"kernel": {"release": "6.1.0"}}, "plan": [], "findings": []},
    "b": {"unreachable": True, "msg": "no <b>route</b>"},
}


def test_a_rollout_that_is_refused_tells_of_every_host_and_has_no_waves() -> None:
    record = report.refused(None, {"rollout_id": "r-1"}, ["b: cannot be reached: no <b>route</b>"], REVIEWS)
    assert record is not None
    assert (record["state"], record["planned"], record["settings"]) == ("refused", [], [])
    assert record["refused"]["hosts"] == {
        "a": {"outcome": "accepted", "kernel": "6.1.0", "why": []},
        "b": {"outcome": "in_the_way", "kernel": None, "why": ["cannot be reached: no <b>route</b>"]},
    }
    page = Page(report.html(record))
    assert page.loads == []
    assert "b" not in page.elements
    assert ">Waves<" not in report.html(record)
    # The name is free for the next one.
    assert report.planned(record, PLAN)["refused"] is None


def test_a_refused_run_is_told_between_waves_and_overwrites_none_that_have_ended() -> None:
    ended = record()
    assert report.refused(ended, PLAN, ["x"], REVIEWS) is None
    wave = report.wave_record(1, STARTED, judged(), {}, None)
    between = report.with_wave(report.begin(PLAN), wave)
    refused = report.refused(between, PLAN, ["x <b>"], REVIEWS)
    assert refused is not None
    assert (refused["state"], refused["waves"]) == ("between_waves", between["waves"])
    page = report.html(refused)
    assert "was to go on, and was refused" in page
    assert "x &lt;b&gt;" in page
    assert ">Waves<" in page
    wave = {**wave, "number": 2}
    assert report.with_wave(refused, wave)["refused"] is None


def series(*points: tuple[float, float, int, int]) -> list[dict[str, float]]:
    return [dict(zip(("from", "to", "events", "opens"), point, strict=True)) for point in points]


def test_a_plot_is_of_steps_around_the_change() -> None:
    wave = series((-10, 0, 0, 100), (0, 10, 5, 50), (10, 20, 0, 0), (20, 30, 1, 100))
    (plot,) = plots.plots({"timestamp_rejects": {"wave": wave, "controls": series((0, 30, 0, 10))}})
    assert (plot.title, plot.unit) == ("Timestamp rejects", "per 1,000 opens")
    # Forty seconds on the axis, ten of them before the change; 100 per 1,000 is its top.
    assert plot.change == plots.WIDTH / 4
    steps, controls = plot.lines
    # The pen is lifted where nothing is known.
    assert steps.path == "M0.0,150.0H98.0V0.0H196.0M294.0,135.0H392.0"
    assert (steps.style, controls.style) == ("wave", "controls")
    assert [tick.label for tick in plot.x_ticks] == ["\N{MINUS SIGN}10 s", "0 s", "10 s", "20 s", "30 s"]
    assert [tick.label for tick in plot.y_ticks] == ["0", "20", "40", "60", "80", "100"]
    assert plot.spans[1].says == "0 s to 30 s\ncontrols: 0 in 10 opens, 0.0 per 1,000" or "wave" in plot.spans[1].says
    assert plot.summary.startswith("Timestamp rejects wave: 0.0 per 1,000 before the change, 40.0 after it")


def test_many_looks_become_few_steps_that_do_not_cross_the_change() -> None:
    points = series(*[(at, at + 1, 1, 10) for at in range(-301, 2000)])
    coarse = plots._coarser(points)
    assert len(coarse) <= 122
    assert sum(point["events"] for point in coarse) == len(points)
    assert 0 in [point["from"] for point in coarse]


@pytest.mark.parametrize(
    ("most", "step", "top"),
    [(1, 0.2, 1), (1.1, 0.25, 1.25), (100, 20, 100), (101, 25, 125), (7, 2, 8), (999, 200, 1000)],
)
def test_axes_have_round_steps(most: float, step: float, top: float) -> None:
    assert plots._scale(most) == pytest.approx((step, top))


def test_a_plot_in_which_nothing_happened_is_low() -> None:
    (plot,) = plots.plots({"queue_drops": {"wave": series((-5, 0, 0, 10), (0, 5, 0, 10))}})
    assert (plot.unit, plot.height, [tick.label for tick in plot.y_ticks]) == ("none at all", plots.LOW, ["0"])


def test_what_a_guard_saw_is_drawn() -> None:
    rejects = [0, 0, 0, 0, 2, 5]
    samples = [
        {
            "time": 100.0 + at,
            "phase": "armed" if at < 3 else "on_trial",
            "counters": {"Tcp.PassiveOpens": 10 * at, "TcpExt.PAWSEstab": rejects[at]},
        }
        for at in range(6)
    ]
    plot = plots.guard_plot("web1", samples)
    assert plot is not None
    assert plot.title == "Rejects on web1, by its guard"
    # The third of six samples is the last before the first write.
    assert plot.change == plots.WIDTH * 2 / 5
    assert plot.spans[-1].says == "2 s to 3 s\nweb1: 3 in 10 opens, 300.0 per 1,000"
    assert plots.guard_plot("web1", samples[:4]) is None
    assert plots.guard_plot("web1", samples[3:]) is None


def test_besides_wave_and_controls_the_highest_are_drawn() -> None:
    others = {f"observer o{number}": series((0, 1, number, 1000)) for number in range(9)}
    (plot,) = plots.plots({"resets": {**others, "wave": series((0, 1, 1, 1))}})
    assert [(line.name, line.style) for line in plot.lines] == [
        ("wave", "wave"),
        ("observer o8", "other1"),
        ("observer o7", "other2"),
        ("observer o6", "other3"),
    ]


def test_files_grow_wave_by_wave(tmp_path: Path) -> None:
    json_path, html_path = report.paths(str(tmp_path / "new"), "r-1")
    assert report.load(json_path) is None
    report.write(record(), json_path, html_path)
    again = report.load(json_path)
    assert again is not None
    report.write(report.with_wave(again, report.wave_record(2, {}, {}, {}, None)), json_path, html_path)
    stored = json.loads(json_path.read_text())
    assert [wave["number"] for wave in stored["waves"]] == [1, 2]
    assert sorted(path.name for path in json_path.parent.iterdir()) == ["r-1.html", "r-1.json"]
    # A stored rollout is judged to the same verdict.
    first = stored["waves"][0]
    assert gate.judge(first["observations"], gate.Limits()).reason == first["reason"]


def test_the_state_says_how_far_it_is() -> None:
    begun = report.begin(PLAN)
    assert (begun["state"], begun["deadline"]) == ("planned", None)
    on_trial = {"a": {"changed": True, "trial": {"deadline_epoch": 1795251900.9}}}
    running = report.with_wave(begun, report.wave_record(1, on_trial, judged(), {}, None, running=True))
    assert (running["state"], running["deadline"]) == ("running", "2026-11-21T09:05:00Z")
    assert running["waves"][0]["hosts"]["a"]["outcome"] == "on_trial"
    between = report.with_wave(running, report.wave_record(1, on_trial, judged(), {}, None))
    assert (between["state"], between["deadline"], len(between["waves"])) == ("between_waves", None, 1)
    done = report.with_wave(between, report.wave_record(2, {"b": {"changed": True}}, judged(), {}, None))
    assert (done["state"], done["halted"]) == ("done", None)
    halted = report.with_wave(between, report.wave_record(2, {"b": {}}, {"reason": "rejects"}, {}, {"b": {}}))
    assert (halted["state"], halted["halted"]) == ("halted", "wave 2: rejects")


def test_a_plan_that_was_not_run_is_made_anew() -> None:
    first = {**report.begin(PLAN), "begun": "2026-11-21T09:00:00Z"}
    other = {**PLAN, "waves": PLAN["waves"][:1]}
    anew = report.planned(first, other)
    assert (anew["begun"], len(anew["planned"])) == ("2026-11-21T09:00:00Z", 1)
    assert report.planned(record(), other)["waves"] == record()["waves"]


def test_hosts_of_a_wave_that_runs() -> None:
    started = {
        "a": {"changed": True},
        "b": {"changed": False},
        "c": {"unreachable": True, "msg": "gone"},
        "d": {"failed": True, "msg": "EINVAL"},
        "e": {},
        "f": {"changed": True},
    }
    wave = report.wave_record(1, started, {}, {"f": {"changed": True}}, None, running=True)
    assert {host: item["outcome"] for host, item in wave["hosts"].items()} == {
        "a": "on_trial",
        "b": "settled",
        "c": "lost",
        "d": "untouched",
        "e": "waiting",
        "f": "confirmed",
    }


def test_the_json_is_the_same_for_the_same_record(tmp_path: Path) -> None:
    texts = set()
    grown = record()
    for keys in (list(grown), list(grown)[::-1]):
        report.write({key: grown[key] for key in keys}, *report.paths(str(tmp_path), "r-1"))
        texts.add((tmp_path / "r-1.json").read_text())
    assert len(texts) == 1


def test_a_record_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r-1.json"
    path.write_text(json.dumps({**record(), "schema": 99}))
    with pytest.raises(ValueError, match="has schema 99, and this version reads 1"):
        report.load(path)


def test_a_rollout_id_stays_in_the_folder(tmp_path: Path) -> None:
    for path in report.paths(str(tmp_path), "../../etc/x y"):
        assert path.parent == tmp_path


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r-1.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="no record of a rollout"):
        report.load(path)


def test_what_is_said_of_a_wave_that_was_rolled_back() -> None:
    undone = {
        "a": {"unreachable": True},
        "b": {"failed": True, "msg": "disk full"},
        "c": {"changed": False, "trial": {}},
    }
    wave = report.wave_record(2, {host: {"changed": True} for host in "abc"}, {}, {}, undone)
    first = report.wave_record(1, {"z": {"changed": True}}, {}, {}, None)
    grown = report.with_wave(report.with_wave(report.begin(PLAN), first), wave)
    assert report.lines(grown, wave, undone, Path("r.html")) == [
        "Wave 2 of 2 is rolled back, and no further wave starts.",
        "a: does not answer: its own guard rolls back in time",
        "b: NOT rolled back: disk full",
        "c: nothing to undo",
        "Confirmed by earlier waves, left as they are: z. rollback.yml undoes them",
        "Report: r.html",
    ]
    outcomes = {host: item["outcome"] for host, item in wave["hosts"].items()}
    assert outcomes == {"a": "lost", "b": "not_rolled_back", "c": "untouched"}


def test_what_the_guards_saw_is_kept_without_counters_that_stand_still() -> None:
    samples = [{"phase": "on_trial", "counters": {"moves": n, "stands": 7}} for n in (1, 2, 2)]
    undone = {"a": {"changed": True, "samples": samples}}
    wave = report.wave_record(1, STARTED, {}, {}, undone)
    assert wave["hosts"]["a"]["guard_samples"] == [{"phase": "on_trial", "counters": {"moves": n}} for n in (1, 2, 2)]
    assert report.wave_record(1, STARTED, {}, {}, {"a": {"changed": True}})["hosts"]["a"]["guard_samples"] == []


def test_the_reason_of_a_wave_that_was_never_judged() -> None:
    wave = report.wave_record(1, {"a": {"failed": True, "msg": "EINVAL"}}, {}, {}, {"a": {}})
    assert wave["reason"] == "a: EINVAL"


def test_the_reason_of_a_wave_that_could_not_be_confirmed() -> None:
    confirmed = {"a": {"failed": True, "msg": "read-only"}}
    wave = report.wave_record(1, STARTED, {"verdict": "promote", "reason": "quiet"}, confirmed, {"a": {}})
    assert (wave["outcome"], wave["reason"]) == ("rolled_back", "a: read-only")
