# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML: a test suite a host; a test case for each finding, and for each key that nothing is found of."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.reviews import RawFinding, Review

# What XML 1.0 cannot hold, even escaped.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def chunks(reviews: Iterable[Review]) -> Iterator[str]:
    """The document, suite by suite."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="nettune.kernel.validate">\n'
    for review in reviews:
        yield ET.tostring(_suite(review), encoding="unicode") + "\n"
    yield "</testsuites>\n"


def _suite(review: Review) -> ET.Element:
    cases = list(_cases(review))
    suite = ET.Element("testsuite", name=_clean(review.host), tests=str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _cases(review: Review) -> Iterator[ET.Element]:
    if review.problem is not None:
        case = _case(review, "validation")
        _say(case, "error", review.problem, "", "problem")
        yield case
        return
    spoken_of = set()
    for finding in review.findings:
        spoken_of.update(finding["keys"])
        case = _case(review, _name(finding))
        if review.rejects(finding):
            _say(case, "failure", finding["message"], _details(finding), finding["severity"])
        else:
            ET.SubElement(case, "system-out").text = _clean(f"{finding['severity']}: {_details(finding)}")
        yield case
    for finding in review.waived:
        spoken_of.update(finding["keys"])
        case = _case(review, _name(finding))
        ET.SubElement(case, "skipped", message=_clean(f"waived: {finding.get('waiver')}"))
        yield case
    for item in review.plan:
        if item["key"] not in spoken_of:
            yield _case(review, item["key"])


def _name(finding: RawFinding) -> str:
    return " ".join([finding["rule"], *finding["keys"]])


def _case(review: Review, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_clean(review.host), name=_clean(name))


def _say(case: ET.Element, tag: str, message: str, details: str, kind: str) -> None:
    ET.SubElement(case, tag, message=_clean(message), type=kind).text = _clean(details or message)


def _details(finding: RawFinding) -> str:
    lines = [finding["message"], f"Why: {finding['reason']}", f"Instead: {finding['fix']}"]
    if finding["references"]:
        lines.append(f"Read: {'; '.join(finding['references'])}")
    return "\n".join(lines)


def _clean(text: object) -> str:
    return _UNFIT.sub("?", str(text))
