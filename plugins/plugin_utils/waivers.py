# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: findings that somebody accepted in writing, perhaps until a day."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._sysctl_key import InvalidKey, canonical
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import Finding, UnusableRequest

_FIELDS = ("rule", "reason", "keys", "hosts", "expires")


class InvalidWaiver(UnusableRequest):
    """A waiver that cannot be understood."""


@dataclass(frozen=True)
class Waiver:
    """Covers a finding of the rule whose keys are all named (none named: any), on the hosts named (none named: any)."""

    rule: str
    reason: str
    keys: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    expires: datetime.date | None = None

    def expired(self, today: datetime.date) -> bool:
        return self.expires is not None and today > self.expires

    def concerns(self, host: str) -> bool:
        return not self.hosts or any(fnmatch.fnmatchcase(host, pattern) for pattern in self.hosts)

    def covers(self, finding: Finding) -> bool:
        """Of a finding about several hosts, it covers all or none."""
        of_keys = not self.keys or self.keys.issuperset(finding.keys)
        return finding.rule == self.rule and of_keys and all(map(self.concerns, finding.hosts))

    def waived(self, finding: Finding) -> dict[str, Any]:
        """The finding with what waives it, in plain types."""
        return {
            **finding.as_dict(),
            "waiver": self.reason,
            "expires": self.expires.isoformat() if self.expires else None,
        }


def read(raw: object, rules: Mapping[str, bool]) -> list[Waiver]:
    """rules: id -> whether its findings can be waived. Raises InvalidWaiver."""
    if raw is None or raw == "":
        return []
    if not isinstance(raw, (list, tuple)):
        raise InvalidWaiver("waivers must be a list of dictionaries with rule and reason")
    return [_read_one(number, item, rules) for number, item in enumerate(raw, 1)]


def _read_one(number: int, item: object, rules: Mapping[str, bool]) -> Waiver:
    if not isinstance(item, Mapping):
        raise InvalidWaiver(f"waiver {number} must be a dictionary with rule and reason")
    for field in item:
        if field not in _FIELDS:
            raise InvalidWaiver(f"waiver {number} has no field {field!r}: it has {', '.join(_FIELDS)}")
    rule, reason = item.get("rule"), item.get("reason")
    if not isinstance(rule, str) or rule not in rules:
        raise InvalidWaiver(
            f"waiver {number} names the rule {rule!r}, which does not exist: take the rule of the finding"
        )
    if not rules[rule]:
        raise InvalidWaiver(f"waiver {number}: {rule} cannot be waived, for what it finds cannot be applied at all")
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidWaiver(f"waiver {number} of {rule} has no reason: write why the finding is accepted")
    try:
        keys = frozenset(canonical(key) for key in _texts(number, item, "keys"))
    except InvalidKey as problem:
        raise InvalidWaiver(f"waiver {number} of {rule}: {problem}") from problem
    return Waiver(str(rule), str(reason).strip(), keys, tuple(_texts(number, item, "hosts")), _date(number, item))


def _texts(number: int, item: Mapping[str, object], field: str) -> list[str]:
    value = item.get(field)
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(one, str) for one in listed):
        raise InvalidWaiver(f"waiver {number}: {field} must be a list of names")
    return [str(one) for one in listed]


def _date(number: int, item: Mapping[str, object]) -> datetime.date | None:
    value = item.get("expires")
    if value is None:
        return None
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):  # YAML reads an unquoted 2027-12-31 so
        return value
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise InvalidWaiver(f"waiver {number}: expires {value!r} is not a date such as 2027-12-31") from None


def apply(
    waivers: Iterable[Waiver], findings: Iterable[Finding], host: str | None, today: datetime.date
) -> tuple[list[Finding], list[tuple[Finding, Waiver]]]:
    """(findings that remain, findings waived); a waiver that is expired or covers nothing becomes a finding itself.

    host: None for findings about several hosts.
    """
    concerned = [waiver for waiver in waivers if host is None or waiver.concerns(host)]
    remaining: list[Finding] = []
    waived: list[tuple[Finding, Waiver]] = []
    used = set()
    for finding in findings:
        covering = [waiver for waiver in concerned if waiver.covers(finding)]
        used.update(covering)
        valid = [waiver for waiver in covering if not waiver.expired(today)]
        if valid:
            waived.append((finding, valid[0]))
        else:
            remaining.append(finding)
    for waiver in concerned:
        if waiver.expired(today):
            remaining.append(_expired(waiver))
        elif waiver not in used:
            remaining.append(_unused(waiver, "the hosts together" if host is None else "this host"))
    return remaining, waived


def _expired(waiver: Waiver) -> Finding:
    return Finding(
        "waiver.expired",
        "warning",
        tuple(sorted(waiver.keys)),
        f"The waiver of {waiver.rule} ended on {waiver.expires}.",
        f"It was given because: {waiver.reason}",
        "Change the set so that the finding goes, or decide again and write a new date.",
    )


def _unused(waiver: Waiver, where: str) -> Finding:
    return Finding(
        "waiver.unused",
        "info",
        tuple(sorted(waiver.keys)),
        f"The waiver of {waiver.rule} covers nothing on {where}.",
        "A waiver that is left behind will one day hide a finding that nobody has seen.",
        "Remove it, or narrow it with hosts.",
    )
