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
from ansible_collections.nettune.kernel.plugins.plugin_utils import gate, report

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


def sample(opens: int, rejects: int) -> dict[str, Any]:
    return {"time": 0.0, "boot_id": "b", "counters": {"Tcp.PassiveOpens": opens, "TcpExt.PAWSEstab": rejects}}


def judged() -> dict[str, Any]:
    started = {"a": {"changed": True, "baseline": [sample(0, 0)]}}
    observations = gate.begin(1, started, {"b": {"sample": sample(0, 0)}}, {}, 0.0)
    for number in (1, 2):
        looked = {"a": {"pending": {"id": "t"}, "sample": sample(100 * number, 50 * (number - 1))}}
        probes = {"a": {"attempts": 10, "ok": 9, "slow": 0, "failed": 1}}
        observations = gate.add_look(observations, looked, {"b": {"sample": sample(100, 0)}}, probes, 10.0 * number)
    verdict = gate.judge(observations, gate.Limits())
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "figures": verdict.figures(),
        "invalid": {},
        "observations": observations,
    }


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
        self.loads += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_is_complete_and_loads_nothing() -> None:
    page = Page(report.html(record()))
    assert page.loads == []
    assert "script" not in page.elements
    assert "b" not in page.elements
    # Two plots, each with a line of the wave and one of the controls.
    assert page.elements.count("svg") == 2
    assert page.elements.count("polyline") == 4


def test_a_page_before_any_wave() -> None:
    assert "not started" in report.html(report.begin(PLAN))


def test_a_plot_shows_the_rate_between_looks() -> None:
    rejects, failed = report.plots(judged()["observations"])
    assert rejects["series"].keys() == {"wave", "controls"}
    # Nothing in the first half, 50 in 90 opens of others in the second: the top.
    assert rejects["top"] == round(1000 * 50 / 90, 1)
    assert rejects["series"]["wave"] == "0.0,160.0 320.0,160.0 320.0,0.0 640.0,0.0"
    assert failed["top"] == 10.0


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
    undone = {"a": {"changed": True}}
    wave = report.wave_record(1, STARTED, {}, {}, undone, {"a": {"samples": samples}})
    assert wave["hosts"]["a"]["guard_samples"] == [{"phase": "on_trial", "counters": {"moves": n}} for n in (1, 2, 2)]
    assert report.wave_record(1, STARTED, {}, {}, undone)["hosts"]["a"]["guard_samples"] == []


def test_the_reason_of_a_wave_that_was_never_judged() -> None:
    wave = report.wave_record(1, {"a": {"failed": True, "msg": "EINVAL"}}, {}, {}, {"a": {}})
    assert wave["reason"] == "a: EINVAL"


def test_the_reason_of_a_wave_that_could_not_be_confirmed() -> None:
    confirmed = {"a": {"failed": True, "msg": "read-only"}}
    wave = report.wave_record(1, STARTED, {"verdict": "promote", "reason": "quiet"}, confirmed, {"a": {}})
    assert (wave["outcome"], wave["reason"]) == ("rolled_back", "a: read-only")
