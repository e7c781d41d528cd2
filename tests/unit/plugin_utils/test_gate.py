# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a wave."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import gate

LIMITS = gate.Limits()


def sample(opens: int = 0, rejects: int = 0, boot_id: str = "b", **more: int) -> dict[str, Any]:
    counters = {"Tcp.PassiveOpens": opens, "Tcp.ActiveOpens": 0, "TcpExt.PAWSTimewait": rejects, **more}
    return {"time": 0.0, "boot_id": boot_id, "counters": counters}


def probe(attempts: int = 0, failed: int = 0) -> dict[str, Any]:
    return {"attempts": attempts, "ok": attempts - failed, "slow": 0, "failed": failed}


def wave(
    hosts: dict[str, Any],
    controls: dict[str, Any] | None = None,
    priors: dict[str, Any] | None = None,
    probes: dict[str, Any] | None = None,
) -> gate.Observations:
    """A wave of one look. hosts and controls: {name: result of the look}; every host starts at zero."""
    started = {name: {"changed": True, "baseline": [sample(), sample()]} for name in hosts}
    observations = gate.begin(1, started, {name: {"sample": sample()} for name in controls or {}}, priors or {}, 100.0)
    looked = {name: {"pending": {"id": "t"}, **result} for name, result in hosts.items()}
    return gate.add_look(observations, looked, controls or {}, probes or {}, 130.0)


def verdict(observations: gate.Observations) -> str:
    return gate.judge(observations, LIMITS).verdict


def test_quiet_traffic_is_promoted() -> None:
    observations = wave({"a": {"sample": sample(500)}}, {"c": {"sample": sample(900, 1)}})
    result = gate.judge(observations, LIMITS)
    assert result.verdict == gate.PROMOTE
    # One connection is the look's own.
    assert result.reason == "0 timestamp rejects in 499 connections, 0.0 per 1,000 (controls 1.1)"
    assert observations["looks"][0]["elapsed"] == 30.0


def test_a_rise_is_rolled_back() -> None:
    observations = wave({"a": {"sample": sample(500, 50)}}, {"c": {"sample": sample(500, 1)}})
    result = gate.judge(observations, LIMITS)
    assert result.verdict == gate.ROLL_BACK
    assert "a: 50 timestamp rejects" in result.reason
    assert result.figures()["wave"]["rejects"] == 50


def test_what_the_controls_have_too_is_no_rise() -> None:
    assert verdict(wave({"a": {"sample": sample(500, 250)}}, {"c": {"sample": sample(500, 200)}})) == gate.PROMOTE


def test_what_the_host_had_before_is_no_rise() -> None:
    before = sample(-1000, -500)
    assert verdict(wave({"a": {"sample": sample(500, 250)}}, priors={"a": before})) == gate.PROMOTE
    assert verdict(wave({"a": {"sample": sample(500, 250)}}, priors={"a": sample(-1000, 0)})) == gate.ROLL_BACK


def test_one_bad_host_among_many_good_ones_is_found() -> None:
    hosts = {f"h{number}": {"sample": sample(5000)} for number in range(50)}
    assert verdict(wave({**hosts, "bad": {"sample": sample(1000, 12)}})) == gate.ROLL_BACK


def test_a_little_on_every_host_is_found_in_the_sum() -> None:
    hosts = {f"h{number}": {"sample": sample(300, 3)} for number in range(10)}
    assert verdict(wave(hosts, {"c": {"sample": sample(900)}})) == gate.ROLL_BACK


@pytest.mark.parametrize(("rejects", "opens"), [(9, 20), (10, 5000)])
def test_few_rejects_or_a_low_rate_are_no_evidence(rejects: int, opens: int) -> None:
    assert verdict(wave({"a": {"sample": sample(opens + 1, rejects)}})) == gate.PROMOTE


def test_silence_is_not_safety() -> None:
    result = gate.judge(wave({"a": {"sample": sample(15)}}), LIMITS)
    assert result.verdict == gate.INCONCLUSIVE
    assert "only 14 connections of others" in result.reason


def test_own_connects_are_no_traffic() -> None:
    quiet = wave({"a": {"sample": sample(60)}}, probes={"a": probe(50)})
    assert verdict(quiet) == gate.INCONCLUSIVE
    assert gate.judge(quiet, LIMITS).wave.opens == 9


def test_a_lost_host_rolls_the_wave_back() -> None:
    result = gate.judge(wave({"a": {"sample": sample(500)}, "b": {"unreachable": True, "msg": "timed out"}}), LIMITS)
    assert result.verdict == gate.ROLL_BACK
    assert result.reason.startswith("lost b (timed out)")
    assert result.invalid == {"b": "timed out"}
    assert not result.evidence


@pytest.mark.parametrize("by_evidence", [True, False])
def test_a_guard_that_rolled_back_rolls_the_wave_back(by_evidence: bool) -> None:
    looked = {
        "sample": sample(500),
        "pending": None,
        "history": [{"reason": "30 rejects", "by_evidence": by_evidence}],
    }
    result = gate.judge(wave({"a": looked}), LIMITS)
    assert (result.verdict, result.evidence) == (gate.ROLL_BACK, by_evidence)
    assert result.reason.startswith("the guard rolled back a (30 rejects)")


def test_failed_connects_roll_back_unless_the_controls_fail_too() -> None:
    hosts = {"a": {"sample": sample(500)}}
    controls = {"c": {"sample": sample(500)}}
    assert verdict(wave(hosts, controls, probes={"a": probe(60, 6), "c": probe(60)})) == gate.ROLL_BACK
    assert verdict(wave(hosts, controls, probes={"a": probe(60, 6), "c": probe(60, 5)})) == gate.PROMOTE
    assert verdict(wave(hosts, controls, probes={"a": probe(60, 2), "c": probe(60)})) == gate.PROMOTE


def test_one_dead_host_of_a_large_wave_is_found() -> None:
    hosts = {f"h{number}": {"sample": sample(500)} for number in range(61)}
    probes = {**{name: probe(24) for name in hosts}, "h7": probe(24, 24), "c": probe(120)}
    result = gate.judge(wave(hosts, {"c": {"sample": sample(500)}}, probes=probes), LIMITS)
    assert (result.verdict, result.evidence) == (gate.ROLL_BACK, True)
    assert result.reason.startswith("too many failed connects to h7: ")


@pytest.mark.parametrize("lossy", [0, 1])
def test_a_dead_host_is_found_in_an_outage_too(lossy: int) -> None:
    hosts = {f"h{number}": {"sample": sample(500)} for number in range(61)}
    probes = {**{name: probe(24, 2) for name in hosts}, "h7": probe(24, 24 - lossy), "c": probe(120, 12)}
    assert verdict(wave(hosts, {"c": {"sample": sample(500)}}, probes=probes)) == gate.ROLL_BACK


def test_an_outage_of_all_is_not_held_against_the_set() -> None:
    hosts = {f"h{number}": {"sample": sample(500)} for number in range(40)}
    controls = {"c": {"sample": sample(500)}}
    probes = {**{name: probe(25, 2 + number % 2) for number, name in enumerate(hosts)}, "c": probe(1000, 90)}
    result = gate.judge(wave(hosts, controls, probes=probes), LIMITS)
    assert (result.wave.failed, result.wave.connects) == (100, 1000)
    assert result.verdict == gate.PROMOTE
    # One of forty hosts has bad luck.
    assert verdict(wave(hosts, controls, probes={**probes, "h7": probe(25, 7)})) == gate.PROMOTE


@pytest.mark.parametrize(
    "later",
    [sample(500, 50, boot_id="other"), sample(-1, 50), sample(500, 50, **{"TcpExt.TSEcrRejected": 1})],
    ids=["rebooted", "went back", "other header"],
)
def test_samples_that_cannot_be_compared_are_named_and_prove_nothing(later: dict[str, Any]) -> None:
    result = gate.judge(wave({"a": {"sample": later}, "b": {"sample": sample(500)}}), LIMITS)
    assert result.verdict == gate.INCONCLUSIVE
    assert result.reason.startswith("nothing is known of a (its counters cannot be compared")
    assert list(result.invalid) == ["a"]
    assert result.wave.opens == 499


def test_a_control_out_of_reach_is_named_and_no_failure() -> None:
    result = gate.judge(wave({"a": {"sample": sample(500)}}, {"c": {"msg": "no route"}}), LIMITS)
    assert result.verdict == gate.PROMOTE
    assert result.invalid == {"c": "no route"}


def test_a_lost_control_is_not_asked_again() -> None:
    observations = gate.add_look(
        wave({"a": {"sample": sample(500)}}, {"c": {"msg": "no route"}}),
        {"a": {"pending": {"id": "t"}, "sample": sample(900)}},
        {},
        {},
        160.0,
    )
    assert observations["controls"]["c"]["lost"] == "no route"
    assert len(observations["controls"]["c"]["samples"]) == 2
    assert gate.begin(1, {}, {"c": {"msg": "no route"}}, {}, 0.0)["controls"]["c"]["lost"] == "no route"


def test_what_is_blamed_for_a_rollback() -> None:
    promoted = {"verdict": gate.PROMOTE, "reason": "all is well", "evidence": False, "failed": False}
    failed = {"verdict": gate.ROLL_BACK, "reason": "rejects", "evidence": True, "failed": True}
    confirmed = {"a": {"changed": True}, "b": {"failed": True, "msg": "no\nspace"}}
    assert gate.blame({}, failed, {}) == ("rejects", True)
    assert gate.blame({}, promoted, confirmed) == ("b: no space", False)
    assert gate.blame({"a": {"unreachable": True, "msg": "gone"}}, {}, {}) == ("a: gone", False)
    assert gate.blame({}, promoted, {})[0] == "the wave failed, though not by its verdict"


def test_hosts_that_had_the_set_take_no_part() -> None:
    started = {"a": {"changed": False}, "b": {"changed": True, "baseline": []}}
    assert list(gate.begin(1, started, {}, {}, 0.0)["hosts"]) == ["b"]


def test_looks_add_up() -> None:
    observations = wave({"a": {"sample": sample(10)}}, probes={"a": probe(2, 1)})
    assert verdict(observations) == gate.INCONCLUSIVE
    looked = {"a": {"pending": {"id": "t"}, "sample": sample(400)}}
    observations = gate.add_look(observations, looked, {}, {"a": probe(3)}, 160.0)
    result = gate.judge(observations, LIMITS)
    assert (result.wave.opens, result.wave.connects, result.wave.failed) == (394, 5, 1)
    assert gate.progress(observations, result).startswith("+60 s  wave 0.0 rejects per 1,000 of 394 opens, 1 of 5")


def test_facts_become_a_sample() -> None:
    facts = {"boot_id": "b", "uptime_seconds": 9.5, "counters": {"Tcp": {"PassiveOpens": 3}, "TcpExt": {"Other": 1}}}
    assert gate.sample_of_facts(facts) == {"time": 9.5, "boot_id": "b", "counters": {"Tcp.PassiveOpens": 3}}
    assert gate.sample_of_facts({"boot_id": "b"}) is None
