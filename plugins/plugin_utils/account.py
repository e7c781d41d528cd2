# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout tells people, in lines. Hosts with the same story share a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import clock

_SHOWN_HOSTS = 6
_TIMED_OUT = re.compile(r"Timed out after \d+ second|in the expected time frame")


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
    return _shared((host, line, line) for host, lines in stories.items() for line in lines)


def _shared(told: Iterable[tuple[str, str, str]]) -> list[str]:
    """The same for (host, topic, line): a topic is told in the words, and with the figures, of its first host."""
    hosts_of: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    for host, topic, line in told:
        hosts_of.setdefault(topic, []).append(host)
        words.setdefault(topic, line)
    return [f"{names(hosts)}: {words[topic]}" for topic, hosts in hosts_of.items()]


def one_line(text: Any) -> str:
    return " ".join(str(text).split())


# Before anything is touched

UNTOUCHED = "No host was touched."


def refusals(reviews: Mapping[str, Any], missing: Iterable[str] = ()) -> list[str]:
    """Why the rollout must not begin: hosts out of reach, hosts without facts, hosts that reject the set."""
    gone = [(host, *_same(_MISSING)) for host in missing]
    told = [(host, topic, line) for host, review in reviews.items() for topic, line in _refusal(review, host)]
    return _shared(gone + told)


_MISSING = (
    "failed, was out of reach, or was ended (end_host) earlier in this run of Ansible, and would be left out: see to "
    "it and run again, or leave the host out yourself (tune_hosts, --limit)"
)


def in_the_way(reviews: Mapping[str, Any]) -> dict[str, list[str]]:
    """The same for every host by itself, with its own figures; nothing of a host that accepts the set."""
    return {host: [line for _topic, line in _refusal(review, host)] for host, review in reviews.items()}


def _refusal(review: Mapping[str, Any], host: str) -> list[tuple[str, str]]:
    """Topics and lines."""
    if review.get("unreachable"):
        return [_same("cannot be reached: " + one_line(review.get("msg")))]
    if not review or review.get("skipped"):
        return [_same("was left out of the checks, and is in the batch: run the role for all hosts of the play")]
    return [_same(problem) for problem in review.get("wrong", [])] + _validated(review, host)


def _validated(review: Mapping[str, Any], host: str) -> list[tuple[str, str]]:
    if "facts" not in review:
        return [_same("could not be asked: " + _module_failure(review))]
    facts = review["facts"]
    if facts is None:
        why = "its facts cannot be read: " + _module_failure(review)
        if "interpreter" in why:
            why += " Install Python 3.6 or newer there, or name the one that it has in ansible_python_interpreter."
        return [_same(why)]
    trial = facts.get("trial")
    if trial:
        until = clock.in_words(clock.stamp(trial["deadline_epoch"]))
        who = f"rollout {trial['rollout_id']} by {trial['by']} with {', '.join(trial['keys'])}, until {until}"
        # Hosts of one trial share a line: their deadlines are seconds apart.
        return [
            (f"trial {trial['rollout_id']}", f"a trial is pending here: {who}. Wait for its end, or roll it back first")
        ]
    if review.get("verdict") == "accepted":
        return []
    told = [_finding(finding) for finding in review.get("findings", []) if finding["severity"] != "info"]
    return told or [_same(one_line(review.get("msg", "the set was not validated")).removeprefix(f"{host}: "))]


def _same(line: str) -> tuple[str, str]:
    return line, line


def _module_failure(result: Mapping[str, Any]) -> str:
    said = one_line(result.get("module_stderr") or result.get("module_stdout") or "")
    return " ".join(part for part in (one_line(result.get("msg", "")), said) if part)


def _finding(finding: Mapping[str, Any]) -> tuple[str, str]:
    """Topic and line."""
    sentences = [_sentence(finding[part]) for part in ("message", "reason", "fix") if finding.get(part)]
    if finding.get("waiver"):
        sentences.append(_sentence(f"Waived: {finding['waiver']}"))
    kind = "waived" if finding.get("waiver") else finding["severity"]
    topic = f"{kind} {finding['rule']}"
    return f"{topic} {' '.join(finding['keys'])}", f"{topic}: {' '.join(sentences)}"


def _sentence(text: Any) -> str:
    line = one_line(text)
    return line if line.endswith((".", "?", "!")) else f"{line}."


def findings(reviews: Mapping[str, Any]) -> list[str]:
    """Findings and waivers of an accepted set."""
    return _shared(
        (host, *_finding(finding))
        for host, review in reviews.items()
        for finding in [*review.get("findings", []), *review.get("waived", [])]
    )


def fleet_lines(findings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Findings about several hosts at once."""
    return [f"{names(finding.get('hosts') or ['all hosts'])}: {_finding(finding)[1]}" for finding in findings]


def plan_lines(plan: Mapping[str, Any], reviews: Mapping[str, Any]) -> list[str]:
    """The waves, before anything starts."""
    keys = {len(review["plan"]) for review in reviews.values()}
    amount = count(keys.pop(), "key") if len(keys) == 1 else f"{min(keys)} to {max(keys)} keys"
    hosts, waves = count(len(plan["hosts"]), "host"), count(len(plan["waves"]), "wave")
    lines = [f"Rollout {plan['rollout_id']}: {amount} on {hosts} in {waves}"]
    for wave in plan["waves"]:
        line = f"  wave {wave['number']}: {count(len(wave['hosts']), 'host')}: {names(wave['hosts'])}"
        lines.append(f"{line} (beside {names(wave['controls'])})" if wave["controls"] else line)
    return lines


# A wave


def started_lines(started: Mapping[str, Any], check_mode: bool) -> list[str]:
    """What the trial changed on each host, or would change."""
    verb = "would change" if check_mode else "changed"
    return shared({host: _started(result, verb) for host, result in started.items()})


def _started(result: Mapping[str, Any], verb: str) -> list[str]:
    if result.get("unreachable"):
        return ["was lost while the set was put on trial: " + one_line(result.get("msg"))]
    if result.get("failed"):
        return ["the set could not be put on trial: " + _module_failure(result)]
    if not result:
        return []
    if not result.get("changed"):
        return ["has the set already"]
    changes = _changes(result.get("values", {}))
    effects = [f"{change} with them" for change in _changes(result.get("side_effects", {}))]
    if not changes:
        return ["every value is live already, only the file is new"]
    return [f"{count(len(changes), 'key')} {verb}: " + "; ".join(changes + effects)]


def _changes(values: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [f"{key} {pair['before']} -> {pair['after']}" for key, pair in values.items()]


def silent(result: Mapping[str, Any]) -> bool:
    """Whether the host did not answer: unreachable, or not within the time of its task."""
    return bool(result.get("unreachable")) or timed_out(result)


def timed_out(result: Mapping[str, Any]) -> bool:
    """As two ansible-core say it."""
    return bool(_TIMED_OUT.search(str(result.get("msg", ""))))


def failures(*results: Mapping[str, Any]) -> list[str]:
    """Hosts on which one of the tasks failed, with its message."""
    failed = {}
    for result_of in results:
        for host, result in result_of.items():
            if result.get("failed") or result.get("unreachable"):
                failed[host] = [one_line(result.get("msg"))]
    return shared(failed)


def undone_lines(undone: Mapping[str, Any]) -> list[str]:
    """What rolling back did on each host."""
    return shared({host: how_undone(result) for host, result in undone.items()})


def how_undone(result: Mapping[str, Any]) -> list[str]:
    if silent(result):
        return ["does not answer: its own guard rolls back in time"]
    if result.get("failed"):
        return ["NOT rolled back: " + _module_failure(result)]
    trial = result.get("trial", {})
    drift = result.get("drift") or []
    lines = [f"{item['key']} left alone: it is {item['found']}, not {item['expected']}" for item in drift]
    if result.get("changed"):
        return ["rolled back", *lines]
    if trial.get("state") == "rolled_back":
        return [f"had rolled back by itself: {trial.get('reason')}", *lines]
    return ["nothing to undo"]
