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


def look(*confirmed: str, pending: str | None = None, at: float = 0.0) -> dict[str, Any]:
    """What a host remembers, newest first; `at` is when that was."""
    history = [{"id": f"id-{name}", "ended": at - older} for older, name in enumerate(confirmed)]
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
    named = rollback.plan({"a": look("x")}, "y")
    assert rollback.plan_lines(named, False) == ["Rollout y is in force on no host that answers"]
