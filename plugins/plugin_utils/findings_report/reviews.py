# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is reported of each host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import SEVERITIES
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.places import NOWHERE, Places, of_set

RawFinding = Mapping[str, Any]


@dataclass(frozen=True)
class Review:
    """Of one host. problem: why it could not be validated; there is nothing else then."""

    host: str
    problem: str | None = None
    rejected: bool = False
    findings: tuple[RawFinding, ...] = ()
    waived: tuple[RawFinding, ...] = ()
    plan: tuple[Mapping[str, Any], ...] = ()
    text: str = ""
    places: Places = NOWHERE
    fail_on: str = "error"

    @property
    def failed(self) -> bool:
        return self.problem is not None or (self.rejected and self.fail_on != "never")

    def rejects(self, finding: RawFinding) -> bool:
        """Whether the finding is one for which the set is rejected."""
        return _rejects(finding, self.fail_on)

    def as_dict(self) -> dict[str, Any]:
        if self.problem is not None:
            return {"verdict": None, "problem": self.problem}
        return {
            "verdict": "rejected" if self.rejected else "accepted",
            "findings": [_placed(finding, self.places) for finding in self.findings],
            "waived": [_placed(finding, self.places) for finding in self.waived],
            "plan": list(self.plan),
        }


@dataclass(frozen=True)
class Fleet:
    """Of the hosts together. A finding names its hosts; its places are those of the first whose set has them."""

    findings: tuple[RawFinding, ...] = ()
    waived: tuple[RawFinding, ...] = ()
    places: Mapping[str, Places] = field(default_factory=dict)
    fail_on: str = "error"

    @property
    def failed(self) -> bool:
        return any(map(self.rejects, self.findings))

    def rejects(self, finding: RawFinding) -> bool:
        return _rejects(finding, self.fail_on)

    def places_of(self, finding: RawFinding) -> Places:
        known = (self.places[host] for host in finding.get("hosts") or self.places if host in self.places)
        return next((places for places in known if any(map(places.of, finding["keys"])) or places.whole), NOWHERE)

    def as_dict(self) -> dict[str, Any]:
        return {
            "verdict": "rejected" if self.failed else "accepted",
            "findings": [_placed(finding, self.places_of(finding)) for finding in self.findings],
            "waived": [_placed(finding, self.places_of(finding)) for finding in self.waived],
        }


def _rejects(finding: RawFinding, fail_on: str) -> bool:
    if fail_on == "never":
        return False
    return finding["severity"] in SEVERITIES[: 2 if fail_on == "warning" else 1]


def _placed(finding: RawFinding, places: Places) -> dict[str, Any]:
    of_keys = (place for _key, place in places.of_finding(finding["keys"]))
    known = {place: {"file": place.path, "line": place.line} for place in of_keys if place is not None}
    return {**finding, "places": list(known.values())}


def read(reviews: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[Review]:
    """reviews: results of sysctl_validate by host. asked: for each host the set that it was asked about, fail_on, and
    the problem that kept it from being validated.
    """
    for host in dict.fromkeys([*reviews, *asked]):
        yield _read_one(str(host), reviews.get(host) or {}, asked.get(host) or {})


def read_fleet(said: Mapping[str, Any], reviews: Iterable[Review]) -> Fleet | None:
    """said: the result of fleet_validate. None: there is none."""
    if "findings" not in said:
        return None
    places = {review.host: review.places for review in reviews if review.problem is None}
    findings, waived = tuple(said["findings"]), tuple(said.get("waived", ()))
    return Fleet(findings, waived, places, str(said.get("fail_on") or "error"))


def _read_one(host: str, review: Mapping[str, Any], asked: Mapping[str, Any]) -> Review:
    said = str(review.get("msg") or asked.get("problem") or "").removeprefix(f"{host}: ")
    if review.get("verdict") not in ("accepted", "rejected"):
        return Review(host, problem=said or "it was not validated")
    return Review(
        host=host,
        rejected=review["verdict"] == "rejected",
        findings=tuple(review.get("findings", ())),
        waived=tuple(review.get("waived", ())),
        plan=tuple(review.get("plan", ())),
        text=said or "the sysctl set is accepted.",
        places=of_set(asked.get("sysctl"), asked.get("sysctl_conf_file")),
        fail_on=str(asked.get("fail_on") or "error"),
    )
