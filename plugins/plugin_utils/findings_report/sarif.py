# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SARIF 2.1.0. A finding that many hosts share is one result that names them all: consumers limit the number of
results, and nobody reads ten thousand alerts about one line.
"""

from __future__ import annotations

import hashlib
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import account
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.places import Place
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.reviews import Fleet, RawFinding, Review
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.fleet import RULES, FleetRule
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Rule, rules

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HOME = "https://github.com/nettune/kernel"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_ALL = "all hosts"
# Findings about waivers come from no rule.
_OF_WAIVERS = {
    "waiver.expired": ("warning", "The last day of a waiver has passed, so it covers nothing any more."),
    "waiver.unused": ("info", "A waiver covers nothing; left behind, it will one day hide what nobody has seen."),
}


def log(reviews: Iterable[Review], root: Path, fleet: Fleet | None = None) -> dict[str, Any]:
    """root: files below it are named relative to it, as in a checkout."""
    descriptors = [*map(_rule, rules()), *map(_rule, RULES)]
    descriptors += [_descriptor(name, severity, said, ()) for name, (severity, said) in _OF_WAIVERS.items()]
    index = {descriptor["id"]: number for number, descriptor in enumerate(descriptors)}
    results: dict[tuple[Any, ...], _Result] = {}
    problems = []
    for review in reviews:
        if review.problem is not None:
            problems.append(_notification(review.host, review.problem))
        for finding in (*review.findings, *review.waived):
            result = _Result(finding, review.places.of_finding(finding["keys"]))
            results.setdefault(result.identity, result).hosts.append(review.host)
    together = list(_together(fleet)) if fleet is not None else []
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "nettune.kernel", "informationUri": _HOME, "rules": descriptors}},
                "invocations": [{"executionSuccessful": not problems, "toolExecutionNotifications": problems}],
                "columnKind": "unicodeCodePoints",
                "results": [result.as_dict(index, root) for result in (*results.values(), *together)],
            }
        ],
    }


def _rule(rule: Rule | FleetRule) -> dict[str, Any]:
    return _descriptor(rule.id, rule.severity, rule.documentation, rule.references)


def _descriptor(name: str, severity: str, documentation: str, references: Iterable[str]) -> dict[str, Any]:
    family = name.partition(".")[0]
    paragraphs = [" ".join(part.split()) for part in documentation.split("\n\n") if part.strip()] or [name]
    read = [f"Read: {'; '.join(references)}"] if references else []
    described = {
        "id": name,
        "shortDescription": {"text": paragraphs[0]},
        "fullDescription": {"text": "\n\n".join(paragraphs)},
        "help": {"text": "\n\n".join([*paragraphs, *read])},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"tags": ["sysctl", family]},
    }
    if name not in _OF_WAIVERS:
        described["helpUri"] = f"{_HOME}/blob/main/docs/rules/{family}.md#{name.replace('.', '')}"
    return described


class _Result:
    """One finding, with the hosts that share it word for word.

    Or one about several hosts at once, which its message names: `number` tells it from others of its rule and keys.
    """

    def __init__(
        self, finding: RawFinding, places: tuple[tuple[str | None, Place | None], ...], number: int | None = None
    ) -> None:
        self.finding = finding
        self.places = places
        self.number = number
        self.hosts: list[str] = []

    @property
    def identity(self) -> tuple[Any, ...]:
        said = (self.finding[part] for part in ("rule", "severity", "message", "reason", "fix"))
        return (*said, self.finding.get("waiver"), self.places)

    def as_dict(self, index: Mapping[str, int], root: Path) -> dict[str, Any]:
        finding = self.finding
        parts = [finding["message"], finding["reason"], f"Instead: {finding['fix']}"]
        # What tells two alerts apart. Not the hosts: an alert stays the same one when a host joins.
        lasting = [finding["rule"], *finding["keys"]]
        if self.number is None:
            parts.append(f"({account.count(len(self.hosts), 'host')}: {account.names(self.hosts)})")
            lasting.append(finding["message"])
        else:
            lasting.append(str(self.number))
        fingerprint = hashlib.sha256("\0".join(lasting).encode("utf-8", "backslashreplace")).hexdigest()[:32]
        result = {
            "ruleId": finding["rule"],
            "level": _LEVELS[finding["severity"]],
            "message": {"text": " ".join(parts)},
            "locations": list(self._locations(root)),
            # Under this name code hosting services look for it.
            "partialFingerprints": {"primaryLocationLineHash": fingerprint},
            "occurrenceCount": len(self.hosts) if self.number is None else 1,
        }
        if finding["rule"] in index:
            result["ruleIndex"] = index[finding["rule"]]
        if "waiver" in finding:
            result["suppressions"] = [
                {"kind": "external", "status": "accepted", "justification": str(finding["waiver"])}
            ]
        return result

    def _locations(self, root: Path) -> Iterator[dict[str, Any]]:
        for key, place in self.places:
            location: dict[str, Any] = {"logicalLocations": [_logical(host, key) for host in self.hosts]}
            if place is not None:
                location["physicalLocation"] = _physical(place, root)
            yield location


def _together(fleet: Fleet) -> Iterator[_Result]:
    numbers: Counter[tuple[str, ...]] = Counter()
    for finding in (*fleet.findings, *fleet.waived):
        kind = (finding["rule"], *finding["keys"])
        result = _Result(finding, fleet.places_of(finding).of_finding(finding["keys"]), numbers[kind])
        result.hosts = list(finding.get("hosts", ())) or [_ALL]
        numbers[kind] += 1
        yield result


def _logical(host: str, key: str | None) -> dict[str, Any]:
    if key is None:
        return {"name": host, "fullyQualifiedName": host, "kind": "host"}
    return {"name": key, "fullyQualifiedName": f"{host}/{key}", "kind": "sysctl"}


def _physical(place: Place, root: Path) -> dict[str, Any]:
    path = Path(place.path).expanduser().resolve()
    if path.is_relative_to(root):
        artifact = {"uri": urllib.parse.quote(path.relative_to(root).as_posix()), "uriBaseId": "%SRCROOT%"}
    else:
        artifact = {"uri": path.as_uri()}
    return {"artifactLocation": artifact, "region": {"startLine": place.line or 1}}


def _notification(host: str, problem: str) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": f"{host}: {problem}"},
        "locations": [{"logicalLocations": [_logical(host, None)]}],
    }
