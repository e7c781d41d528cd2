# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan that outlives its run, so that a rollout can go on wave by wave: in a file, or as a variable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import account, clock
from ansible_collections.nettune.kernel.plugins.plugin_utils.atomic_file import replacing

REST = "rest"
_GOOD = ("confirmed", "settled")
_HOST_LISTS = ("hosts", "controls", "earlier")


@dataclass(frozen=True)
class Handover:
    rollout_id: str
    waves: list[dict[str, Any]]
    # A digest of the set of each host.
    sets: dict[str, str]
    # The waves up to this one are confirmed.
    confirmed: int = 0

    def text(self) -> str:
        return json.dumps(vars(self), separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True)
class Now:
    """The fleet as it is found before a later wave."""

    sets: Mapping[str, str]
    # Hosts with another live value than the set wants.
    without_set: Collection[str]
    inventory: Container[str]
    record: Mapping[str, Any] | None = None


def wave_number(text: str) -> int | str:
    """Of tune_wave."""
    if text == REST:
        return REST
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ValueError(f"tune_wave is {text!r}: write the number of a wave, or {REST} for all that are left")


def digest(settings: Sequence[Mapping[str, Any]]) -> str:
    """Of what is proposed for a host, in whatever order."""
    proposed = sorted((item["key"], item["proposed"]) for item in settings)
    return hashlib.sha256(json.dumps(proposed).encode()).hexdigest()[:12]


def write(handover: Handover, path: Path) -> None:
    with replacing(path) as stream:
        stream.write(handover.text() + "\n")


def read(content: Any, name: str) -> Handover:
    """From the text of a file, or from a variable."""
    try:
        values = content if isinstance(content, Mapping) else json.loads(content)
        handover = Handover(
            rollout_id=str(values["rollout_id"]),
            waves=[
                {
                    "number": int(wave["number"]),
                    **{part: [str(host) for host in wave[part]] for part in _HOST_LISTS},
                }
                for wave in values["waves"]
            ],
            sets={str(host): str(value) for host, value in values["sets"].items()},
            confirmed=int(values["confirmed"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{name} is no plan of a rollout: take it from the run with tune_wave 1, unchanged") from None
    if [wave["number"] for wave in handover.waves] != list(range(1, len(handover.waves) + 1)):
        raise ValueError(f"{name} is no whole plan of a rollout: take it from the run with tune_wave 1, unchanged")
    return handover


def resume(handover: Handover, wave: int | str, now: Now) -> tuple[Handover, list[int]]:
    """The plan with the hosts that are there now, and the numbers of the waves to run.

    Raises ValueError with a sentence where the rollout must not go on.
    """
    name = f"rollout {handover.rollout_id}"
    record = now.record or {"waves": []}
    if record.get("deadline") and record["deadline"] > clock.stamp():
        raise ValueError(f"A wave of {name} is on trial until {record['deadline']}: wait for its end")
    outcomes = {wave["number"]: wave["outcome"] for wave in record["waves"]}
    undone = sorted(number for number, outcome in outcomes.items() if outcome == "rolled_back")
    if undone:
        raise ValueError(f"Wave {undone[0]} of {name} was rolled back: correct the set and begin a new rollout")
    present = [
        {
            **item,
            **{part: [host for host in item[part] if host in now.sets] for part in _HOST_LISTS},
        }
        for item in handover.waves
    ]
    # Of whom a limit keeps out, nobody knows; who left the inventory needs no confirming.
    gone = {item["number"] for item in handover.waves if not any(host in now.inventory for host in item["hosts"])}
    confirmed = handover.confirmed
    while outcomes.get(confirmed + 1) in _GOOD or confirmed + 1 in gone:
        confirmed += 1
    absent = {
        item["number"]: left_out
        for item in handover.waves
        if (left_out := [host for host in item["hosts"] if host in now.inventory and host not in now.sets])
    }
    numbers = _numbers(present, wave, confirmed, gone, absent, name)
    _check_sets(handover, now, name)
    for item in present[:confirmed]:
        lacking = [host for host in item["hosts"] if host in now.without_set]
        if lacking:
            raise ValueError(
                f"Wave {item['number']} of {name} does not hold any more: {account.names(lacking)} no longer "
                f"{'has' if len(lacking) == 1 else 'have'} the set. Find out why, and begin a new rollout"
            )
    return replace(handover, waves=present, confirmed=confirmed), numbers


def _numbers(
    waves: Sequence[Mapping[str, Any]],
    wave: int | str,
    confirmed: int,
    gone: Collection[int],
    absent: Mapping[int, Sequence[str]],
    name: str,
) -> list[int]:
    following = [number for number in range(confirmed + 1, len(waves) + 1) if number not in gone]
    if not following:
        raise ValueError(f"All waves of {name} are confirmed: there is nothing left to do")
    asked = following if wave == REST else [int(wave)]
    for number in asked:
        if number > len(waves):
            raise ValueError(f"There is no wave {number}: {name} has {account.count(len(waves), 'wave')}")
        if number in gone:
            raise ValueError(f"Wave {number} of {name} has no host left: the next is wave {following[0]}")
        if number <= confirmed:
            raise ValueError(f"Wave {number} of {name} is confirmed already: the next is wave {following[0]}")
        if number != following[0] and wave != REST:
            raise ValueError(f"Wave {number} of {name} must wait: wave {following[0]} is not confirmed")
        if number in absent:
            # Run without them, the wave would count as confirmed, and nobody would ever come back for them.
            raise ValueError(
                f"This run leaves out {account.names(absent[number])} of wave {number} of {name}: "
                "check tune_hosts and --limit, or begin a new rollout"
            )
    return asked


def _check_sets(handover: Handover, now: Now, name: str) -> None:
    other = [host for host, value in now.sets.items() if handover.sets.get(host, value) != value]
    if other:
        raise ValueError(
            f"Another set was planned by {name} for {account.names(other)}: give the same set, or begin a new rollout"
        )
