# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of Prometheus, and what its answer says."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils._counters import WATCHED
from ansible_collections.nettune.kernel.plugins.plugin_utils import prometheus

ROOT = pathlib.Path(__file__).resolve().parents[3]
INSTANCES = {"web1": "192.0.2.11:9100", "web2": "[2001:db8::12]:9100"}


def series(name: str, *values: tuple[float, str], instance: str = "192.0.2.11:9100") -> dict[str, Any]:
    return {"metric": {"__name__": name, "instance": instance}, "values": [list(pair) for pair in values]}


def answer(*found: dict[str, Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "matrix", "result": list(found)}}


BOOT = series("node_boot_time_seconds", (100.5, "77"), (115.5, "77"))
OPENS = series("node_netstat_Tcp_PassiveOpens", (100.5, "5"), (115.5, "1.0001e+04"))


def test_the_query_takes_names_literally() -> None:
    question = prometheus.query(INSTANCES.values(), 30, 'job="node"')
    assert 'instance=~"192\\\\.0\\\\.2\\\\.11:9100|\\\\[2001:db8::12\\\\]:9100"' in question
    assert question.endswith(',job="node"}[30s]')
    assert "node_netstat_TcpExt_PAWSEstab|" in question


def test_samples_have_the_times_of_their_scrapes() -> None:
    found = prometheus.samples(answer(BOOT, OPENS), INSTANCES)
    assert found["web1"] == [
        {"time": 100.5, "boot_id": "77", "counters": {"Tcp.PassiveOpens": 5}},
        {"time": 115.5, "boot_id": "77", "counters": {"Tcp.PassiveOpens": 10001}},
    ]
    assert found["web2"] == []


def test_a_scrape_that_does_not_tell_the_boot_is_no_sample() -> None:
    assert prometheus.samples(answer(OPENS), INSTANCES)["web1"] == []


def test_two_series_of_one_host_are_refused() -> None:
    with pytest.raises(prometheus.BadAnswer, match=r"two series of node_boot_time_seconds .* tune_prom"):
        prometheus.samples(answer(BOOT, BOOT), INSTANCES)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"status": "error", "error": "bad query"}, "refuses the query: bad query"),
        ({"status": "success"}, "no answer of Prometheus"),
        ([], "no answer of Prometheus"),
        (answer({"metric": {"__name__": "x", "instance": "i"}, "values": [["now", "1"]]}), "no answer of Prometheus"),
        (
            answer(series("node_boot_time_seconds", (1, "77")), series("node_netstat_Tcp_PassiveOpens", (1, "many"))),
            "no",
        ),
    ],
)
def test_what_is_no_answer_is_refused(told: Any, sentence: str) -> None:
    with pytest.raises(prometheus.BadAnswer, match=sentence):
        prometheus.samples(told, {"web1": "192.0.2.11:9100"})


def test_the_flag_lets_everything_through_that_is_watched() -> None:
    pattern = re.compile(prometheus.FLAG.partition("'")[2].rstrip("'"))
    assert [name for name in WATCHED if not pattern.fullmatch(name.replace(".", "_"))] == []


def test_the_page_has_the_flag() -> None:
    assert prometheus.FLAG in (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8")


def test_an_exporter_as_it_comes_lacks_the_rejects() -> None:
    counters = {"Tcp.PassiveOpens": 1, "Tcp.ActiveOpens": 1, "TcpExt.ListenDrops": 0}
    assert prometheus.lacks({"counters": counters})
    assert not prometheus.lacks({"counters": {**counters, "TcpExt.PAWSEstab": 0}})


def test_a_long_time_before_is_thinned() -> None:
    many: list[dict[str, Any]] = [{"time": moment} for moment in range(1000)]
    thin = prometheus.thinned(many)
    assert len(thin) <= 40
    assert thin[0] == many[0]
    assert prometheus.thinned(many[:3]) == many[:3]


@pytest.mark.parametrize(
    ("variables", "instance"),
    [
        ({}, "web1:9100"),
        ({"ansible_host": "192.0.2.11"}, "192.0.2.11:9100"),
        ({"ansible_host": "2001:db8::1"}, "[2001:db8::1]:9100"),
        ({"tune_prometheus_instance": "web1.example:9101"}, "web1.example:9101"),
    ],
)
def test_under_which_name_prometheus_knows_a_host(variables: dict[str, str], instance: str) -> None:
    assert prometheus.instance_of("web1", variables) == instance
