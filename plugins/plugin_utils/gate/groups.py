# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted, and from where on it matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._counters import RESETS
from ansible_collections.nettune.kernel.plugins.module_utils._evidence import opens, timestamp_rejects

# The kernel counts an overflow and a full SYN queue among the drops, and each SYN cookie twice.
_QUEUE_DROPS = ("TcpExt.ListenDrops", "TcpExt.TCPReqQFullDoCookies", "TcpExt.TCPTimeWaitOverflow")

# Set against new connections of others.
COUNTERS = ("timestamp_rejects", "queue_drops", "resets")
# Set against our own. Failed ones, and those that failed or were slow: a dropped SYN may do either.
CONNECTS = ("connects", "slow_connects")
GROUPS = COUNTERS + CONNECTS


@dataclass(frozen=True)
class Limits:
    # Probability of rolling back a set that does no harm, for all groups, hosts and looks together.
    alpha: float = 0.01
    # So many times what was to be expected is tolerated.
    ratio: float = 1.5
    # Probability of promoting a set that is at the limit for promotion.
    beta: float = 0.05
    promote_ratio: float = 3.0
    promote_rejects_per_1000: float = 40.0
    promote_failed_connects_percent: float = 15.0
    # A wave that saw fewer connections than this has proved nothing.
    min_opens: int = 20
    # Fewer events than min_... are no evidence, and lower rates than max_... are no damage.
    min_rejects: int = 10
    max_rejects_per_1000: float = 5.0
    min_queue_drops: int = 20
    max_queue_drops_per_1000: float = 10.0
    min_resets: int = 50
    max_resets_per_1000: float = 50.0
    min_failed_connects: int = 3
    max_failed_connects_percent: float = 2.0
    min_slow_connects: int = 3
    max_slow_connects_percent: float = 5.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in ("alpha", "beta") and not 0 < value < 1:
                raise ValueError(f"{name} is a probability between 0 and 1, and {value} is none")
            if ("ratio" in name or name.startswith("promote")) and value <= 0:
                raise ValueError(f"{name} must be above 0, and is {value}")
            if value < 0:
                raise ValueError(f"{name} must not be negative, and is {value}")


# The same as options of modules. Without defaults: a record has limits of its own.
LIMITS_SPEC = {item.name: {"type": type(item.default).__name__} for item in fields(Limits)}


def limits_of(given: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> Limits:
    """Those that are given, as options of a module; others are as stored, or else have their defaults."""
    return Limits(**{**(stored or {}), **{name: value for name, value in given.items() if value is not None}})


@dataclass(frozen=True)
class Group:
    name: str
    event: str
    exposure: str
    min_events: int
    floor_per_1000: float
    # The rate that must be excluded before promotion. None: too noisy for that, only evidence counts.
    promote_per_1000: float | None = None


def groups(limits: Limits) -> list[Group]:
    promote_connects = 10 * limits.promote_failed_connects_percent
    return [
        Group(
            "timestamp_rejects",
            "timestamp reject",
            "connection",
            limits.min_rejects,
            limits.max_rejects_per_1000,
            limits.promote_rejects_per_1000,
        ),
        Group("queue_drops", "queue drop", "connection", limits.min_queue_drops, limits.max_queue_drops_per_1000),
        Group("resets", "reset", "connection", limits.min_resets, limits.max_resets_per_1000),
        Group(
            "connects",
            "failed connect",
            "connect",
            limits.min_failed_connects,
            10 * limits.max_failed_connects_percent,
            promote_connects,
        ),
        Group(
            "slow_connects",
            "slow or failed connect",
            "connect",
            limits.min_slow_connects,
            10 * limits.max_slow_connects_percent,
            promote_connects,
        ),
    ]


# (opens, timestamp rejects, queue drops, resets)
Counts = tuple[int, int, int, int]


def counts(rise: Mapping[str, int]) -> Counts:
    """What a host counted between two samples, by group."""
    return (
        opens(rise),
        timestamp_rejects(rise),
        sum(rise.get(name, 0) for name in _QUEUE_DROPS),
        sum(rise.get(name, 0) for name in RESETS),
    )
