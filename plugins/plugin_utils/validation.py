# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of a sysctl set for one host: findings, plan and verdict. Works from facts alone and changes nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import boot_order, facts, settings, topology, waivers
from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import (
    SEVERITIES,
    Finding,
    UnusableRequest,
    counted,
    told,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import catalogue
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules import fleet
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import FLEET, applicable, waivable

DEFAULT_FILE = "/etc/sysctl.d/90-nettune.conf"
FAIL_ON = ("error", "warning", "never")


@dataclass(frozen=True)
class Planned:
    """One key of the plan. None is unknown."""

    key: str
    now: str | None
    proposed: str
    after_boot: str | None
    why: str | None


@dataclass(frozen=True)
class Validation:
    host: str
    plan: tuple[Planned, ...]
    findings: tuple[Finding, ...]
    waived: tuple[tuple[Finding, waivers.Waiver], ...]
    rejected: bool
    member: fleet.Member

    def as_dict(self) -> dict[str, Any]:
        """Plain types, as the action returns them."""
        return {
            "findings": [finding.as_dict() for finding in self.findings],
            "waived": [waiver.waived(finding) for finding, waiver in self.waived],
            "plan": [
                {
                    "key": item.key,
                    "now": item.now,
                    "proposed": item.proposed,
                    "after_boot": item.after_boot,
                    "why": item.why,
                }
                for item in self.plan
            ],
            "verdict": "rejected" if self.rejected else "accepted",
            "member": self.member.as_dict(),
        }


def read_set(sysctl: object, sysctl_conf: object) -> settings.SysctlSet:
    """Exactly one of a dictionary and a text. Raises UnusableRequest."""
    if (sysctl is None) == (sysctl_conf is None):
        raise UnusableRequest("give one of sysctl (a dictionary) and sysctl_conf (text in sysctl.d syntax)")
    if sysctl_conf is not None:
        if not isinstance(sysctl_conf, str):
            raise UnusableRequest("sysctl_conf must be text in sysctl.d syntax")
        return settings.from_text(sysctl_conf)
    if not isinstance(sysctl, Mapping):
        raise UnusableRequest("sysctl must be a dictionary of keys and values")
    return settings.from_mapping(sysctl)


def validate(
    host: str,
    raw_facts: object,
    sysctl: object = None,
    sysctl_conf: object = None,
    declared_topology: object = None,
    raw_waivers: object = None,
    reasons: object = None,
    file: object = None,
    fail_on: object = "error",
    today: datetime.date | None = None,
    stratum: str = "",
) -> Validation:
    """Raises UnusableRequest for facts, topology, waivers or options; whatever the set holds becomes findings.

    stratum: what tells this host apart, beside kernel and role, from hosts that it may differ from.
    """
    if fail_on not in FAIL_ON:
        raise UnusableRequest(f"fail_on {fail_on!r} is unknown: write one of {', '.join(FAIL_ON)}")
    today = today or datetime.date.today()
    context = examine(host, raw_facts, sysctl, sysctl_conf, declared_topology, reasons, file, today)
    # What several hosts are to each other is not waived host by host.
    accepted = [waiver for waiver in waivers.read(raw_waivers, waivable()) if not waiver.rule.startswith(f"{FLEET}.")]
    found = [finding for rule in applicable(frozenset(context.proposed)) for finding in rule.findings(context)]
    remaining, waived = waivers.apply(accepted, found, host, today)
    # The worst first; within a severity as the rules are ordered.
    remaining.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Validation(
        host=host,
        plan=tuple(_plan(context)),
        findings=tuple(remaining),
        waived=tuple(waived),
        rejected=rejects(remaining, "error" if fail_on == "never" else str(fail_on)),
        member=fleet.member(context, [stratum] if stratum else ()),
    )


def rejects(findings: Iterable[Finding], fail_on: str) -> bool:
    """Whether one of them is as severe as fail_on."""
    blocking = {"error": ("error",), "warning": ("error", "warning"), "never": ()}[fail_on]
    return any(finding.severity in blocking for finding in findings)


def examine(
    host: str,
    raw_facts: object,
    sysctl: object = None,
    sysctl_conf: object = None,
    declared_topology: object = None,
    reasons: object = None,
    file: object = None,
    today: datetime.date | None = None,
) -> Context:
    """What the rules get to see of one host."""
    path = _file(file)
    given = read_set(sysctl, sysctl_conf)
    known = facts.read(raw_facts)
    given = settings.expand(given, known.sysctl)
    return Context(
        host=host,
        facts=known,
        topology=topology.resolve(declared_topology, known.topology),
        catalogue=catalogue(),
        given=given,
        file=path,
        winners=_winners(known, given, path),
        today=today or datetime.date.today(),
        reasons=_reasons(reasons),
    )


def review_fleet(
    members: Iterable[fleet.Member], raw_waivers: object = None, today: datetime.date | None = None
) -> tuple[list[Finding], list[tuple[Finding, waivers.Waiver]]]:
    """(findings about hosts that do not fit each other, those that a waiver covers for all their hosts).

    Raises UnusableRequest for waivers.
    """
    accepted = [waiver for waiver in waivers.read(raw_waivers, waivable()) if waiver.rule.startswith(f"{FLEET}.")]
    return waivers.apply(accepted, fleet.review_fleet(members), None, today or datetime.date.today())


def _file(given: object) -> str:
    if given is None:
        return DEFAULT_FILE
    plain = isinstance(given, str) and given.startswith("/") and given.endswith(".conf") and given.isprintable()
    if not plain or ".." in str(given).split("/"):
        raise UnusableRequest(f"file {given!r:.100} is not the absolute path of a .conf file, such as {DEFAULT_FILE}")
    return str(given)


def _winners(
    known: facts.Facts, given: settings.SysctlSet, file: str
) -> Mapping[str, boot_order.Assignment | None] | None:
    if known.sysctl_files is None:
        return None
    proposed = {key: value for key, value in given.proposed.items() if not settings.is_glob(key)}
    files = boot_order.with_set(known.sysctl_files, file, proposed)
    order = boot_order.boot_order(files, procps=known.service_manager == "other")
    return {key: order.winner(key) for key in proposed}


def _plan(context: Context) -> list[Planned]:
    planned = []
    for key, value in context.proposed.items():
        winner = context.winners.get(key) if context.winners is not None else None
        planned.append(
            Planned(key, context.now(key), value, winner.value if winner else None, context.reasons.get(key))
        )
    return planned


def _reasons(raw: object) -> dict[str, str]:
    if raw is None or raw == "":
        return {}
    if not isinstance(raw, Mapping):
        raise UnusableRequest("reasons must be a dictionary of keys and texts")
    why = {}
    for key, text in raw.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise UnusableRequest(f"reasons: {key!r} must be a key with a text")
        setting = settings.from_mapping({key: text}).settings[0]
        if setting.key is None:
            raise UnusableRequest(f"reasons: {setting.problem}")
        why[setting.key] = " ".join(str(text).split())
    return why


def review(result: Validation) -> str:
    """What a colleague would say of the set, as text."""
    findings = [finding.as_dict() for finding in result.findings]
    verdict = "rejected" if result.rejected else "accepted"
    lines = [f"{result.host}: the sysctl set is {verdict}" + (f" ({counted(findings)})." if findings else ".")]
    for finding in findings:
        lines += ["", *told(finding)]
    for waived, waiver in result.waived:
        until = f" until {waiver.expires}" if waiver.expires else ""
        lines += ["", f"waived {waived.rule} {', '.join(waived.keys)}".rstrip(), f"  {waived.message}"]
        lines.append(f"  Accepted{until}: {waiver.reason}")
    # Facts come from the host: what they hold must not steer a terminal.
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in "\n".join(lines))
