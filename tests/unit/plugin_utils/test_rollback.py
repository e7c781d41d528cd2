# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is undone where, and the account of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import rollback


def trial(rollout_id: str, **more: Any) -> dict[str, Any]:
    return {"id": f"id-{rollout_id}", "rollout_id": rollout_id, "keys": ["k"], **more}


def ended(rollout_id: str, at: float, reason: str = "asked for") -> dict[str, Any]:
    return {**trial(rollout_id), "state": "rolled_back", "ended": at, "reason": reason}


def look(*confirmed: str, pending: str | None = None, at: float = 0.0) -> dict[str, Any]:
    """What a host remembers, newest first; `at` is when that was."""
    history = [{**ended(name, at - older), "state": "confirmed"} for older, name in enumerate(confirmed)]
    return {
        "pending": trial(pending, started=at) if pending else None,
        "confirmed": [trial(name) for name in confirmed],
        "history": history,
    }


UNREACHABLE = {"unreachable": True, "msg": "no\n route"}
DAMAGED = {"failed": True, "msg": "the journal is damaged"}


def states(planned: dict[str, Any]) -> dict[str, str]:
    return {host: item["state"] for host, item in planned["hosts"].items()}


def test_the_newest_rollout_anywhere_is_undone_and_no_other() -> None:
    looks = {
        "a": look("new", "old", at=20),
        "b": look("old", at=10),
        "c": look("old", pending="new", at=19),
        "d": look(),
        "e": UNREACHABLE,
        "f": DAMAGED,
    }
    planned = rollback.plan(looks)
    assert planned["rollout_id"] == "new"
    assert states(planned) == {
        "a": "confirmed",
        "b": "free",
        "c": "on trial",
        "d": "free",
        "e": "silent",
        "f": "unreadable",
    }
    assert rollback.targets(planned) == ["a", "c"]
    assert planned["hosts"]["a"]["trial_id"] == "id-new"
    assert rollback.plan_lines(planned, False) == ["Rollout new: on trial on c, confirmed on a"]


def test_without_a_history_older_is_assumed() -> None:
    assert rollback.plan({"a": {**look("x", at=99), "history": []}, "b": look("y", at=1)})["rollout_id"] == "y"


def test_a_named_rollout_below_another_one() -> None:
    planned = rollback.plan({"a": look("new", "old"), "b": look("old"), "c": look("old", pending="new")}, "old")
    assert states(planned) == {"a": "covered", "b": "confirmed", "c": "covered"}
    well, lines = rollback.outcome(planned, {"b": {"changed": True}})
    assert not well
    assert lines == [
        "a, c: NOT undone: rollout new came after it; undo that first, or go back to the original",
        "b: undone: rollout old, k",
    ]


def test_to_the_original_takes_everybody_who_remembers_something() -> None:
    refused = {**look(), "history": [{"id": "x", "ended": 1.0}]}
    planned = rollback.plan({"a": look("new", "old"), "b": look(), "c": refused}, to_original=True)
    assert rollback.targets(planned) == ["a", "c"]
    assert "trial_id" not in planned["hosts"]["a"]
    well, lines = rollback.outcome(planned, {"a": {"changed": True}, "c": {"changed": True}}, check_mode=True)
    assert well
    assert lines == [
        "a: would undo: everything, k",
        "b: nothing to undo",
        "c: would undo: everything, which is no more than a memory",
    ]


@pytest.mark.parametrize(
    ("result", "well", "line"),
    [
        ({"changed": True, "drift": []}, True, "undone: rollout r, k"),
        ({"changed": False}, True, "nothing to undo any more"),
        ({"failed": True, "msg": "disk\nfull"}, False, "NOT undone: disk full"),
        ({}, False, "NOT undone: the task did not run"),
        ({"unreachable": True}, False, "LOST before it was undone: undo it when it is back"),
    ],
)
def test_what_is_said_of_a_host(result: dict[str, Any], well: bool, line: str) -> None:
    assert rollback.outcome(rollback.plan({"a": look("r")}), {"a": result}) == (well, [f"a: {line}"])


def test_a_lost_host_on_trial_has_its_guard() -> None:
    planned = rollback.plan({"a": look(pending="r")})
    _well, lines = rollback.outcome(planned, {"a": {"msg": "Timed out after 35 second(s)."}})
    assert lines == ["a: LOST before it was undone: its own guard rolls back in time"]


def test_silent_hosts_are_lost_and_damaged_ones_are_not_undone() -> None:
    well, lines = rollback.outcome(rollback.plan({"a": UNREACHABLE, "b": DAMAGED, "c": {}}), {})
    assert not well
    assert lines == [
        "a: LOST, so nobody knows what it has; undo it when it is back: no route",
        "b: NOT undone: the journal is damaged",
        "c: NOT undone: it did not answer",
    ]


def test_nothing_is_in_force() -> None:
    assert rollback.plan_lines(rollback.plan({"a": look()}), False) == [
        "No rollout is in force on any host that answers"
    ]


def test_a_rollout_that_is_undone_already_is_fine() -> None:
    looks = {"a": {**look("x"), "history": [ended("y", 9.0, "its guard\nsaw it"), ended("y", 8.0)]}, "b": look("x")}
    planned = rollback.plan(looks, "y")
    assert rollback.unknown(planned, looks) == []
    assert rollback.plan_lines(planned, False) == ["Rollout y is in force on no host that answers any more"]
    assert rollback.outcome(planned, {}) == (True, ["a: undone already: its guard saw it", "b: nothing to undo"])


def test_a_rollout_that_too_many_came_after_is_not_undone() -> None:
    looks = {"a": {**look("x"), "history": look("x", "y")["history"]}}
    planned = rollback.plan(looks, "y")
    assert rollback.unknown(planned, looks) == []
    well, lines = rollback.outcome(planned, {})
    assert not well
    assert lines == ["a: NOT undone: so many came after it that it cannot be undone by itself; go back to the original"]


def test_a_name_that_no_host_knows_is_a_mistake() -> None:
    looks = {
        "a": look("x", pending="late", at=1795251600.0),
        "b": {**look(), "history": [ended(f"old{n}", 1795165200.0 - n) for n in range(5)]},
        "c": {**look("lost"), "history": []},
        "d": UNREACHABLE,
    }
    told = rollback.unknown(rollback.plan(looks, "typo"), looks)
    assert told == [
        "There is no rollout typo on any host that answers, and nothing is undone: correct tune_rollout_id. The hosts "
        "know, newest first: late (2026-11-21 09:00:00 UTC), x (2026-11-21 09:00:00 UTC), old0 (2026-11-20 09:00:00 "
        "UTC), old1 (2026-11-20 08:59:59 UTC), old2 (2026-11-20 08:59:58 UTC) and 3 more",
        "d: LOST, so nobody knows what it has; undo it when it is back: no route",
    ]
    (told_of_none,) = rollback.unknown(rollback.plan({"a": look()}, "typo"), {"a": look()})
    assert told_of_none.endswith("The hosts know, newest first: none")
    assert rollback.unknown(rollback.plan(looks), looks) == []
