# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a wave."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import gate
from hypothesis import assume, given, settings
from hypothesis import strategies as st

LIMITS = gate.Limits()
BEFORE = 15  # seconds, with a sample each
STEP = 5  # seconds from look to look


@dataclass(frozen=True)
class Flow:
    """What goes on at a host: new connections a second, and what happens to so many of 1,000 of them."""

    opens: float = 40
    rejects: float = 0
    drops: float = 0
    resets: float = 100
    # Connects of ours to it in a look, and how many of 100 of these fail or are slow.
    connects: int = 10
    failed: float = 0
    slow: float = 0


def sample(seconds: float, counted: tuple[float, ...], boot_id: str = "b", **more: int) -> dict[str, Any]:
    opened, rejects, drops, resets = (int(number) for number in counted)
    counters = {
        "Tcp.PassiveOpens": opened,
        "Tcp.ActiveOpens": 0,
        "TcpExt.PAWSTimewait": rejects,
        "TcpExt.ListenDrops": drops,
        "Tcp.OutRsts": resets,
        **more,
    }
    return {"time": seconds, "boot_id": boot_id, "counters": counters}


class Host:
    """Counters that go on by a flow."""

    def __init__(self, flow: Flow, since_boot: float = 1000):
        self.seconds = 0.0
        self.counted: tuple[float, ...] = (0, 0, 0, 0)
        self.connects = [0.0, 0.0]
        self.go(flow, since_boot)

    def go(self, flow: Flow, seconds: float) -> dict[str, Any]:
        opened = flow.opens * seconds
        parts = (1000, flow.rejects, flow.drops, flow.resets)
        self.counted = tuple(count + opened * part / 1000 for count, part in zip(self.counted, parts, strict=True))
        self.seconds += seconds
        return self.sample()

    def sample(self) -> dict[str, Any]:
        return sample(self.seconds, self.counted)

    def tally(self, name: str, flow: Flow) -> dict[str, Any]:
        """Failures that are due, in whole numbers."""
        due = [self.connects[0] + flow.connects * flow.failed / 100, self.connects[1] + flow.connects * flow.slow / 100]
        failed, slow = int(due[0]), int(due[1])
        self.connects = [due[0] - failed, due[1] - slow]
        return tally(name, flow.connects, failed, slow)


def tally(name: str, attempts: int, failed: int = 0, slow: int = 0, host: bool = True) -> dict[str, Any]:
    return {
        "probe": f"tcp {name}:80",
        "source": "controller",
        "host": name if host else None,
        "attempts": attempts,
        "ok": attempts - failed,
        "slow": slow,
        "failed": failed,
    }


def soaked(
    hosts: dict[str, tuple[Flow, Flow]],
    controls: dict[str, tuple[Flow, Flow]] | None = None,
    observers: dict[str, tuple[Flow, Flow]] | None = None,
    looks: int = 24,
    services: Any = None,
    trial_of_others: tuple[str, int] | None = None,
) -> gate.Observations:
    """A wave: for each host its flow before the change, and after. trial_of_others: seen on whom, by which look."""
    flows = {**hosts, **(controls or {}), **(observers or {})}
    all_hosts = {name: Host(before) for name, (before, _after) in flows.items()}
    series = {
        name: [host.sample(), *(host.go(flows[name][0], 1) for _second in range(BEFORE))]
        for name, host in all_hosts.items()
    }

    def tallies(at: int, look: int) -> list[dict[str, Any]]:
        probed = [name for name in flows if name not in (observers or {})]
        return [all_hosts[name].tally(name, flows[name][at]) for name in probed if flows[name][at].connects] + (
            services(look) if services else []
        )

    def at_the_change(name: str) -> dict[str, Any]:
        return {"sample": series[name][-1], "pending": (name, 0) == trial_of_others}

    observations = gate.begin(
        1,
        {name: {"changed": True, "baseline": series[name]} for name in hosts},
        {name: at_the_change(name) for name in controls or {}},
        {name: series[name][0] for name in (*(controls or {}), *(observers or {}))},
        100.0,
        observers={name: at_the_change(name) for name in observers or {}},
        probes_before=tallies(0, 0),
    )
    for look in range(1, looks + 1):
        seen = {
            name: {
                "sample": host.go(flows[name][1], STEP),
                "pending": name in hosts or (name, look) == trial_of_others,
            }
            for name, host in all_hosts.items()
        }
        observations = gate.add_look(observations, seen, seen, tallies(1, look), 100.0 + STEP * look, observers=seen)
    return observations


def judged(observations: gate.Observations) -> gate.Verdict:
    return gate.judge(observations, LIMITS)


def told_of(verdict: gate.Verdict, group: str, kind: str = "wave") -> dict[str, Any]:
    found = [test for test in verdict.figures()["tests"] if test["group"] == group and test["kind"] == kind]
    assert len(found) == 1
    return dict(found[0])


QUIET = (Flow(), Flow())
BUSY = (Flow(rejects=50), Flow(rejects=50))


def after(flow: Flow = QUIET[0], **changes: float) -> tuple[Flow, Flow]:
    return flow, replace(flow, **changes)  # type: ignore[arg-type]


# Promotion


@pytest.mark.parametrize("flows", [QUIET, BUSY], ids=["no rejects", "as many rejects as ever"])
@pytest.mark.parametrize("controls", [5, 0])
def test_a_good_set_is_promoted(flows: tuple[Flow, Flow], controls: int) -> None:
    verdict = judged(soaked({"a": flows}, {f"c{number}": flows for number in range(controls)}))
    assert (verdict.verdict, verdict.evidence) == (gate.PROMOTE, False), verdict.reason
    assert verdict.excluded == {}


def test_the_verdict_has_its_figures() -> None:
    verdict = judged(soaked({"a": QUIET}, {"c": BUSY}))
    # Each look has ten connects of ours, and is a connection itself.
    assert verdict.reason == (
        "0 timestamp rejects in 4536 connections, 0.0 per 1,000 (controls 52.9, before 0.0); "
        "0 of 240 connects failed, 0 slow (controls 0 of 240 failed, 0 slow)"
    )
    figures = told_of(verdict, "timestamp_rejects")
    assert (figures["events"], figures["opens"], figures["interval"]) == (0, 4536, [0.0, pytest.approx(1.22, 0.01)])
    assert figures["before"]["opens"] == 590
    assert figures["controls"]["events"] == 240
    assert (figures["required"], figures["no_worse"], figures["needed"]) == (True, True, None)
    assert figures["evidence"] == 1.0
    # 0.01 for five groups; one host is the wave.
    assert figures["limit"] == 500.0
    json.dumps(verdict.figures(), allow_nan=False)


def test_a_quiet_wave_of_a_few_seconds_is_promoted() -> None:
    verdict = judged(soaked({"a": after(Flow(opens=8), opens=8)}, looks=4))
    assert verdict.verdict == gate.PROMOTE, verdict.reason


def test_silence_is_not_safety_and_says_what_it_waits_for() -> None:
    verdict = judged(soaked({"a": after(Flow(opens=4), opens=4)}, looks=4))
    assert verdict.verdict == gate.INCONCLUSIVE
    # 4 opens a second, of which 11 in each look were ours.
    assert verdict.reason.startswith("39 more connections without a timestamp reject are needed; ")


def test_too_few_connects_are_not_enough_either() -> None:
    verdict = judged(soaked({"a": after(Flow(connects=2), connects=2)}, looks=6))
    assert verdict.reason.startswith("8 more connects without a failed connect are needed; ")
    assert judged(soaked({"a": after(Flow(connects=0), connects=0)}, looks=6)).verdict == gate.PROMOTE


def test_least_opens_hold_whatever_else_is_shown() -> None:
    limits = replace(LIMITS, min_opens=5000)
    verdict = gate.judge(soaked({"a": QUIET}), limits)
    assert verdict.verdict == gate.INCONCLUSIVE
    assert verdict.reason.startswith("464 more connections of others are needed; ")


def test_noise_of_a_noisy_group_does_not_hold_back() -> None:
    noisy = Flow(resets=900, drops=60)
    assert judged(soaked({"a": (noisy, replace(noisy, resets=1100))}, {"c": (noisy, noisy)})).verdict == gate.PROMOTE


def test_a_noisy_group_holds_back_while_evidence_gathers() -> None:
    verdict = judged(soaked({"a": after(resets=300)}, {f"c{number}": QUIET for number in range(5)}, looks=3))
    assert verdict.verdict == gate.INCONCLUSIVE
    assert verdict.reason.startswith("resets on the wave may be rising (")


def test_a_rise_on_its_way_to_evidence_holds_back() -> None:
    verdict = judged(soaked({"a": after(failed=10)}, {"c": QUIET}, looks=10))
    assert verdict.verdict == gate.INCONCLUSIVE
    assert "failed connects to the wave may be rising (10 failed connects in 100 connects" in verdict.reason
    figures = told_of(verdict, "connects")
    assert figures["share"] == pytest.approx(math.log(figures["evidence"]) / math.log(figures["limit"]), abs=0.01)
    assert 0 < figures["share"] < 1


def test_a_single_host_on_its_way_to_evidence_holds_back_too() -> None:
    hosts = {f"h{number}": QUIET for number in range(10)}
    verdict = judged(soaked({**hosts, "bad": after(failed=20)}, {f"c{number}": QUIET for number in range(5)}, looks=6))
    assert verdict.verdict == gate.INCONCLUSIVE
    assert verdict.reason.startswith("failed connects to bad may be rising (12 failed connects in 60 connects")


# Evidence


def first_alarm(observations: gate.Observations) -> tuple[int, gate.Verdict]:
    """The look at which the rollout would have ended, and its verdict."""
    total = len(observations["looks"])
    for looks in range(1, total + 1):
        verdict = judged(until(observations, looks))
        if verdict.verdict == gate.ROLL_BACK:
            return looks, verdict
    raise AssertionError(judged(observations).reason)


def until(observations: gate.Observations, looks: int) -> gate.Observations:
    cut = {
        role: {name: {**subject, "samples": subject["samples"][:looks]} for name, subject in observations[role].items()}
        for role in ("hosts", "controls", "observers")
    }
    return {**observations, **cut, "looks": observations["looks"][:looks]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rejects": 100}, "too many timestamp rejects on the wave: 40 timestamp rejects in 378 connections, "),
        ({"drops": 200}, "too many queue drops on the wave: "),
        ({"resets": 900}, "too many resets on the wave: "),
        ({"failed": 40}, "too many failed connects to the wave: "),
        ({"slow": 40}, "too many slow or failed connects to the wave: "),
    ],
    ids=lambda part: "".join(part) if isinstance(part, dict) else "",
)
def test_a_rise_of_any_group_is_rolled_back_early(change: dict[str, Any], words: str) -> None:
    looks, verdict = first_alarm(soaked({"a": after(**change)}, {"c": QUIET, "d": QUIET}))
    assert 2 <= looks <= 8
    assert verdict.evidence
    assert verdict.reason.startswith(words)
    assert "evidence" in verdict.reason
    assert "limit 500 to 1" in verdict.reason


def test_what_was_exceeded_once_stays_so() -> None:
    observations = soaked({"a": after(rejects=100)}, {"c": QUIET})
    looks, _verdict = first_alarm(observations)
    for late in observations["hosts"]["a"]["samples"][looks:]:
        late["counters"]["TcpExt.PAWSTimewait"] = observations["hosts"]["a"]["samples"][looks - 1]["counters"][
            "TcpExt.PAWSTimewait"
        ]
        late["counters"]["Tcp.PassiveOpens"] += 10**6
    figures = told_of(judged(observations), "timestamp_rejects")
    assert (figures["exceeded_at"], figures["evidence"], figures["share"]) == (looks, figures["limit"], 1.0)


def test_one_bad_host_among_many_good_ones_is_found_and_named() -> None:
    hosts = {f"h{number}": QUIET for number in range(50)}
    _looks, verdict = first_alarm(soaked({**hosts, "bad": after(rejects=60)}, {"c": QUIET}, looks=12))
    assert verdict.reason.startswith("too many timestamp rejects on bad: ")
    told = [test for test in verdict.figures()["tests"] if test["kind"] == "host"]
    assert len(told) == 5 * 20
    assert told[0]["subject"] == "bad"
    # 0.01 for five groups, of which the wave has one half, and its 51 hosts the other.
    assert (told_of(verdict, "timestamp_rejects")["limit"], told[0]["limit"]) == (1000.0, 51000.0)
    assert len(verdict.figures()["hosts"]) == 51


def test_a_little_on_every_host_is_found_in_the_sum() -> None:
    hosts = {f"h{number}": after(Flow(opens=4, connects=0), rejects=30) for number in range(20)}
    _looks, verdict = first_alarm(soaked(hosts, {"c": QUIET}))
    assert verdict.reason.startswith("too many timestamp rejects on the wave: ")


def test_an_observer_feels_what_the_hosts_do_not_count() -> None:
    _looks, verdict = first_alarm(soaked({"a": QUIET}, {"c": QUIET}, {"proxy": after(resets=900)}))
    assert verdict.reason.startswith("too many resets seen by proxy: ")


def test_a_service_that_reaches_no_single_host_is_judged_alone() -> None:
    def vip(look: int) -> list[dict[str, Any]]:
        return [tally("vip", 20, 6 if look else 0, host=False)]

    _looks, verdict = first_alarm(soaked({"a": QUIET}, {"c": QUIET}, services=vip))
    assert verdict.reason.startswith("too many failed connects to tcp vip:80 from controller: ")


@pytest.mark.parametrize("change", [{"rejects": 100}, {"drops": 200}, {"resets": 900}, {"failed": 30}, {"slow": 30}])
def test_an_outage_of_all_is_not_held_against_the_set(change: dict[str, Any]) -> None:
    hosts = {f"h{number}": after(**change) for number in range(8)}
    verdict = judged(soaked(hosts, {f"c{number}": after(**change) for number in range(5)}, looks=12))
    assert verdict.verdict != gate.ROLL_BACK, verdict.reason


def test_a_few_unlucky_connects_among_many_hosts_are_no_damage() -> None:
    hosts = {f"h{number}": after(failed=1) for number in range(40)}
    hosts["h7"] = after(failed=4)
    verdict = judged(soaked(hosts, {f"c{number}": QUIET for number in range(5)}, looks=6))
    assert verdict.verdict == gate.PROMOTE, verdict.reason


def test_one_dead_host_of_a_large_wave_is_found() -> None:
    hosts = {f"h{number}": QUIET for number in range(60)}
    _looks, verdict = first_alarm(soaked({**hosts, "dead": after(failed=100)}, {"c": QUIET}, looks=6))
    assert verdict.reason.startswith("too many failed connects to dead: ")


def test_hosts_that_always_failed_and_were_always_slow_are_none() -> None:
    poor = Flow(failed=20, slow=40)
    verdict = judged(soaked({"a": (poor, poor)}, {"c": QUIET, "d": QUIET}))
    assert verdict.verdict != gate.ROLL_BACK, verdict.reason


def test_one_burst_is_no_rise() -> None:
    observations = soaked({"a": QUIET}, {"c": QUIET})
    for look in observations["hosts"]["a"]["samples"][12:]:
        look["counters"]["TcpExt.PAWSTimewait"] += 300
    assert judged(observations).verdict != gate.ROLL_BACK


def test_low_rates_and_few_events_are_no_evidence() -> None:
    assert judged(soaked({"a": after(Flow(opens=200), rejects=4.5)}, {"c": QUIET})).verdict == gate.PROMOTE
    verdict = judged(soaked({"a": after(Flow(opens=4), rejects=80)}, {"c": QUIET}, looks=6))
    assert told_of(verdict, "timestamp_rejects")["events"] == 9
    assert verdict.verdict == gate.INCONCLUSIVE


def test_hosts_of_earlier_waves_are_called_so() -> None:
    observations = soaked({"a": QUIET}, {"c": QUIET})
    observations["controls"]["c"]["changed"] = True
    assert "(hosts of earlier waves 0.0, before 0.0)" in judged(observations).reason


# Bursts, and what is no traffic


def test_bursts_are_learnt_from_the_controls_and_never_from_the_wave() -> None:
    def bursty(role: str) -> gate.Observations:
        observations = soaked({"a": BUSY}, {"c": BUSY, "d": BUSY})
        for subject in observations[role].values():
            for number, seen in enumerate(subject["samples"]):
                # All rejects of three looks come in the third.
                seen["counters"]["TcpExt.PAWSTimewait"] -= 10 * (number % 3)
        return observations

    dispersions = {
        role: told_of(judged(bursty(role)), "timestamp_rejects")["dispersion"] for role in ("hosts", "controls")
    }
    assert dispersions["hosts"] == 1.5
    assert dispersions["controls"] == 1.5  # What all controls have in common is no burst,
    observations = bursty("controls")
    observations["controls"].pop("d")
    assert told_of(judged(observations), "timestamp_rejects")["dispersion"] > 2  # but it is at a single one.


def test_what_happened_between_facts_and_change_is_no_burst() -> None:
    observations = soaked({"a": BUSY}, {"c": BUSY})
    first = observations["hosts"]["a"]["before"][0]
    # An hour without any reject.
    early = {**first, "time": first["time"] - 3600, "counters": {**first["counters"], "Tcp.PassiveOpens": 0}}
    observations["hosts"]["a"]["before"].insert(0, early)
    figures = told_of(judged(observations), "timestamp_rejects")
    assert figures["dispersion"] == 1.5
    assert figures["before"]["opens"] > 40000


def test_connects_of_an_observer_are_no_traffic_of_others() -> None:
    observations = soaked({"a": QUIET}, {"c": QUIET}, {"proxy": QUIET})
    plain = told_of(judged(observations), "timestamp_rejects", "observer")["opens"]
    for look in observations["looks"]:
        look["probes"].append({**tally("vip", 7, host=False), "source": "proxy"})
    assert told_of(judged(observations), "timestamp_rejects", "observer")["opens"] == plain - 7 * 24


# Losses


def test_a_lost_host_rolls_the_wave_back() -> None:
    observations = soaked({"a": QUIET, "b": QUIET})
    newer = {**observations["hosts"]["a"]["samples"][-1], "time": 9999.0}
    looked = {"a": {"sample": newer, "pending": True}, "b": {"unreachable": True, "msg": "x"}}
    verdict = judged(gate.add_look(observations, looked, {}, [], 300.0))
    assert (verdict.verdict, verdict.evidence) == (gate.ROLL_BACK, False)
    assert verdict.reason.startswith("lost b (x); 0 timestamp rejects in ")
    assert verdict.excluded == {"b": "x"}


@pytest.mark.parametrize("by_evidence", [True, False])
def test_a_guard_that_rolled_back_rolls_the_wave_back(by_evidence: bool) -> None:
    observations = soaked({"a": QUIET})
    ended = {"pending": None, "history": [{"reason": "30 rejects", "by_evidence": by_evidence}]}
    looked = {"a": {"sample": observations["hosts"]["a"]["samples"][-1], **ended}}
    verdict = judged(gate.add_look(observations, looked, {}, [], 300.0))
    assert (verdict.verdict, verdict.evidence) == (gate.ROLL_BACK, by_evidence)
    assert verdict.reason.startswith("the guard rolled back a (30 rejects); ")


BROKEN = {
    "it was rebooted by look 12": {"boot_id": "other"},
    "its kernel came to show other counters by look 12": {"TcpExt.TSEcrRejected": 1},
    "its counters went back by look 12": {"Tcp.PassiveOpens": -(10**9)},
}


def broken(observations: gate.Observations, role: str, name: str, how: dict[str, Any]) -> gate.Observations:
    """The observations with samples that are others from the twelfth look on."""
    for late in observations[role][name]["samples"][11:]:
        late["boot_id"] = how.get("boot_id", late["boot_id"])
        for counter, more in how.items():
            if counter != "boot_id":
                late["counters"][counter] = late["counters"].get(counter, 0) + more
    return observations


@pytest.mark.parametrize(("why", "how"), BROKEN.items())
def test_samples_that_cannot_be_compared_are_named_and_are_not_zero(why: str, how: dict[str, Any]) -> None:
    verdict = judged(broken(soaked({"a": QUIET, "b": QUIET}), "hosts", "a", how))
    assert verdict.verdict == gate.INCONCLUSIVE
    assert verdict.reason.startswith(f"not enough is known of a ({why}); ")
    assert verdict.excluded == {"a": why}
    opens = {name: host["opens"] for name, host in verdict.figures()["hosts"].items()}
    # One of 24 looks is missing.
    assert opens == {"a": 4536 * 23 / 24, "b": 4536}


@pytest.mark.parametrize(("why", "how"), BROKEN.items())
def test_a_control_that_cannot_be_compared_is_named_and_stops_nothing(why: str, how: dict[str, Any]) -> None:
    verdict = judged(broken(soaked({"a": QUIET}, {"c": QUIET, "d": QUIET}), "controls", "c", how))
    assert (verdict.verdict, verdict.excluded) == (gate.PROMOTE, {"c": why})


def test_a_reboot_of_all_controls_is_no_calm_in_which_the_wave_looks_bad() -> None:
    observations = soaked({"a": BUSY}, {"c": BUSY})
    observations["controls"]["c"]["samples"] = [None] * 24
    assert judged(observations).verdict == gate.PROMOTE


def test_a_look_without_an_answer_is_part_of_the_next() -> None:
    observations = soaked({"a": BUSY}, {"c": BUSY})
    whole = told_of(judged(observations), "timestamp_rejects")
    observations["hosts"]["a"]["samples"][5] = None
    assert told_of(judged(observations), "timestamp_rejects")["events"] == whole["events"]
    observations["hosts"]["a"]["samples"][-1] = None
    verdict = judged(observations)
    assert verdict.verdict == gate.INCONCLUSIVE
    assert verdict.excluded == {"a": "it did not answer look 24"}


def test_a_reboot_before_the_change_costs_the_time_before_only() -> None:
    observations = soaked({"a": QUIET}, {"c": QUIET})
    for early in observations["hosts"]["a"]["before"][:10]:
        early["boot_id"] = "other"
    verdict = judged(observations)
    assert verdict.verdict == gate.PROMOTE
    assert verdict.excluded == {"a": "it was rebooted before the change, and is known from then on"}
    assert told_of(verdict, "timestamp_rejects")["before"]["opens"] == 5 * 40 - 10


def test_a_control_out_of_reach_is_named_and_not_asked_again() -> None:
    started = {"a": {"changed": True, "baseline": [sample(0.0, (0, 0, 0, 0))]}}
    observations = gate.begin(1, started, {"c": {"msg": "no route"}}, {}, 0.0)
    looked = {"a": {"sample": sample(9.0, (500, 0, 0, 0)), "pending": True}}
    verdict = judged(gate.add_look(observations, looked, {}, [], 9.0))
    assert (verdict.verdict, verdict.excluded) == (gate.PROMOTE, {"c": "no route"})


@pytest.mark.parametrize("role", ["controls", "observers"])
@pytest.mark.parametrize("since", [0, 12])
def test_a_bystander_on_the_trial_of_somebody_else_is_named_and_not_counted(role: str, since: int) -> None:
    others: dict[str, Any] = {"controls": {"c": QUIET}, "observers": {}}
    # From the beginning that trial does damage, which is not that of the wave.
    others[role]["x"] = QUIET if since else after(resets=900)
    observations = soaked({"a": QUIET}, **others, trial_of_others=("x", since))
    verdict = judged(observations)
    assert (verdict.verdict, verdict.excluded) == (gate.PROMOTE, {"x": "another trial is pending on it"})
    assert gate.not_counted(verdict) == " Not counted: x (another trial is pending on it)."
    # Also when that trial is over, it is not untouched.
    samples = observations[role]["x"]["samples"]
    assert [look for look, seen in enumerate(samples, 1) if seen] == list(range(1, since))


@pytest.mark.parametrize("last", ["lost", "rebooted"])
def test_an_observer_that_falls_silent_holds_the_wave_up(last: str) -> None:
    observations = soaked({"a": QUIET}, {"c": QUIET}, {"proxy": QUIET})
    assert judged(observations).verdict == gate.PROMOTE
    proxy = observations["observers"]["proxy"]
    if last == "lost":
        proxy["samples"][2:] = [None] * len(proxy["samples"][2:])
        proxy["lost"] = "it did not answer"
    else:
        proxy["samples"][-1]["boot_id"] = "other"
    verdict = judged(observations)
    assert verdict.verdict == gate.INCONCLUSIVE
    assert verdict.reason.startswith(f"not enough is known of proxy ({verdict.excluded['proxy']}); ")
    assert gate.not_counted(verdict) == ""
    # What never answered had nothing to tell.
    proxy["before"] = []
    assert judged(observations).verdict == gate.PROMOTE


# Samples that are kept by somebody else, who asks when he likes


def scraped(
    others: float, ours: float, every: float, phase: float, looks: int = 24, until: float = math.inf
) -> gate.Observations:
    """A host with so many connections a second, of which Prometheus has a sample every so many seconds."""
    probe = tally("a", round(ours * STEP))

    def newest(moment: float) -> dict[str, Any]:
        taken = (min(moment, until) - phase) // every * every + phase
        # By the clock of Prometheus, which need not be that of the controller.
        return sample(7000 + taken, (1000 + others * (taken + 60) + ours * max(0, taken + BEFORE), 0, 0, 0))

    before = [newest(moment) for moment in (-2 * every, -every, 0)]
    observations = gate.begin(
        1, {"a": {"changed": True, "baseline": before}}, {}, {}, 100.0, probes_before=[tally("a", round(ours * BEFORE))]
    )
    for look in range(1, looks + 1):
        observations = gate.add_look(
            observations, {"a": {"sample": newest(STEP * look)}}, {}, [probe], 100.0 + STEP * look
        )
    return observations


# How many seconds samples are apart, and how many after the change there is one.
PHASES = [(every, every * part) for every in (1, 5, 15, 30) for part in (0.0, 0.4, 0.8)]


@pytest.mark.parametrize(("every", "phase"), PHASES)
def test_our_own_connections_are_nobody_elses_however_old_the_samples(every: float, phase: float) -> None:
    verdict = judged(scraped(others=0, ours=2, every=every, phase=phase))
    assert verdict.verdict == gate.INCONCLUSIVE, verdict.reason
    assert told_of(verdict, "timestamp_rejects")["opens"] == 0


@pytest.mark.parametrize(("every", "phase"), PHASES)
def test_connections_of_others_are_all_counted_however_old_the_samples(every: float, phase: float) -> None:
    verdict = judged(scraped(others=8, ours=2, every=every, phase=phase))
    assert (verdict.verdict, verdict.excluded) == (gate.PROMOTE, {})
    # Each look counts as a connection of ours, and what follows the last sample is not known yet.
    opens = told_of(verdict, "timestamp_rejects")["opens"]
    assert 8 * (24 * STEP - every) - 24 - 2 * 2 * STEP <= opens <= 8 * (24 * STEP + every)


def test_a_host_without_a_new_sample_for_long_is_not_known_to_the_end() -> None:
    steady = {"others": 40.0, "ours": 2.0, "every": 15.0, "phase": 3.0}
    # One that is missed says nothing.
    assert judged(scraped(**steady, until=24 * STEP - 20)).verdict == gate.PROMOTE
    verdict = judged(scraped(**steady, until=24 * STEP - 50))
    assert verdict.verdict == gate.INCONCLUSIVE
    assert verdict.excluded == {"a": "it had no new sample after look 13"}
    assert judged(scraped(**steady, until=-1, looks=2)).excluded == {"a": "it had no new sample since the change"}


def test_a_sample_of_the_first_look_alone_may_be_from_before_the_change() -> None:
    observations = scraped(others=100, ours=2, every=15, phase=2, looks=3)
    verdict = judged(observations)
    assert verdict.verdict == gate.INCONCLUSIVE
    assert verdict.excluded == {"a": "it had no new sample after look 1"}


def test_controls_are_compared_though_they_are_scraped_at_other_moments() -> None:
    """The wave has new samples at looks 3, 6, 9, its control at looks 2, 5, 8."""
    observations = soaked({"a": after(rejects=100)}, {"c": after(rejects=100)})
    for name, role, offset in (("a", "hosts", 0), ("c", "controls", 2)):
        samples = observations[role][name]["samples"]
        fresh = [number - (number - offset) % 3 for number in range(1, len(samples) + 1)]
        before = observations[role][name]["before"][-1]
        observations[role][name]["samples"] = [samples[number - 1] if number > 0 else before for number in fresh]
    verdict = judged(observations)
    figures = told_of(verdict, "timestamp_rejects")
    assert figures["controls"]["events"] > 400
    assert verdict.verdict != gate.ROLL_BACK, verdict.reason
    # The report draws each new sample over the time that it is of.
    line = gate.series(observations)["timestamp_rejects"]["wave"]
    assert [(poll["from"], poll["to"]) for poll in line[1:4]] == [(0.0, 15.0), (15.0, 30.0), (30.0, 45.0)]


@pytest.mark.parametrize(("moved", "excluded"), [(7, {}), (-59, {}), (60, {"a": "it was rebooted by look 12"})])
def test_a_clock_that_is_set_is_no_reboot(moved: int, excluded: dict[str, str]) -> None:
    """Prometheus knows a boot by its time only."""
    whole = soaked({"a": QUIET})["hosts"]["a"]

    def told(one: dict[str, Any], moved: int) -> dict[str, Any]:
        return {**one, "boot_id": str(1795000000 + moved)}

    before = [told(one, number % 2) for number, one in enumerate(whole["before"])]
    observations = gate.begin(1, {"a": {"changed": True, "baseline": before}}, {}, {}, 100.0)
    for look, one in enumerate(whole["samples"], 1):
        seen = {"a": {"sample": told(one, moved if look > 11 else 0)}}
        observations = gate.add_look(observations, seen, {}, [], 100.0 + STEP * look)
    verdict = judged(observations)
    assert verdict.excluded == excluded
    assert verdict.verdict == (gate.INCONCLUSIVE if excluded else gate.PROMOTE)
    first = [one["boot_id"] for one in observations["hosts"]["a"]["before"] + observations["hosts"]["a"]["samples"]]
    assert len(set(first)) == 1 + len(excluded)


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


def test_before_the_first_look_nothing_is_known() -> None:
    verdict = judged(soaked({"a": QUIET}, looks=0))
    assert verdict.verdict == gate.INCONCLUSIVE
    assert gate.progress(soaked({"a": QUIET}, looks=0), verdict) == "+0 s  nothing was seen yet"


# What people and reports see


def test_progress_is_one_line_with_the_strongest_evidence() -> None:
    observations = soaked({"a": after(rejects=8)}, {"c": QUIET}, looks=6)
    line = gate.progress(observations, judged(observations))
    assert "\n" not in line
    assert line.startswith("+30 s  9 timestamp rejects in 1134 connections, 7.9 per 1,000 (controls 0.0, before 0.0); ")
    assert line.endswith("; evidence 1 to 1 of 500 to 1")


def test_series_hold_every_poll_of_wave_controls_and_observers() -> None:
    observations = soaked({"a": BUSY, "b": BUSY}, {"c": QUIET}, {"proxy": QUIET}, looks=2)
    lines = gate.series(observations)
    assert list(lines) == list(gate.GROUPS)
    assert list(lines["timestamp_rejects"]) == ["wave", "controls", "observer proxy"]
    assert lines["timestamp_rejects"]["wave"] == [
        {"from": -15.0, "to": 0.0, "events": 60, "opens": 1180},
        {"from": 0.0, "to": 5.0, "events": 20, "opens": 378},
        {"from": 5.0, "to": 10.0, "events": 20, "opens": 378},
    ]
    assert list(lines["connects"]) == ["wave", "controls"]


def test_facts_become_a_sample() -> None:
    facts = {"boot_id": "b", "uptime_seconds": 9.5, "counters": {"Tcp": {"PassiveOpens": 3}, "TcpExt": {"Other": 1}}}
    assert gate.sample_of_facts(facts) == {"time": 9.5, "boot_id": "b", "counters": {"Tcp.PassiveOpens": 3}}
    assert gate.sample_of_facts({"boot_id": "b"}) is None


flows = st.builds(
    Flow,
    opens=st.floats(0, 300),
    rejects=st.floats(0, 500),
    drops=st.floats(0, 500),
    resets=st.floats(0, 3000),
    connects=st.integers(0, 20),
    failed=st.floats(0, 60),
    slow=st.floats(0, 40),
)
pairs = st.tuples(flows, flows)


@settings(max_examples=60, deadline=None)
@given(hosts=st.lists(pairs, min_size=1, max_size=3), others=st.lists(pairs, max_size=2), looks=st.integers(0, 6))
def test_a_stored_rollout_is_judged_to_the_same_verdict(
    hosts: list[tuple[Flow, Flow]], others: list[tuple[Flow, Flow]], looks: int
) -> None:
    def named(letter: str, flows: list[tuple[Flow, Flow]]) -> dict[str, tuple[Flow, Flow]]:
        return {f"{letter}{number}": pair for number, pair in enumerate(flows)}

    observations = soaked(named("h", hosts), named("c", others), named("o", others), looks)
    stored = json.loads(json.dumps(observations))
    first, again = judged(observations), judged(stored)
    assert (first.verdict, first.reason, first.evidence) == (again.verdict, again.reason, again.evidence)
    assert json.dumps(first.figures(), allow_nan=False) == json.dumps(again.figures(), allow_nan=False)
    assert gate.progress(stored, again) == gate.progress(observations, first)
    assert gate.series(stored) == gate.series(observations)
    assert stored == observations


@settings(max_examples=40, deadline=None)
@given(before=flows, controls=st.integers(0, 3))
def test_steady_counters_are_never_rolled_back(before: Flow, controls: int) -> None:
    # A host counts the connections that we open, too.
    assume(before.opens > 2 * before.connects)
    verdict = judged(soaked({"a": (before, before)}, {f"c{n}": (before, before) for n in range(controls)}, looks=8))
    assert verdict.verdict != gate.ROLL_BACK, verdict.reason


def test_a_large_wave_is_judged_in_less_than_a_second() -> None:
    observations = soaked({f"h{number}": BUSY for number in range(1000)}, {f"c{number}": BUSY for number in range(20)})
    start = time.process_time()
    verdict = judged(observations)
    verdict.figures()
    assert time.process_time() - start < 3  # half a second where nothing else runs
    assert verdict.verdict == gate.PROMOTE
