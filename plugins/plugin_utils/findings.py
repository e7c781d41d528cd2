# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule says of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class UnusableRequest(ValueError):
    """What was asked makes no sense, whatever the set says; the message is a sentence for people, without its full
    stop.
    """


# From the worst to the mildest.
SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """error: will break or will not apply. warning: probably not wanted. info: no effect, or folklore."""

    rule: str
    severity: str
    keys: tuple[str, ...]
    message: str
    reason: str
    fix: str
    references: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "severity": self.severity,
            "keys": list(self.keys),
            "message": self.message,
            "reason": self.reason,
            "fix": self.fix,
            "references": list(self.references),
        }
