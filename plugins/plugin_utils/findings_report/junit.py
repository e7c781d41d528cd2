# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML: a test suite a host; a test case for each finding, and for each key that nothing is found of. The hosts
together are a suite too: a case for each finding, and for each rule over hosts that finds nothing.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.reviews import Fleet, RawFinding, Review
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.fleet import RULES

_TOGETHER = "all hosts together"
# What XML 1.0 cannot hold, even escaped.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def chunks(reviews: Iterable[Review], fleet: Fleet | None = None) -> Iterator[str]:
    """The document, suite by suite."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="nettune.kernel.validate">\n'
    for review in reviews:
        yield ET.tostring(_suite(review.host, _cases(review)), encoding="unicode") + "\n"
    if fleet is not None:
        yield ET.tostring(_suite(_TOGETHER, _cases_together(fleet)), encoding="unicode") + "\n"
    yield "</testsuites>\n"


def _suite(name: str, found: Iterable[ET.Element]) -> ET.Element:
    cases = list(found)
    suite = ET.Element("testsuite", name=_clean(name), tests=str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _cases(review: Review) -> Iterator[ET.Element]:
    if review.problem is not None:
        case = _case(review.host, "validation")
        _say(case, "error", review.problem, "", "problem")
        yield case
        return
    spoken_of = set()
    for finding in review.findings:
        spoken_of.update(finding["keys"])
        yield _found(review.host, finding, review.rejects(finding))
    for finding in review.waived:
        spoken_of.update(finding["keys"])
        yield _waived(review.host, finding)
    for item in review.plan:
        if item["key"] not in spoken_of:
            yield _case(review.host, item["key"])


def _cases_together(fleet: Fleet) -> Iterator[ET.Element]:
    for finding in fleet.findings:
        yield _found(_TOGETHER, finding, fleet.rejects(finding))
    for finding in fleet.waived:
        yield _waived(_TOGETHER, finding)
    spoke = {finding["rule"] for finding in (*fleet.findings, *fleet.waived)}
    for rule in RULES:
        if rule.id not in spoke:
            yield _case(_TOGETHER, rule.id)


def _found(suite: str, finding: RawFinding, rejects: bool) -> ET.Element:
    case = _case(suite, _name(finding))
    if rejects:
        _say(case, "failure", finding["message"], _details(finding), finding["severity"])
    else:
        ET.SubElement(case, "system-out").text = _clean(f"{finding['severity']}: {_details(finding)}")
    return case


def _waived(suite: str, finding: RawFinding) -> ET.Element:
    case = _case(suite, _name(finding))
    ET.SubElement(case, "skipped", message=_clean(f"waived: {finding.get('waiver')}"))
    return case


def _name(finding: RawFinding) -> str:
    return " ".join([finding["rule"], *finding["keys"]])


def _case(suite: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_clean(suite), name=_clean(name))


def _say(case: ET.Element, tag: str, message: str, details: str, kind: str) -> None:
    ET.SubElement(case, tag, message=_clean(message), type=kind).text = _clean(details or message)


def _details(finding: RawFinding) -> str:
    lines = [finding["message"], f"Why: {finding['reason']}", f"Instead: {finding['fix']}"]
    if finding["references"]:
        lines.append(f"Read: {'; '.join(finding['references'])}")
    return "\n".join(lines)


def _clean(text: object) -> str:
    return _UNFIT.sub("?", str(text))
