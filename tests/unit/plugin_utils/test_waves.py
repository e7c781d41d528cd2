# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of waves."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import waves
from hypothesis import given, reject
from hypothesis import strategies as st

HOSTS = [f"h{number}" for number in range(1, 101)]


def planned(
    hosts: list[str],
    sizes: Any,
    strata: dict[str, str] | None = None,
    domains: dict[str, str] | None = None,
    settled: tuple[str, ...] = (),
    **options: Any,
) -> dict[str, Any]:
    return waves.plan(waves.Fleet(hosts, strata or {}, domains or {}, settled), sizes, **options)


# Sizes


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
    assert planned(HOSTS[:total], sizes)["sizes"] == counts


@pytest.mark.parametrize("sizes", [[], "1", [0], ["0%"], ["101%"], [-1], ["ten"], [True], [1.5], [None], [1, {}]])
def test_sizes_that_mean_nothing(sizes: Any) -> None:
    with pytest.raises(ValueError, match="tune_waves"):
        planned(HOSTS[:10], sizes)


# The first wave


def test_the_first_wave_has_every_stratum() -> None:
    strata = {host: ("old" if host in ("h40", "h41") else "new") for host in HOSTS}
    plan = planned(HOSTS, [1, "100%"], strata)
    assert plan["waves"][0]["hosts"] == ["h1", "h40"]
    assert plan["sizes"] == [2, 98]


def test_every_host_a_stratum_is_one_wave() -> None:
    hosts = HOSTS[:6]
    plan = planned(hosts, [1, 1, 1, 3], {host: host for host in hosts})
    assert plan["sizes"] == [6]
    assert plan["waves"][0]["controls"] == []


def test_canaries_named_by_hand_are_the_first_wave() -> None:
    strata = {host: ("old" if host in ("h40", "h41") else "new") for host in HOSTS}
    plan = planned(HOSTS, [5, "10%", "100%"], strata, canaries=["h7", "h3", "h7"])
    assert plan["waves"][0]["hosts"] == ["h7", "h3", "h40"]
    assert plan["sizes"] == [3, 10, 87]
    assert planned(HOSTS, [5], strata, canaries=["h41", "h1"])["sizes"][:2] == [2, 5]


def test_whoever_has_the_set_already_is_no_canary_and_no_control() -> None:
    settled = tuple(HOSTS[:50])
    plan = planned(HOSTS, [1, "10%", "100%"], settled=settled)
    assert plan["waves"][0]["hosts"] == ["h51"]
    assert not set(plan["waves"][0]["controls"]) & set(settled)
    assert len(set(plan["waves"][1]["hosts"]) - set(settled)) == 5


# Failure domains

RACKS = {host: f"r{number % 4}" for number, host in enumerate(HOSTS)}


def test_waves_grow_in_number_rather_than_take_more_of_a_domain() -> None:
    plan = planned(HOSTS, [1, "100%"], domains=RACKS, max_out=5)
    assert plan["sizes"] == [1, 20, 20, 20, 20, 19]
    quarter = planned(HOSTS, ["100%"], domains=RACKS, max_out="25%")
    assert quarter["sizes"] == [24, 24, 24, 24, 4]


def test_a_domain_larger_than_the_others_goes_on_by_itself() -> None:
    plan = planned(
        HOSTS[:10], ["100%"], domains=dict.fromkeys(HOSTS[:6], "a") | dict.fromkeys(HOSTS[6:], "b"), max_out=2
    )
    assert plan["sizes"] == [4, 4, 2]


def test_canaries_by_hand_that_break_the_limit() -> None:
    with pytest.raises(ValueError, match="tune_canaries names h1, h5, all of failure domain r0, of which 1 may be out"):
        planned(HOSTS, [1], domains=RACKS, max_out=1, canaries=["h1", "h2", "h5"])


def test_strata_are_spread_over_the_domains() -> None:
    # Taking a host of "any" from rack a first would leave no room for "only".
    strata = {"h1": "any", "h2": "any", "h3": "only"}
    plan = planned(["h1", "h2", "h3"], [1, "100%"], strata, domains={"h1": "a", "h2": "b", "h3": "a"}, max_out=1)
    assert sorted(plan["waves"][0]["hosts"]) == ["h2", "h3"]


def test_strata_that_no_wave_can_hold() -> None:
    strata = {"h1": "x", "h2": "y"}
    with pytest.raises(ValueError, match=r"every stratum: those of 'y' are in .* \(a\)\. Raise tune_max_out_per_group"):
        planned(["h1", "h2"], [1], strata, domains={"h1": "a", "h2": "a"}, max_out=1)


@pytest.mark.parametrize("max_out", [0, "0%", "", None, "all", True])
def test_limits_that_mean_nothing(max_out: Any) -> None:
    with pytest.raises(ValueError, match="tune_max_out_per_group"):
        planned(HOSTS, [1], domains=RACKS, max_out=max_out)


# The later waves


def test_later_waves_keep_the_mix() -> None:
    # The inventory lists one kind after the other, as inventories do.
    strata = {host: ("a" if number < 50 else "b") for number, host in enumerate(HOSTS)}
    plan = planned(HOSTS, [2, "20%", "100%"], strata)
    kinds = [strata[host] for host in plan["waves"][1]["hosts"]]
    assert kinds.count("a") == 10


def test_controls_are_a_sample_of_the_untouched_in_the_mix_of_the_wave() -> None:
    strata = {host: "abbb"[number % 4] for number, host in enumerate(HOSTS)}
    second = planned(HOSTS, [2, "20%", "100%"], strata, controls=8)["waves"][1]
    assert Counter(strata[host] for host in second["hosts"]) == {"a": 5, "b": 15}
    assert Counter(strata[host] for host in second["controls"]) == {"a": 2, "b": 6}


def test_controls_of_another_kind_where_there_are_no_others() -> None:
    strata = {host: ("rare" if host in ("h1", "h50") else "common") for host in HOSTS}
    plan = planned(HOSTS, [2, "100%"], strata, controls=3, canaries=["h1"])
    assert Counter(strata[host] for host in plan["waves"][0]["controls"]) == {"rare": 1, "common": 2}
    assert planned(HOSTS, ["100%"], strata, controls=3)["waves"][0]["controls"] == []
    assert planned(HOSTS, [1, "100%"], controls=0)["waves"][0]["controls"] == []


def test_beside_the_last_wave_are_hosts_of_earlier_ones() -> None:
    first, last = planned(HOSTS, [10, "100%"], controls=3)["waves"]
    assert first["earlier"] == []
    assert last["earlier"] == last["controls"]
    assert set(last["controls"]) < set(first["hosts"])


@st.composite
def _rollouts(draw: Any) -> dict[str, Any]:
    hosts = HOSTS[: draw(st.integers(0, 60))]

    def labels(kinds: int) -> dict[str, str]:
        return {host: str(draw(st.integers(1, kinds))) for host in hosts}

    return {
        "hosts": hosts,
        "sizes": draw(
            st.lists(st.one_of(st.integers(1, 20), st.integers(1, 100).map(lambda n: f"{n}%")), min_size=1, max_size=5)
        ),
        "strata": labels(4),
        "domains": labels(6) if draw(st.booleans()) else {},
        "settled": tuple(host for host in hosts if draw(st.integers(0, 3)) == 0),
        "controls": draw(st.integers(0, 8)),
        "canaries": draw(st.lists(st.sampled_from(hosts), max_size=4)) if hosts else [],
        "max_out": draw(st.one_of(st.integers(1, 5), st.sampled_from(["1%", "25%", "100%"]))),
    }


@given(rollout=_rollouts())
def test_what_holds_for_every_plan(rollout: dict[str, Any]) -> None:
    hosts, strata, domains = rollout["hosts"], rollout["strata"], rollout["domains"]
    try:
        plan = planned(**rollout)
    except ValueError:
        # Limits may leave no first wave; without them there is always one.
        if not domains:
            raise
        reject()
    members = [host for wave in plan["waves"] for host in wave["hosts"]]
    assert sorted(members) == sorted(hosts)
    assert members == plan["hosts"]
    assert [len(wave["hosts"]) for wave in plan["waves"]] == plan["sizes"]
    assert all(plan["sizes"])
    for number, wave in enumerate(plan["waves"], 1):
        assert wave["number"] == number
        before = {host for other in plan["waves"][: number - 1] for host in other["hosts"]}
        controls, earlier = set(wave["controls"]), set(wave["earlier"])
        assert len(wave["controls"]) == len(controls) <= rollout["controls"]
        assert not controls & set(wave["hosts"])
        assert earlier == controls & before
        assert not (controls - earlier) & set(rollout["settled"])
        for domain, size in Counter(domains.values()).items():
            limit = rollout["max_out"]
            most = limit if isinstance(limit, int) else max(1, size * int(limit[:-1]) // 100)
            assert sum(domains[host] == domain for host in wave["hosts"]) <= most
    if hosts:
        first = plan["waves"][0]["hosts"]
        assert {strata[host] for host in first} == set(strata.values())
        assert first[: len(set(rollout["canaries"]))] == list(dict.fromkeys(rollout["canaries"]))


@pytest.mark.parametrize(("kinds", "per_rack"), [(7, 20), (1, 10_000), (10_000, 1)])
def test_ten_thousand_hosts_are_planned_at_once(kinds: int, per_rack: int) -> None:
    hosts = [f"web{number}" for number in range(10_000)]
    began = time.process_time()
    plan = planned(
        hosts,
        [1, "10%", "50%", "100%"],
        {host: f"kind{number % kinds}" for number, host in enumerate(hosts)},
        {host: f"rack{number // per_rack}" for number, host in enumerate(hosts)},
        max_out=1,
        controls=50,
    )
    assert time.process_time() - began < 2
    assert sum(plan["sizes"]) == 10_000


# Strata and failure domains


def test_stratum() -> None:
    facts = {"kernel": {"release": "6.1"}, "topology": {"role": [{"value": "server"}, {"value": "database"}]}}
    variables = {"rack": "r7", "place": {"room": 3}, "empty": None}
    names = ["kernel.release", "role", "rack", "kernel.nothing", "place.room", "place.room.shelf", "empty"]
    assert waves.stratum(facts, {}, variables.get, names) == "6.1 database+server r7 - 3 - -"
    assert waves.stratum(facts, {"role": ["l7_proxy"]}, variables.get, ["role"]) == "l7_proxy"
    assert waves.stratum({}, {"role": "client"}, variables.get, ["role"]) == "client"


def test_variables_that_differ_between_hosts_are_named() -> None:
    shared = {
        "a": {"tune_soak": 20, "tune_waves": [1, "100%"]},
        "b": {"tune_soak": "20", "tune_waves": [1, "100%"]},
        "c": {"tune_soak": 2, "tune_waves": [1, "100%"]},
    }
    assert waves.differences(shared) == ["tune_soak differs between hosts (a: 20, c: 2): set it for all"]
    del shared["c"]
    assert waves.differences(shared) == []
