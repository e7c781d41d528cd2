# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is reported of each host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
        if self.fail_on == "never":
            return False
        worst = SEVERITIES[: 2 if self.fail_on == "warning" else 1]
        return finding["severity"] in worst

    def as_dict(self) -> dict[str, Any]:
        if self.problem is not None:
            return {"verdict": None, "problem": self.problem}
        return {
            "verdict": "rejected" if self.rejected else "accepted",
            "findings": [self._placed(finding) for finding in self.findings],
            "waived": [self._placed(finding) for finding in self.waived],
            "plan": list(self.plan),
        }

    def _placed(self, finding: RawFinding) -> dict[str, Any]:
        places = (place for _key, place in self.places.of_finding(finding["keys"]))
        known = {place: {"file": place.path, "line": place.line} for place in places if place is not None}
        return {**finding, "places": list(known.values())}


def read(reviews: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[Review]:
    """reviews: results of sysctl_validate by host. asked: for each host the set that it was asked about, fail_on, and
    the problem that kept it from being validated.
    """
    for host in dict.fromkeys([*reviews, *asked]):
        yield _read_one(str(host), reviews.get(host) or {}, asked.get(host) or {})


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
