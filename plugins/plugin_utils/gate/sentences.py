# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts and progress in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.nettune.kernel.plugins.module_utils._evidence import per_thousand
from ansible_collections.nettune.kernel.plugins.plugin_utils.account import count, failures
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.counting import Pair
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.evidence import (
    OBSERVER,
    WAVE,
    Test,
    odds,
)

if TYPE_CHECKING:
    from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.verdict import Verdict

_NAMED = 5


def evidence(test: Test) -> str:
    """Why a wave is rolled back: counts, rates beside what they are compared with, evidence against its limit."""
    return (
        f"too many {test.group.event}s {_where(test)}: "
        f"{_rate(test, test.seen)} ({', '.join([*_references(test), f'expected {test.rates.expected()[0]:.1f}'])}); "
        f"evidence {_odds(test.log_evidence)}, limit {_odds(test.log_limit)}"
    )


def missing(held: Sequence[Test]) -> list[str]:
    """What keeps a wave from being promoted."""
    return [
        f"{count(test.needed, f'more {test.group.exposure}')} without a {test.group.event} "
        f"{'is' if test.needed == 1 else 'are'} needed"
        if test.needed
        else f"{test.group.event}s {_where(test)} may be rising "
        f"({_rate(test, test.seen)}; evidence {_odds(test.log_evidence)}, limit {_odds(test.log_limit)})"
        for test in held[:_NAMED]
    ]


def summary(tried: Sequence[Test]) -> str:
    """What was counted on the wave."""
    of_wave = {test.group.name: test for test in tried if test.kind == WAVE}
    rejects = of_wave.get("timestamp_rejects")
    if not rejects:
        return "nothing was seen yet"
    beside = _references(rejects)
    parts = [_rate(rejects, rejects.seen) + (f" ({', '.join(beside)})" if beside else "")]
    failed, slow = of_wave.get("connects"), of_wave.get("slow_connects")
    if failed and slow:
        parts.append(_connects(failed.seen, slow.seen, " connects"))
        if failed.beside and slow.beside:
            others = _connects(failed.beside.total("connects"), slow.beside.total("slow_connects"))
            parts[-1] += f" ({failed.beside.name} {others})"
    return "; ".join(parts)


def progress(observations: Mapping[str, Any], verdict: Verdict) -> str:
    """One line while a wave soaks."""
    elapsed = observations["looks"][-1]["elapsed"] if observations["looks"] else 0
    line = f"+{elapsed:.0f} s  {summary(verdict.tests)}"
    strongest = verdict.strongest
    if strongest is None:
        return line
    return f"{line}; evidence {_odds(strongest.log_evidence)} of {_odds(strongest.log_limit)}" + (
        f" ({strongest.group.event}s, {strongest.subject})" if strongest.log_evidence > 0 else ""
    )


def not_counted(verdict: Verdict) -> str:
    """Who is of no use, as one more sentence."""
    return f" Not counted: {named(verdict.left_out)}." if verdict.left_out else ""


def blame(started: Mapping[str, Any], judged: Mapping[str, Any], confirmed: Mapping[str, Any]) -> tuple[str, bool]:
    """Why a wave is rolled back, and whether that is evidence against the set: its verdict, or whatever else failed."""
    if judged.get("verdict") and judged.get("failed"):
        return str(judged["reason"]), bool(judged.get("evidence"))
    return "; ".join(failures(started, confirmed)) or "the wave failed, though not by its verdict", False


def named(reasons: Mapping[str, str]) -> str:
    shown = [f"{name} ({reason})" for name, reason in list(reasons.items())[:_NAMED]]
    more = len(reasons) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _where(test: Test) -> str:
    if test.group.exposure == "connect":
        return f"to {test.subject}"
    return f"seen by {test.subject}" if test.kind == OBSERVER else f"on {test.subject}"


def _rate(test: Test, pair: Pair) -> str:
    events, opened = pair
    return (
        f"{count(events, test.group.event)} in {count(opened, test.group.exposure)}, "
        f"{per_thousand(events, opened):.1f} per 1,000"
    )


def _references(test: Test) -> list[str]:
    pairs = [(test.beside.name, test.beside.total(test.group.name))] if test.beside else []
    pairs.append(("before", test.before))
    return [f"{name} {per_thousand(*pair):.1f}" for name, pair in pairs if pair[1]]


def _connects(failed: Pair, slow: Pair, noun: str = "") -> str:
    return f"{failed[0]} of {failed[1]}{noun} failed, {slow[0] - failed[0]} slow"


def _odds(log_evidence: float) -> str:
    return f"{odds(log_evidence):,.0f} to 1"
