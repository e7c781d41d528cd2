# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of waves."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import waves
from hypothesis import given
from hypothesis import strategies as st

HOSTS = [f"h{number}" for number in range(1, 101)]


@pytest.mark.parametrize(
    ("total", "sizes", "counts"),
    [
        (100, [1, "10%", "50%", "100%"], [1, 10, 50, 39]),
        (6, [1, "10%", "50%", "100%"], [1, 1, 3, 1]),
        (1, [1, "10%", "50%", "100%"], [1]),
        (0, [1], []),
        (7, [2], [2, 2, 2, 1]),
        (3, ["100%"], [3]),
        (3, ["10", "1 %"], [3]),
        # A percentage is never nobody.
        (5, ["1%"], [1, 1, 1, 1, 1]),
    ],
)
def test_sizes(total: int, sizes: list[Any], counts: list[int]) -> None:
    assert waves.wave_counts(total, sizes) == counts


@pytest.mark.parametrize("sizes", [[], "1", [0], ["0%"], ["101%"], [-1], ["ten"], [True], [1.5], [None], [1, {}]])
def test_sizes_that_mean_nothing(sizes: Any) -> None:
    with pytest.raises(ValueError, match="tune_waves"):
        waves.wave_counts(10, sizes)


def test_the_first_wave_has_every_stratum() -> None:
    strata = {host: ("old" if host in ("h40", "h41") else "new") for host in HOSTS}
    plan = waves.plan(HOSTS, [1, "100%"], strata)
    assert plan["waves"][0]["hosts"] == ["h1", "h40"]
    assert plan["sizes"] == [2, 98]


def test_growing_the_first_wave_may_empty_others() -> None:
    hosts = HOSTS[:6]
    plan = waves.plan(hosts, [1, 1, 1, 3], {host: host for host in hosts})
    assert plan["sizes"] == [6]
    assert plan["waves"][0]["controls"] == []


def test_later_waves_keep_the_mix() -> None:
    # The inventory lists one kind after the other, as inventories do.
    strata = {host: ("a" if number < 50 else "b") for number, host in enumerate(HOSTS)}
    plan = waves.plan(HOSTS, [2, "20%", "100%"], strata)
    kinds = [strata[host] for host in plan["waves"][1]["hosts"]]
    assert kinds.count("a") == 10


def test_controls_are_untouched_hosts_of_the_same_kind_first() -> None:
    strata = {host: ("rare" if host in ("h1", "h50", "h60") else "common") for host in HOSTS}
    plan = waves.plan(HOSTS, ["100%"], strata, controls=3)
    assert plan["waves"][0]["controls"] == []
    first, second = waves.plan(HOSTS, [2, "100%"], strata, controls=3)["waves"]
    assert set(first["controls"]) <= set(second["hosts"])
    only_rare = waves._controls(["h1"], HOSTS[1:], strata, 3)
    assert only_rare == ["h50", "h60", "h2"]


@given(
    total=st.integers(0, 60),
    sizes=st.lists(st.one_of(st.integers(1, 20), st.integers(1, 100).map(lambda n: f"{n}%")), min_size=1, max_size=5),
    kinds=st.integers(1, 4),
)
def test_every_host_is_in_exactly_one_wave(total: int, sizes: list[Any], kinds: int) -> None:
    hosts = HOSTS[:total]
    plan = waves.plan(hosts, sizes, {host: str(number % kinds) for number, host in enumerate(hosts)})
    members = [host for wave in plan["waves"] for host in wave["hosts"]]
    assert sorted(members) == sorted(hosts)
    assert members == plan["hosts"]
    assert [len(wave["hosts"]) for wave in plan["waves"]] == plan["sizes"]
    assert all(plan["sizes"])
    for number, wave in enumerate(plan["waves"], 1):
        assert wave["number"] == number
        later = {host for other in plan["waves"][number:] for host in other["hosts"]}
        assert set(wave["controls"]) <= later


def test_stratum() -> None:
    facts = {"kernel": {"release": "6.1"}, "topology": {"role": [{"value": "server"}, {"value": "database"}]}}
    names = ["kernel.release", "role", "rack", "kernel.nothing"]
    assert waves.stratum(facts, {}, {"rack": "r7"}, names) == "6.1 database+server r7 -"
    assert waves.stratum(facts, {"role": ["l7_proxy"]}, {}, ["role"]) == "l7_proxy"
    assert waves.stratum({}, {"role": "client"}, {}, ["role"]) == "client"


def test_variables_that_differ_between_hosts_are_named() -> None:
    shared = {
        "a": {"tune_soak": 20, "tune_waves": [1, "100%"]},
        "b": {"tune_soak": "20", "tune_waves": [1, "100%"]},
        "c": {"tune_soak": 2, "tune_waves": [1, "100%"]},
    }
    assert waves.differences(shared) == ["tune_soak differs between hosts (a: 20, c: 2): set it for all"]
    del shared["c"]
    assert waves.differences(shared) == []
