# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which trial is undone on which host, by what the hosts themselves remember; and the account of it.

Nothing here needs the controller's files: a rollout is undone from any controller, also where the first one is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import account, clock

Look = Mapping[str, Any]

_SHOWN_ROLLOUTS = 5

# Where a host stands to the rollout that is undone.
ON_TRIAL = "on trial"
CONFIRMED = "confirmed"
COVERED = "covered"
UNDONE = "undone"
OUTLIVED = "outlived"
SILENT = "silent"
UNREADABLE = "unreadable"
FREE = "free"


def plan(looks: Mapping[str, Look], rollout_id: str = "", to_original: bool = False) -> dict[str, Any]:
    """{rollout_id, hosts: {host: {state, ...}}}, from results of `sysctl_trial_info` on all hosts.

    Without a name it is the newest rollout that is in force anywhere: hosts that only have older ones keep them.
    """
    if to_original:
        return {"rollout_id": "", "hosts": {host: _whole(look) for host, look in looks.items()}}
    name = rollout_id or _newest(looks)
    return {"rollout_id": name, "hosts": {host: _standing(look, name) for host, look in looks.items()}}


def unknown(planned: Mapping[str, Any], looks: Mapping[str, Look]) -> list[str]:
    """Why there is no such rollout, in lines: a name that no host knows is a mistake, and no news that all is well."""
    states = {item["state"] for item in planned["hosts"].values()}
    if not planned["rollout_id"] or states - {SILENT, UNREADABLE, FREE}:
        return []
    known = _known(looks)
    shown = [f"{name} ({clock.in_words(clock.stamp(at)) if at else 'nobody knows when'})" for name, at in known]
    more = len(known) - _SHOWN_ROLLOUTS
    there = ", ".join(shown[:_SHOWN_ROLLOUTS]) + (f" and {more} more" if more > 0 else "") if known else "none"
    _well, lines = outcome({**planned, "hosts": _without_answer(planned)}, {})
    return [
        f"There is no rollout {planned['rollout_id']} on any host that answers, and nothing is undone: correct "
        f"tune_rollout_id. The hosts know, newest first: {there}",
        *lines,
    ]


def _without_answer(planned: Mapping[str, Any]) -> dict[str, Any]:
    return {host: item for host, item in planned["hosts"].items() if item["state"] in (SILENT, UNREADABLE)}


def _known(looks: Mapping[str, Look]) -> list[tuple[str, float]]:
    """Rollouts that hosts remember and when each last began or ended anywhere, newest first."""
    latest: dict[str, float] = {}
    for look in looks.values():
        if _says_nothing(look):
            continue
        for trial in [*_in_force(look), *look["history"]]:
            at = float(trial.get("ended") or trial.get("started") or 0)
            latest[trial["rollout_id"]] = max(at, latest.get(trial["rollout_id"], 0.0))
    return sorted(latest.items(), key=lambda item: item[1], reverse=True)


def targets(planned: Mapping[str, Any]) -> list[str]:
    return [host for host, item in planned["hosts"].items() if item["state"] in (ON_TRIAL, CONFIRMED)]


def _standing(look: Look, rollout_id: str) -> dict[str, Any]:
    if _says_nothing(look):
        return _unknown(look)
    in_force = _in_force(look)
    mine = next((trial for trial in in_force if trial["rollout_id"] == rollout_id), None)
    if mine is None:
        ended = next((entry for entry in look["history"] if entry["rollout_id"] == rollout_id), None)
        if ended is None:
            return {"state": FREE}
        return {"state": OUTLIVED} if ended["state"] == "confirmed" else {"state": UNDONE, "why": ended["reason"]}
    if mine is not in_force[0]:
        return {"state": COVERED, "by": in_force[0]["rollout_id"]}
    state = ON_TRIAL if look.get("pending") else CONFIRMED
    return {"state": state, "trial_id": mine["id"], "keys": mine["keys"]}


def _whole(look: Look) -> dict[str, Any]:
    if _says_nothing(look):
        return _unknown(look)
    if not _in_force(look):
        # A memory of sets that were refused is forgotten too.
        return {"state": CONFIRMED, "keys": []} if look["history"] else {"state": FREE}
    keys = sorted({key for trial in _in_force(look) for key in trial["keys"]})
    return {"state": ON_TRIAL if look.get("pending") else CONFIRMED, "keys": keys}


def _unknown(look: Look) -> dict[str, Any]:
    why = account.one_line(look.get("msg") or "it did not answer")
    return {"state": SILENT if account.silent(look) else UNREADABLE, "why": why}


def _says_nothing(look: Look) -> bool:
    return "history" not in look


def _in_force(look: Look) -> list[Mapping[str, Any]]:
    """Trials that can be undone, newest first."""
    return [look["pending"]] * bool(look.get("pending")) + list(look["confirmed"])


def _newest(looks: Mapping[str, Look]) -> str:
    """By the clocks of the hosts; empty where none has anything in force."""
    latest = [(_since(look), _in_force(look)[0]["rollout_id"]) for look in looks.values() if _has_any(look)]
    return str(max(latest)[1]) if latest else ""


def _has_any(look: Look) -> bool:
    return not _says_nothing(look) and bool(_in_force(look))


def _since(look: Look) -> float:
    newest = _in_force(look)[0]
    if look.get("pending"):
        return float(newest["started"])
    return next((float(entry["ended"]) for entry in look["history"] if entry["id"] == newest["id"]), 0.0)


# In words


def plan_lines(planned: Mapping[str, Any], to_original: bool) -> list[str]:
    """What is about to be undone."""
    hosts = planned["hosts"]
    by_state = {state: [host for host in hosts if hosts[host]["state"] == state] for state in (ON_TRIAL, CONFIRMED)}
    found = [f"{state} on {account.names(members)}" for state, members in by_state.items() if members]
    if to_original:
        amount = account.count(len(targets(planned)), "host")
        return [f"Back to the original: {amount}"]
    if found:
        return [f"Rollout {planned['rollout_id']}: {', '.join(found)}"]
    if not planned["rollout_id"]:
        return ["No rollout is in force on any host that answers"]
    return [f"Rollout {planned['rollout_id']} is in force on no host that answers any more"]


def outcome(
    planned: Mapping[str, Any], undone: Mapping[str, Mapping[str, Any]], check_mode: bool = False
) -> tuple[bool, list[str]]:
    """Whether every host is as asked, and the account of all of them. `undone`: results of `sysctl_trial` by host."""
    told = {
        host: _told(item, undone.get(host) or {}, planned["rollout_id"], check_mode)
        for host, item in planned["hosts"].items()
    }
    lines = account.shared({host: lines for host, (_well, lines) in told.items()})
    return all(well for well, _lines in told.values()), lines


def _told(
    item: Mapping[str, Any], result: Mapping[str, Any], rollout_id: str, check_mode: bool
) -> tuple[bool, list[str]]:
    """Whether all is well with a host, and what is said of it."""
    what = f"rollout {rollout_id}" if rollout_id else "everything"
    if item["state"] == SILENT:
        return False, [f"LOST, so nobody knows what it has; undo it when it is back: {item['why']}"]
    if item["state"] == UNREADABLE:
        return False, [f"NOT undone: {item['why']}"]
    if item["state"] == COVERED:
        return False, [f"NOT undone: rollout {item['by']} came after it; undo that first, or go back to the original"]
    if item["state"] == OUTLIVED:
        return False, ["NOT undone: so many came after it that it cannot be undone by itself; go back to the original"]
    if item["state"] == UNDONE:
        return True, [f"undone already: {account.one_line(item['why'])}"]
    if item["state"] == FREE:
        return True, ["nothing to undo"]
    if account.silent(result):
        later = "its own guard rolls back in time" if item["state"] == ON_TRIAL else "undo it when it is back"
        return False, [f"LOST before it was undone: {later}"]
    if result.get("failed") or not result:
        return False, ["NOT undone: " + account.one_line(result.get("msg") or "the task did not run")]
    if not result.get("changed"):
        return True, ["nothing to undo any more"]
    said = f"{'would undo' if check_mode else 'undone'}: {what}"
    said += f", {', '.join(item['keys'])}" if item["keys"] else ", which is no more than a memory"
    return True, [said, *_left_alone(result)]


def _left_alone(result: Mapping[str, Any]) -> list[str]:
    return [
        f"{entry['key']} is left alone: somebody else changed it since "
        f"(it is {entry['found']}, not {entry['expected']})"
        for entry in result.get("drift") or []
    ]
