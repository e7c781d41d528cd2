# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout tells people."""

from __future__ import annotations

from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import account

FINE = {"verdict": "accepted", "findings": [], "facts": {}}


def finding(message: str, severity: str = "error") -> dict[str, Any]:
    return {"rule": "a.b", "severity": severity, "keys": ["k"], "message": message, "reason": "R.", "fix": "F"}


def test_every_host_that_stands_in_the_way_is_named_once() -> None:
    reviews = {
        "down": {"unreachable": True, "msg": "no route"},
        "bare": {"failed": True, "msg": "not found", "module_stderr": "/bin/sh: python3\n", "facts": None},
        "web1": {"verdict": "rejected", "findings": [finding("3 sockets"), finding("x", "info")], "facts": {}},
        "web2": {"verdict": "rejected", "findings": [finding("4 sockets")], "facts": {}},
        "odd": {"failed": True, "msg": "odd: give a set", "facts": {}},
        "fine": FINE,
        "left": {},
        "skipped": {"skipped": True, "changed": False},
        "own": {**FINE, "wrong": ["tune_guard: no"]},
        "untold": {"failed": True, "msg": "'x' is undefined", "wrong": ["tune_guard: no"]},
    }
    assert account.refusals(reviews) == [
        "down: cannot be reached: no route",
        "bare: its facts cannot be read: not found /bin/sh: python3",
        "web1, web2: error a.b: 3 sockets. R. F.",
        "odd: give a set",
        "left, skipped: was left out of the checks, and is in the batch: run the role for all hosts of the play",
        "own, untold: tune_guard: no",
        "untold: could not be asked: 'x' is undefined",
    ]
    assert account.in_the_way(reviews)["web2"] == ["error a.b: 4 sockets. R. F."]
    assert account.in_the_way(reviews)["fine"] == []
    assert account.refusals({"fine": FINE}) == []
    (told,) = account.refusals({"fine": FINE}, ["gone1", "gone2"])
    assert told.startswith("gone1, gone2: failed, was out of reach, or was ended (end_host) earlier in ")


def test_whose_trial_is_in_the_way() -> None:
    trial = {"rollout_id": "r1", "by": "root from 192.0.2.1", "keys": ["k", "l"], "deadline_epoch": 1795251600.0}
    # What that trial has changed is no finding about this set.
    rejected = {"verdict": "rejected", "findings": [finding("overridden by the file of the trial")]}
    reviews = {
        host: {**rejected, "facts": {"trial": {**trial, "deadline_epoch": deadline}}}
        for host, deadline in (("web1", 1795251600.0), ("web2", 1795251603.0))
    }
    assert account.refusals(reviews) == [
        "web1, web2: a trial is pending here: rollout r1 by root from 192.0.2.1 with k, l, until 2026-11-21 09:00:00 "
        "UTC. Wait for its end, or roll it back first"
    ]


def test_waivers_are_told_with_their_reason() -> None:
    reviews = {"web1": {"findings": [], "waived": [{**finding("M"), "waiver": "a lab"}]}}
    assert account.findings(reviews) == ["web1: waived a.b: M. R. F. Waived: a lab."]


def test_many_hosts_are_cut_short() -> None:
    assert account.names(f"h{number}" for number in range(1, 9)) == "h1, h2, h3, h4, h5, h6 and 2 more"


def test_what_changed() -> None:
    change = {"changed": True, "values": {"k": {"before": "1", "after": "2"}}}
    started = {
        "a": {**change, "side_effects": {"e": {"before": "0", "after": "1"}}},
        "b": change,
        "c": {"changed": True, "values": {}},
        "d": {"changed": False},
        "e": {"failed": True, "msg": "EINVAL"},
        "f": {},
    }
    assert account.started_lines(started, check_mode=False) == [
        "a: 1 key changed: k 1 -> 2; e 0 -> 1 with them",
        "b: 1 key changed: k 1 -> 2",
        "c: every value is live already, only the file is new",
        "d: has the set already",
        "e: the set could not be put on trial: EINVAL",
    ]
    assert account.started_lines({"b": change}, check_mode=True) == ["b: 1 key would change: k 1 -> 2"]


def test_what_was_undone() -> None:
    drift = [{"key": "k", "expected": "2", "found": "3"}]
    undone = {
        "a": {"changed": True, "trial": {"state": "rolled_back"}, "drift": drift},
        "b": {"changed": False, "trial": {"state": "rolled_back", "reason": "rejects"}},
        "c": {"failed": True, "msg": "Task failed: Timed out after 35 second(s)."},
    }
    assert account.undone_lines(undone) == [
        "a: rolled back",
        "a: k left alone: it is 3, not 2",
        "b: had rolled back by itself: rejects",
        "c: does not answer: its own guard rolls back in time",
    ]
