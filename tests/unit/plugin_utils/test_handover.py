# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan that outlives its run."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import handover
from ansible_collections.nettune.kernel.plugins.plugin_utils.handover import Handover, Now


def wave(number: int, hosts: list[str], controls: list[str]) -> dict[str, Any]:
    return {"number": number, "hosts": hosts, "controls": controls, "earlier": []}


WAVES = [wave(1, ["a"], ["b", "c"]), wave(2, ["b", "c"], ["d"]), wave(3, ["d"], ["a"])]
SETS = dict.fromkeys("abcd", "1234")
PLAN = Handover("r1", WAVES, SETS)
ONE_DONE = Handover("r1", WAVES, SETS, confirmed=1)


def now(
    hosts: str = "abcd",
    without: str = "bcd",
    inventory: str = "abcd",
    outcomes: dict[int, str] | None = None,
    sets: dict[str, str] | None = None,
    deadline: str | None = None,
) -> Now:
    waves = [{"number": number, "outcome": outcome} for number, outcome in (outcomes or {}).items()]
    found = {host: (sets or {}).get(host, "1234") for host in hosts}
    return Now(found, set(without), set(inventory), {"waves": waves, "deadline": deadline})


def test_there_and_back(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "reports" / "r1.plan"
    handover.write(ONE_DONE, path)
    assert handover.read(path.read_text(), str(path)) == ONE_DONE
    # Ansible makes a dictionary of what looks like one.
    assert handover.read(json.loads(ONE_DONE.text()), "tune_plan") == ONE_DONE


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "no plan",
        {},
        7,
        {"rollout_id": "r1", "waves": [{"number": 1}], "sets": {}, "confirmed": 0},
        {"rollout_id": "r1", "waves": [wave(2, ["b"], [])], "sets": {}, "confirmed": 0},
        {"rollout_id": "r1", "waves": [], "sets": [], "confirmed": 0},
    ],
)
def test_what_is_no_plan(content: Any) -> None:
    with pytest.raises(ValueError, match=r"^tune_plan is no (whole )?plan of a rollout: take it"):
        handover.read(content, "tune_plan")


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "all"])
def test_what_is_no_wave(text: str) -> None:
    with pytest.raises(ValueError, match="tune_wave is"):
        handover.wave_number(text)
    assert [handover.wave_number(good) for good in ("2", "rest")] == [2, "rest"]


def test_a_digest_knows_keys_and_values() -> None:
    one, two = ({"key": key, "proposed": value, "now": "0"} for key, value in (("k", "1"), ("l", "2")))
    assert handover.digest([one, two]) == handover.digest([two, {**one, "now": "1"}])
    assert handover.digest([one]) != handover.digest([{**one, "proposed": "2"}])
    assert handover.digest([one]) != handover.digest([one, two])


@pytest.mark.parametrize(
    ("plan", "asked", "found", "numbers"),
    [
        (PLAN, 1, now(without="abcd"), [1]),
        (PLAN, "rest", now(without="abcd"), [1, 2, 3]),
        # The variable says that wave 1 is confirmed, or the record does.
        (ONE_DONE, 2, now(), [2]),
        (PLAN, 2, now(outcomes={1: "confirmed"}), [2]),
        (PLAN, 2, now(outcomes={1: "settled"}), [2]),
        (ONE_DONE, "rest", now(), [2, 3]),
        # A wave whose hosts have all left needs no confirming, and is not waited for.
        (ONE_DONE, 3, now("ad", inventory="ad"), [3]),
        (ONE_DONE, "rest", now("ad", inventory="ad"), [3]),
        # A run that was interrupted, whose hosts have decided by now.
        (ONE_DONE, 2, now(outcomes={2: "on_trial"}, deadline="2020-01-01T00:00:00Z"), [2]),
    ],
)
def test_the_next_wave(plan: Handover, asked: Any, found: Now, numbers: list[int]) -> None:
    assert handover.resume(plan, asked, found)[1] == numbers


@pytest.mark.parametrize(
    ("plan", "asked", "found", "sentence"),
    [
        (PLAN, 2, now(without="abcd"), "Wave 2 of rollout r1 must wait: wave 1 is not confirmed"),
        (PLAN, 2, now(outcomes={1: "on_trial"}), "Wave 2 of rollout r1 must wait: wave 1 is not confirmed"),
        (ONE_DONE, 3, now(), "Wave 3 of rollout r1 must wait: wave 2 is not confirmed"),
        (ONE_DONE, 1, now(), "Wave 1 of rollout r1 is confirmed already: the next is wave 2"),
        (ONE_DONE, 4, now(), "There is no wave 4: rollout r1 has 3 waves"),
        (ONE_DONE, 2, now("ad", inventory="ad"), "Wave 2 of rollout r1 has no host left: the next is wave 3"),
        # Of hosts that only a limit keeps out, nobody knows that they are confirmed.
        (ONE_DONE, 3, now("ad"), "Wave 3 of rollout r1 must wait: wave 2 is not confirmed"),
        (ONE_DONE, 2, now("ad"), "This run leaves out b, c of wave 2 of rollout r1: check tune_hosts and --limit"),
        (ONE_DONE, 2, now("abd"), "This run leaves out c of wave 2 of rollout r1"),
        (ONE_DONE, "rest", now("abc"), "This run leaves out d of wave 3 of rollout r1"),
        (Handover("r1", WAVES, SETS, 3), "rest", now(without=""), "All waves of rollout r1 are confirmed"),
        (PLAN, 1, now(outcomes={1: "rolled_back"}), "Wave 1 of rollout r1 was rolled back: correct the set"),
        (ONE_DONE, 2, now(outcomes={1: "confirmed", 2: "rolled_back"}), "Wave 2 of rollout r1 was rolled back"),
        (ONE_DONE, 2, now(sets={"c": "5678"}), "Another set was planned by rollout r1 for c: give the same set"),
        (ONE_DONE, 2, now(without="abcd"), "Wave 1 of rollout r1 does not hold any more: a no longer has the set"),
        (ONE_DONE, 2, now(deadline="2999-01-01T00:00:00Z"), "A wave of rollout r1 is on trial until 2999-01-01"),
    ],
)
def test_why_a_rollout_does_not_go_on(plan: Handover, asked: Any, found: Now, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        handover.resume(plan, asked, found)


def test_who_left_is_left_out_and_who_joined_is_left_alone() -> None:
    resumed, numbers = handover.resume(ONE_DONE, 2, now("abdx", inventory="abdx"))
    assert numbers == [2]
    assert resumed.waves[1] == wave(2, ["b"], ["d"])
    assert "x" not in str(resumed.waves)
