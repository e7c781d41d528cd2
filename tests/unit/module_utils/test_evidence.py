# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import json
import math
import random

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils._evidence import (
    RateTest,
    dispersion,
    gamma_quantile,
    increments,
    interval,
    log_evidence,
    opens,
    opens_needed,
    per_thousand,
    rise_upper,
    shared_alpha,
    timestamp_rejects,
    upper_limit,
)


def sample(boot="a", **counters):
    return {
        "boot_id": boot,
        "counters": {"TcpExt." + name if name.startswith("P") else name: value for name, value in counters.items()},
    }


def test_increments_are_differences():
    assert increments(sample(PAWSEstab=3), sample(PAWSEstab=5)) == {"TcpExt.PAWSEstab": 2}


@pytest.mark.parametrize(
    "after",
    [
        sample(boot="b", PAWSEstab=5),
        sample(PAWSEstab=2),
        sample(PAWSEstab=5, PAWSTimewait=0),
    ],
    ids=["rebooted", "went back", "other counters"],
)
def test_what_cannot_be_compared_is_unknown_and_not_zero(after):
    assert increments(sample(PAWSEstab=3), after) is None


def test_rejects_leave_out_harmless_reordered_acks():
    rise = {"TcpExt.PAWSEstab": 1, "TcpExt.PAWSTimewait": 2, "TcpExt.TSEcrRejected": 4, "TcpExt.PAWSOldAck": 100}
    assert timestamp_rejects(rise) == 7


def test_exposure_is_what_was_opened_in_both_directions():
    assert opens({"Tcp.PassiveOpens": 3, "Tcp.ActiveOpens": 4}) == 7


def test_rejects_without_an_open_are_damage():
    assert per_thousand(3, 0) == 3000


# The sequential test


def fed(test, polls):
    for poll in polls:
        test.add(*poll)
    return test


def poisson(rng, mean):
    count, product, limit = 0, rng.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def test_a_tenfold_rise_is_found_at_once_and_no_rise_never():
    quiet = fed(RateTest((60, 12000), (600, 120000)), [(1, 200, 10, 2000)] * 600)
    assert not quiet.exceeded
    assert fed(RateTest((60, 12000), (600, 120000)), [(10, 200, 10, 2000)] * 3).exceeded


def test_a_rise_that_the_controls_share_is_none():
    shared = [(10, 200, 100, 2000)] * 60
    assert not fed(RateTest((60, 12000), (600, 120000)), shared).exceeded
    assert fed(RateTest((60, 12000)), [poll[:2] for poll in shared]).exceeded


def test_a_host_that_always_had_more_than_the_others_is_none():
    assert not fed(RateTest((1800, 12000), (600, 120000)), [(30, 200, 10, 2000)] * 60).exceeded


def test_a_rate_above_the_controls_without_a_time_before_is_weak_evidence_only():
    polls = [(10, 200, 100, 2000)] * 3
    unknown = fed(RateTest((0, 0), (600, 120000)), polls)
    known = fed(RateTest((60, 12000), (600, 120000)), polls)
    assert unknown.expected()[1] < known.expected()[1]


def test_one_burst_is_no_rate():
    assert not fed(RateTest((1, 12000), (10, 120000)), [(0, 200, 0, 2000), (500, 200, 0, 2000)]).exceeded
    assert fed(RateTest((1, 12000), (10, 120000)), [(500, 200, 0, 2000), (500, 200, 0, 2000)]).exceeded


def test_the_floor_and_the_least_number_hold_whatever_the_ratio():
    assert not fed(RateTest((0, 10**6), (0, 10**7)), [(4, 1000, 0, 10000)] * 60).exceeded
    assert not fed(RateTest((0, 10**6), (0, 10**7), min_events=500), [(8, 1000, 0, 10000)] * 60).exceeded
    assert fed(RateTest((0, 10**6), (0, 10**7)), [(8, 1000, 0, 10000)] * 60).exceeded


def test_what_was_exceeded_once_stays_so():
    test = fed(RateTest((60, 12000)), [(50, 200)] * 3 + [(0, 200)] * 1000)
    assert test.exceeded
    assert test.figures()["exceeded_at"] <= 3


def test_polls_in_which_the_controls_had_no_opens_count_for_the_group_alone():
    polls = [(1, 200, 10, 2000), (1, 200, 0, 0)] * 30
    assert fed(RateTest((60, 12000), (600, 120000)), polls).expected()[0] == pytest.approx(60, rel=0.05)


def test_controls_are_weighed_poll_by_poll():
    """The group's traffic is at night, when everybody's rate is high, that of the controls by day."""
    night, day = (16, 800, 4, 200), (1, 200, 4, 800)
    assert fed(RateTest((600, 60000), (600, 60000)), [night, day] * 30).expected()[0] == pytest.approx(510, rel=0.05)


def test_evidence_rises_with_events_and_falls_with_what_is_expected_and_with_doubt():
    def assert_rising(values):
        assert values == sorted(set(values))

    assert_rising([log_evidence(events, 10, 50, 1.5) for events in range(16, 200)])
    assert_rising([-log_evidence(100, mean, 50, 1.5) for mean in range(1, 60)])
    assert_rising([log_evidence(100, 10, shape, 1.5) for shape in range(1, 60)])
    assert_rising([-log_evidence(100, 10, 50, ratio / 10.0) for ratio in range(10, 80)])


def test_with_a_mean_that_is_certain_the_evidence_is_the_poisson_mixture():
    rises = [1.5 * 5 ** (step / 40.0) for step in range(1, 41)]
    expected = math.log(sum((r / 1.5) ** 30 * math.exp(-(r - 1.5) * 10) for r in rises) / 40)
    assert log_evidence(30, 10, 1e12, 1.5) == pytest.approx(expected, abs=1e-6)


def test_the_average_evidence_of_counts_at_the_tolerated_ratio_is_one():
    """The promise behind alpha: by Markov's inequality evidence of 1 / alpha comes with probability alpha at most."""
    shape, mean, total = 6.0, 4.0, 0.0
    for count in range(400):
        log_probability = (
            math.lgamma(count + shape)
            - math.lgamma(shape)
            - math.lgamma(count + 1)
            + count * math.log(1.5 * mean / (shape + 1.5 * mean))
            + shape * math.log(shape / (shape + 1.5 * mean))
        )
        total += math.exp(log_probability + log_evidence(count, mean, shape, 1.5))
    assert total == pytest.approx(1, abs=0.01)


def test_a_stored_state_goes_on_to_the_same_verdict():
    rng = random.Random(5)
    polls = [(poisson(rng, 5), 200, poisson(rng, 10), 2000) for _poll in range(60)]
    whole = RateTest((60, 12000), (600, 120000), 1.7)
    stored = RateTest((60, 12000), (600, 120000), 1.7)
    for poll in polls:
        stored = RateTest.resumed(json.loads(json.dumps(stored.state())))
        assert whole.add(*poll) is stored.add(*poll)
    assert whole.figures() == stored.figures()
    assert whole.exceeded


def test_a_state_is_a_copy():
    test = RateTest((60, 12000))
    state = test.state()
    resumed = RateTest.resumed(state)
    resumed.add(5, 10)
    assert test.state() == state
    assert state["polls"] == 0


@pytest.mark.parametrize("controls_before", [None, (0, 0), (0, 1000), (10**12, 10**15)])
@pytest.mark.parametrize("before", [(0, 0), (0, 1000), (7, 0), (10**12, 10**15)])
@pytest.mark.parametrize("poll", [(0, 0, 0, 0), (5, 0, 0, 0), (0, 0, 5, 5), (10**15, 1, 1, 10**15), (0, 10**15, 9, 1)])
def test_nothing_overflows_and_the_figures_are_json(poll, before, controls_before):
    test = RateTest(before, controls_before)
    for _poll in range(3):
        test.add(*poll)
    json.dumps(test.figures(), allow_nan=False)
    json.dumps(test.state(), allow_nan=False)
    assert test.no_worse() in (True, False)


def test_no_opens_and_no_events_prove_nothing():
    test = fed(RateTest((0, 0)), [(0, 0)] * 60)
    assert not test.exceeded
    assert not test.no_worse()


def test_events_without_any_open_are_damage():
    assert fed(RateTest((0, 1000)), [(10, 0)] * 3).exceeded


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0}, {"alpha": 1}, {"ratio": 0}, {"dispersion": 0.5}, {"floor_per_1000": -1}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="alpha is in"):
        RateTest((0, 0), **wrong)


def test_negative_increments_are_refused():
    with pytest.raises(ValueError, match="not negative"):
        RateTest((0, 0)).add(-1, 5)


@pytest.mark.parametrize("rise", [1.0, 1.5])
@pytest.mark.parametrize("burst", [1, 6])
def test_false_alarms_stay_below_alpha_however_often_one_looks(burst, rise):
    """400 seeded soaks of 60 looks. Without the dispersion, or with a test of one look, tens of them are alarms."""
    rng = random.Random(20)
    alarms = 0
    for _soak in range(400):
        wave = [(burst * poisson(rng, 1.0 * rise / burst), 200) for _poll in range(60)]
        wave_before = [(burst * poisson(rng, 1.0 / burst), 200) for _poll in range(60)]
        controls = [(burst * poisson(rng, 5.0 / burst), 1000) for _poll in range(120)]
        before = [[sum(row[at] for row in rows) for at in (0, 1)] for rows in (wave_before, controls[:60])]
        test = RateTest(before[0], before[1], dispersion([wave_before], [controls[:60]]))
        fed(test, [wave[poll] + controls[60 + poll] for poll in range(60)])
        alarms += test.exceeded
    assert alarms <= 8


# Dispersion


def test_steady_counts_have_no_excess_and_bursts_their_size():
    rng = random.Random(3)
    steady = [[(poisson(rng, 5), 100) for _poll in range(200)] for _host in range(4)]
    bursts = [[(8 * poisson(rng, 1), 100) for _poll in range(200)] for _host in range(4)]
    assert dispersion(steady) < 1.4
    assert 7 < dispersion(bursts) < 11


def test_what_all_hosts_have_in_common_is_no_burst():
    rng = random.Random(4)
    rates = [20 if poll // 20 % 2 else 2 for poll in range(200)]
    hosts = [[(poisson(rng, rate), 100) for rate in rates] for _host in range(4)]
    assert dispersion(hosts) < 1.6
    assert dispersion(hosts[:1]) > 5


def test_bursts_that_last_are_seen_in_blocks():
    rng = random.Random(4)
    hosts = [
        [(poisson(rng, 10 if rng_block else 1), 100) for rng_block in blocks for _poll in range(8)]
        for blocks in [[rng.random() < 0.2 for _block in range(30)] for _host in range(4)]
    ]
    assert dispersion(hosts) > 20


@pytest.mark.parametrize("hosts", [[], [[]], [[(0, 0)] * 9], [[(5, 100)]], [[(0, 100)] * 9, [(0, 0)] * 9]])
def test_without_data_the_dispersion_is_what_is_believed_beforehand(hosts):
    assert dispersion(hosts) == 1.5


# Limits


def test_the_gamma_quantile_is_that_of_the_tables():
    """Halves of chi2 quantiles."""
    assert 2 * gamma_quantile(0.5, 0.95) == pytest.approx(3.841459, abs=1e-6)
    assert 2 * gamma_quantile(5, 0.95) == pytest.approx(18.307038, abs=1e-6)
    assert 2 * gamma_quantile(50, 0.99) == pytest.approx(135.806723, abs=1e-6)
    assert 2 * gamma_quantile(5, 0.05) == pytest.approx(3.940299, abs=1e-6)


def test_the_gamma_quantile_is_seamless_where_the_approximation_begins():
    exact, approximate = (gamma_quantile(shape, 0.975) for shape in (1e5, 1e5 + 1e-3))
    assert exact == pytest.approx(approximate, rel=1e-7)


def test_rate_limits_are_those_of_the_tables():
    """Exact limits of a Poisson count of 10: 4.795 and 18.390."""
    assert interval(10, 1) == pytest.approx((4.795389, 18.390356), abs=1e-5)
    assert interval(0, 1) == pytest.approx((0, 3.688879), abs=1e-5)
    assert interval(0, 0) == (0, math.inf)


def test_silence_needs_opens():
    assert opens_needed(5) == 600
    assert upper_limit(0, 600) <= 0.005 < upper_limit(0, 599)
    assert opens_needed(5, dispersion=2) == 1199
    assert opens_needed(0) == math.inf
    assert fed(RateTest((0, 0)), [(0, 600)]).no_worse()
    assert not fed(RateTest((0, 0)), [(0, 599)]).no_worse()


def test_limits_widen_with_bursts_and_narrow_with_opens():
    assert upper_limit(20, 1000, dispersion=4) > upper_limit(20, 1000)
    assert upper_limit(200, 10000) < upper_limit(20, 1000)


def test_the_rise_has_the_limit_of_a_poisson_count_where_the_mean_is_certain():
    assert rise_upper(10, 10, 1e9) == pytest.approx(upper_limit(10, 10), rel=1e-5)
    assert rise_upper(10, 10, 5) > rise_upper(10, 10, 50)
    assert rise_upper(1e6, 1e6, 100) == pytest.approx(rise_upper(1.01e6, 1.01e6, 100), rel=1e-4)
    assert rise_upper(10, 0, 5) == math.inf


def test_a_rate_over_the_floor_may_be_promoted_when_it_is_no_more_than_before():
    same = fed(RateTest((600, 12000), (6000, 120000)), [(10, 200, 100, 2000)] * 60)
    assert same.no_worse()
    short = fed(RateTest((600, 12000), (6000, 120000)), [(10, 200, 100, 2000)] * 1)
    assert not short.no_worse(ratio=1.5)
    assert not fed(RateTest((600, 12000), (6000, 120000)), [(100, 200, 100, 2000)] * 60).no_worse()


def test_groups_share_alpha():
    assert 4 * shared_alpha(0.01, 4) == pytest.approx(0.01)


# What is known of a group otherwise


def test_what_was_counted_since_boot_stands_in_for_a_silent_time_before():
    polls = [(6, 200, 0, 1000)] * 6
    known = RateTest((0, 100), (0, 500), usual=(0, 10**6), controls_usual=(0, 10**6))
    assert fed(known, polls).exceeded
    assert not fed(RateTest((0, 100), (0, 500)), polls).exceeded
    used_to_it = RateTest((0, 100), (0, 500), usual=(30000, 10**6), controls_usual=(0, 10**6))
    assert not fed(used_to_it, polls).exceeded


@pytest.mark.parametrize("usual", [(0, 10**7), (10**5, 10**6), (0, 0)])
def test_since_boot_hardly_matters_where_much_was_seen_just_before(usual):
    plain, told = (fed(RateTest((600, 60000), usual=known), [(2, 200)] * 60) for known in (None, usual))
    assert told.expected()[0] == pytest.approx(plain.expected()[0], rel=0.02)
    assert not told.exceeded


def test_what_began_an_hour_ago_is_not_the_changes_fault():
    """Never in a month, but in the seconds before the change."""
    assert not fed(RateTest((6, 600), usual=(10, 10**7)), [(2, 200)] * 60).exceeded


def test_an_outage_of_all_that_nobody_ever_had_is_no_rise():
    outage = [(60, 200, 300, 1000)] * 20
    never = {"usual": (0, 10**9), "controls_usual": (0, 10**5)}
    assert not fed(RateTest((0, 3000), (0, 15000), **never), outage).exceeded
    assert fed(RateTest((0, 3000), (0, 15000), **never), [(60, 200, 3, 1000)] * 20).exceeded


def test_opens_needed_grow_with_events_and_shrink_with_what_was_seen():
    assert opens_needed(40) == 75
    assert opens_needed(40, events=3) == math.ceil(gamma_quantile(4, 0.95) * 25)
    assert fed(RateTest((0, 0)), [(0, 100)]).opens_needed(per_1000=20) == 50
    assert fed(RateTest((0, 0)), [(0, 200)]).opens_needed(per_1000=20) == 0
    # Nothing ever happened: there were no bursts, whatever the dispersion is taken to be.
    assert fed(RateTest((0, 0), dispersion=3), [(0, 100)]).opens_needed(per_1000=20) == 50
    assert fed(RateTest((1, 0), dispersion=3), [(0, 100)]).opens_needed(per_1000=20) == 350


def test_a_rate_below_the_limit_of_promotion_must_be_tolerable_too():
    """Twenty times as many as before, at 30 per 1,000: the limit of 60 is for those who saw little."""
    risen = fed(RateTest((1, 1000), min_events=1000), [(6, 200)] * 30)
    assert risen.opens_needed(per_1000=60) == 0
    assert not risen.no_worse(per_1000=60)
    assert fed(RateTest((30, 1000)), [(6, 200)] * 30).no_worse(per_1000=60)


def test_a_state_of_what_is_usual_is_stored_too():
    test = RateTest((0, 100), (0, 500), usual=(0, 10**6), controls_usual=(5, 10**6))
    again = RateTest.resumed(json.loads(json.dumps(test.state())))
    polls = [(6, 200, 0, 1000)] * 6
    assert fed(test, polls).figures() == fed(again, polls).figures()
