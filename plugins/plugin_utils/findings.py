# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule says of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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
    # Of a finding about several hosts at once: those to change.
    hosts: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "severity": self.severity,
            "keys": list(self.keys),
            "message": self.message,
            "reason": self.reason,
            "fix": self.fix,
            "references": list(self.references),
            **({"hosts": list(self.hosts)} if self.hosts else {}),
        }


def told(finding: Mapping[str, Any]) -> list[str]:
    """A finding as a colleague would write it, in lines."""
    lines = [" ".join([finding["severity"], finding["rule"], ", ".join(finding["keys"])]).rstrip()]
    lines += [f"  {finding['message']}", f"  Why: {finding['reason']}", f"  Instead: {finding['fix']}"]
    if finding["references"]:
        lines.append(f"  Read: {'; '.join(finding['references'])}")
    return lines


def counted(findings: Iterable[Mapping[str, Any]]) -> str:
    """3 errors, 1 warning."""
    by_severity = Counter(finding["severity"] for finding in findings)
    said = [(severity, by_severity[severity]) for severity in SEVERITIES if by_severity[severity]]
    return ", ".join(f"{number} {name}" + ("s" if number > 1 and name != "info" else "") for name, number in said)
