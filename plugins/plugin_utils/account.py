# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout tells people, in lines. Hosts with the same story share a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_SHOWN_HOSTS = 6


def names(hosts: Iterable[str]) -> str:
    """web1, web2, web3 and 7 more."""
    listed = list(hosts)
    shown = ", ".join(listed[:_SHOWN_HOSTS])
    more = len(listed) - _SHOWN_HOSTS
    return f"{shown} and {more} more" if more > 0 else shown


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shared(stories: Mapping[str, Iterable[str]]) -> list[str]:
    """{host: lines} as lines, each said once with the hosts that it is true of."""
    hosts_of: dict[str, list[str]] = {}
    for host, lines in stories.items():
        for line in lines:
            hosts_of.setdefault(line, []).append(host)
    return [f"{names(hosts)}: {line}" for line, hosts in hosts_of.items()]


def one_line(text: Any) -> str:
    return " ".join(str(text).split())


# Before anything is touched -------------------------------------------------------------------------------------------------


def refusals(facts: Mapping[str, Any], reviews: Mapping[str, Any]) -> list[str]:
    """Why the rollout must not begin: hosts out of reach, hosts without facts, hosts that reject the set."""
    return shared({host: _refusal(facts[host], reviews.get(host) or {}) for host in facts})


def _refusal(facts: Mapping[str, Any], review: Mapping[str, Any]) -> list[str]:
    if facts.get("unreachable"):
        return ["cannot be reached: " + one_line(facts.get("msg"))]
    if "nettune" not in facts.get("ansible_facts", {}):
        return ["its facts cannot be read: " + _module_failure(facts)]
    if review.get("verdict") == "accepted":
        return []
    findings = [finding for finding in review.get("findings", []) if finding["severity"] != "info"]
    return [finding_line(finding) for finding in findings] or [one_line(review.get("msg", "the set was not validated"))]


def _module_failure(result: Mapping[str, Any]) -> str:
    said = one_line(result.get("module_stderr") or result.get("module_stdout") or "")
    return " ".join(part for part in (one_line(result.get("msg", "")), said) if part)


def finding_line(finding: Mapping[str, Any]) -> str:
    sentences = [one_line(finding[part]).rstrip(".") for part in ("message", "reason", "fix") if finding.get(part)]
    return f"{finding['severity']} {finding['rule']}: {'. '.join(sentences)}."


def findings(reviews: Mapping[str, Any]) -> list[str]:
    """Findings and waivers of an accepted set."""
    stories = {}
    for host, review in reviews.items():
        waived = [f"{finding_line(item)} Waived: {one_line(item.get('waiver', ''))}" for item in review.get("waived", [])]
        stories[host] = [finding_line(item) for item in review.get("findings", [])] + waived
    return shared(stories)


def plan_lines(plan: Mapping[str, Any], reviews: Mapping[str, Any]) -> list[str]:
    """The waves, before anything starts."""
    keys = {len(review["plan"]) for review in reviews.values()}
    amount = count(keys.pop(), "key") if len(keys) == 1 else f"{min(keys)} to {max(keys)} keys"
    lines = [f"Rollout {plan['rollout_id']}: {amount} on {count(len(plan['hosts']), 'host')} in {count(len(plan['waves']), 'wave')}"]
    for wave in plan["waves"]:
        line = f"  wave {wave['number']}: {count(len(wave['hosts']), 'host')}: {names(wave['hosts'])}"
        lines.append(f"{line} (beside {names(wave['controls'])})" if wave["controls"] else line)
    return lines


# A wave ---------------------------------------------------------------------------------------------------------------------


def started_lines(started: Mapping[str, Any]) -> list[str]:
    """What the trial changed on each host, or would change."""
    return shared({host: _started(result) for host, result in started.items()})


def _started(result: Mapping[str, Any]) -> list[str]:
    if result.get("unreachable"):
        return ["was lost while the set was put on trial: " + one_line(result.get("msg"))]
    if result.get("failed"):
        return ["the set could not be put on trial: " + _module_failure(result)]
    if not result:
        return []
    if not result.get("changed"):
        return ["has the set already"]
    changes = [f"{key} {pair['before']} -> {pair['after']}" for key, pair in result.get("values", {}).items()]
    effects = [f"{key} {pair['before']} -> {pair['after']} with them" for key, pair in result.get("side_effects", {}).items()]
    if not changes:
        return ["no value changes, only the file is new"]
    return [f"{count(len(changes), 'key')} changed: " + "; ".join(changes + effects)]


def undone_lines(undone: Mapping[str, Any]) -> list[str]:
    """What rolling back did on each host."""
    return shared({host: _undone(result) for host, result in undone.items()})


def _undone(result: Mapping[str, Any]) -> list[str]:
    if result.get("unreachable"):
        return ["cannot be reached: its own guard rolls back in time"]
    if result.get("failed"):
        return ["NOT rolled back: " + _module_failure(result)]
    trial = result.get("trial", {})
    lines = [f"{item['key']} left alone: it is {item['found']}, not {item['expected']}" for item in result.get("drift") or []]
    if result.get("changed"):
        return ["rolled back", *lines]
    if trial.get("state") == "rolled_back":
        return [f"had rolled back by itself: {trial.get('reason')}", *lines]
    return ["nothing to undo"]
