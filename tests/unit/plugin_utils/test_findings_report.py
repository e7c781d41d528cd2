# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report: real reviews of real sets, held against the schemas of the formats."""

from __future__ import annotations

import copy
import datetime
import json
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema
from ansible_collections.nettune.kernel.plugins.plugin_utils import validation
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report import files, places, reviews
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules import fleet
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import rules
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = Path(__file__).parent / "schemas"
EXAMPLES = ROOT / "examples"
TODAY = datetime.date(2026, 11, 21)

SARIF = jsonschema.Draft202012Validator(
    json.loads((SCHEMAS / "sarif-2.1.0.json").read_text()), format_checker=jsonschema.FormatChecker()
)
JUNIT = xmlschema.XMLSchema(str(SCHEMAS / "junit.xsd"))
# What tools/setup fetches, where it can.
PUBLISHED = ROOT / ".cache" / "schemas"
PUBLISHED_SARIF, PUBLISHED_JUNIT = PUBLISHED / "sarif-2.1.0.json", PUBLISHED / "junit-10.xsd"

OLD, NEW = "kernel-3.10-behind-nat", "kernel-6.18-nat-gateway"
BAD = "net.core.somaxconn = 128\nnet.ipv4.tcp_timestamps = 0\nnet.ipv4.tcp_tw_recycle = 1\nthis is no line\n"


def review(facts_of: str, text: str, host: str = "", **options: Any) -> dict[str, Any]:
    facts = json.loads((EXAMPLES / "facts" / f"{facts_of}.json").read_text())
    done = validation.validate(host or facts_of, facts, sysctl_conf=text, today=TODAY, **options)
    return {**done.as_dict(), "msg": validation.review(done), "changed": False}


def report(
    folder: Path, raw: dict[str, Any], asked: dict[str, Any] | None = None, fleet_said: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Any], ET.Element, str]:
    """JSON, SARIF, JUnit and text, after the schemas have seen them."""
    known = list(reviews.read(raw, asked or {}))
    paths = files.write(str(folder), known, reviews.read_fleet(fleet_said or {}, known))
    sarif = json.loads(paths["sarif"].read_text())
    SARIF.validate(sarif)
    JUNIT.validate(str(paths["junit"]))
    return json.loads(paths["json"].read_text()), sarif, ET.parse(paths["junit"]).getroot(), paths["text"].read_text()


@pytest.mark.parametrize("seed", sorted((EXAMPLES / "seeds").glob("*.conf")), ids=lambda path: path.stem)
def test_every_seed_on_every_example_host(tmp_path: Path, seed: Path) -> None:
    hosts = [path.stem for path in sorted((EXAMPLES / "facts").glob("*.json"))]
    raw = {host: review(host, seed.read_text()) for host in hosts}
    asked = {host: {"sysctl_conf_file": str(seed)} for host in hosts}
    stored, sarif, suites, _text = report(tmp_path, raw, asked)
    lines = seed.read_text().splitlines()
    (run,) = sarif["runs"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        for location in result["locations"]:
            logical = location["logicalLocations"]
            assert len(logical) == result["occurrenceCount"]
            name = logical[0]["name"]
            if any(line.partition("=")[0].strip() == name for line in lines):
                physical = location["physicalLocation"]
                assert physical["artifactLocation"]["uri"].endswith(f"seeds/{seed.name}")
                assert lines[physical["region"]["startLine"] - 1].partition("=")[0].strip() == name
        # A code scanning service shows the first one.
        assert "physicalLocation" in result["locations"][0]
    # Whatever the format, it is the same findings.
    for host in hosts:
        found = Counter(finding["rule"] for finding in raw[host]["findings"])
        assert Counter(finding["rule"] for finding in stored["hosts"][host]["findings"]) == found
        of_host = [
            result["ruleId"]
            for result in run["results"]
            if any(
                place["fullyQualifiedName"].partition("/")[0] == host
                for place in result["locations"][0]["logicalLocations"]
            )
        ]
        assert Counter(of_host) == found
        (suite,) = (suite for suite in suites if suite.get("name") == host)
        cases = Counter(case.get("name", "").split()[0] for case in suite)
        assert {rule: cases[rule] for rule in found} == dict(found)
        errors = sum(finding["severity"] == "error" for finding in raw[host]["findings"])
        assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure")) == errors
        spoken_of = {key for finding in raw[host]["findings"] for key in finding["keys"]}
        silent = [item["key"] for item in raw[host]["plan"] if item["key"] not in spoken_of]
        assert int(suite.get("tests", "")) == len(suite) == sum(found.values()) + len(silent)


@pytest.mark.parametrize("seed", sorted((EXAMPLES / "seeds").glob("*.conf")), ids=lambda path: path.stem)
def test_the_published_schemas_agree(tmp_path: Path, seed: Path) -> None:
    if not PUBLISHED_SARIF.exists() or not PUBLISHED_JUNIT.exists():
        pytest.skip("tools/setup could not fetch the published schemas")
    hosts = [path.stem for path in sorted((EXAMPLES / "facts").glob("*.json"))]
    waivers = [{"rule": "timewait.timestamps_off", "reason": "a <test>"}]
    raw = {host: review(host, seed.read_text(), raw_waivers=waivers) for host in hosts}
    asked = {host: {"sysctl_conf_file": str(seed)} for host in hosts} | {"lost": {"problem": "it has no kernel"}}
    _stored, sarif, _suites, _text = report(tmp_path, raw, asked, FLEET)
    published = jsonschema.Draft4Validator(
        json.loads(PUBLISHED_SARIF.read_text()), format_checker=jsonschema.FormatChecker()
    )
    # The draft that the archive holds still had the state of a suppression where the standard has its status.
    for result in sarif["runs"][0]["results"]:
        for suppression in result.get("suppressions", ()):
            suppression["state"] = suppression.pop("status")
    assert [problem.message for problem in published.iter_errors(sarif)] == []
    sarif["runs"][0]["results"][0]["level"] = "info"
    assert not published.is_valid(sarif)
    junit = xmlschema.XMLSchema(str(PUBLISHED_JUNIT))
    junit.validate(str(tmp_path / "findings.junit.xml"))
    assert not junit.is_valid(ET.fromstring("<testsuites><testcase/></testsuites>"))


def test_rules_come_with_help(tmp_path: Path) -> None:
    _stored, sarif, _suites, _text = report(tmp_path, {OLD: review(OLD, BAD)})
    described = {rule["id"]: rule for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
    for rule in (*rules(), *fleet.RULES):
        assert " ".join(rule.documentation.split())[:40] in " ".join(described[rule.id]["help"]["text"].split())
        family, name = rule.id.split(".")
        page = ROOT / "docs" / "rules" / f"{family}.md"
        assert described[rule.id]["helpUri"].endswith(f"docs/rules/{family}.md#{family}{name}")
        assert f"## {rule.id}\n" in page.read_text()


def test_hosts_that_share_a_finding_share_a_result(tmp_path: Path) -> None:
    raw = {host: review(OLD, BAD, host) for host in ("web1", "web2", "web3")}
    _stored, sarif, suites, text = report(tmp_path, raw)
    assert {result["occurrenceCount"] for result in sarif["runs"][0]["results"]} == {3}
    assert len({json.dumps(result["partialFingerprints"]) for result in sarif["runs"][0]["results"]}) == len(
        raw["web1"]["findings"]
    )
    assert len(suites) == 3
    assert text.count("timewait.timestamps_off_with_recycle") == 1
    assert text.startswith("web1, web2, web3: the sysctl set is rejected")


FLEET = {
    "verdict": "rejected",
    "fail_on": "error",
    "findings": [
        {
            "rule": "fleet.recycle_meets_offsets",
            "severity": "error",
            "keys": ["net.ipv4.tcp_tw_recycle"],
            "message": "It is on (web2), and others have offsets of their own.",
            "reason": "It compares timestamps.",
            "fix": "Write 0 on web2 first.",
            "references": ["commit 4396e46187ca"],
            "hosts": ["web2"],
        }
    ],
    "waived": [
        {
            "rule": "fleet.uneven_within_stratum",
            "severity": "warning",
            "keys": ["net.core.somaxconn"],
            "message": "It is 8192 for web1.",
            "reason": "Hosts of one stratum stand for each other.",
            "fix": "Use one value.",
            "references": ["docs/rules/fleet.md"],
            "hosts": ["web1"],
            "waiver": "they are being replaced",
            "expires": None,
        }
    ],
}


def test_the_hosts_together_are_in_every_file(tmp_path: Path) -> None:
    conf = tmp_path / "recycle.conf"
    conf.write_text("# first\nnet.ipv4.tcp_tw_recycle = 1\n")
    raw = {host: review(OLD, conf.read_text(), host, fail_on="never") for host in ("web1", "web2")}
    asked = {host: {"sysctl_conf_file": str(conf), "fail_on": "never"} for host in raw}
    stored, sarif, suites, text = report(tmp_path / "out", raw, asked, FLEET)
    assert stored["verdict"] == stored["fleet"]["verdict"] == "rejected"
    assert stored["fleet"]["findings"][0]["places"] == [{"file": str(conf), "line": 2}]
    (run,) = sarif["runs"]
    found, waived = (result for result in run["results"] if result["ruleId"].startswith("fleet."))
    (place,) = found["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": conf.as_uri()},
        "region": {"startLine": 2},
    }
    assert [logical["fullyQualifiedName"] for logical in place["logicalLocations"]] == ["web2/net.ipv4.tcp_tw_recycle"]
    assert run["tool"]["driver"]["rules"][found["ruleIndex"]]["id"] == "fleet.recycle_meets_offsets"
    assert waived["suppressions"][0]["justification"] == "they are being replaced"
    # The file of the set, where the set has no such key.
    assert waived["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    by_name = {suite.get("name"): suite for suite in suites}
    together = by_name["all hosts together"]
    assert (together.get("failures"), together.get("skipped")) == ("1", "1")
    cases = {case.get("name", "").split()[0] for case in together}
    assert cases == {rule.id for rule in fleet.RULES}
    assert by_name["web2"].get("failures") == "0"
    assert "All hosts together: the sysctl sets are rejected (1 error)." in text
    assert "error fleet.recycle_meets_offsets net.ipv4.tcp_tw_recycle\n  It is on (web2)" in text
    assert "  Accepted: they are being replaced" in text


def test_an_alert_about_several_hosts_stays_the_same_when_a_host_joins(tmp_path: Path) -> None:
    def fingerprints(*messages: str) -> list[str]:
        (finding,) = FLEET["findings"]
        findings = [{**finding, "message": message} for message in messages]  # type: ignore[dict-item]
        raw = {OLD: review(OLD, BAD)}
        _stored, sarif, _suites, _text = report(tmp_path, raw, fleet_said={**FLEET, "findings": findings})
        results = (
            result for result in sarif["runs"][0]["results"] if result["ruleId"] == "fleet.recycle_meets_offsets"
        )
        return [result["partialFingerprints"]["primaryLocationLineHash"] for result in results]

    assert fingerprints("web1.") == fingerprints("web1, web2.")
    one, other = fingerprints("web1.", "web2.")
    assert one != other


@pytest.mark.parametrize(("fail_on", "failures"), [("error", "1"), ("never", "0")])
def test_what_the_hosts_together_fail_on(tmp_path: Path, fail_on: str, failures: str) -> None:
    good = {NEW: review(NEW, "net.core.somaxconn = 8192")}
    stored, _sarif, suites, _text = report(tmp_path, good, fleet_said={**FLEET, "fail_on": fail_on})
    assert stored["verdict"] == ("accepted" if fail_on == "never" else "rejected")
    (together,) = (suite for suite in suites if suite.get("name") == "all hosts together")
    assert together.get("failures") == failures


def test_who_fails_and_why(tmp_path: Path) -> None:
    waivers = [{"rule": "timewait.timestamps_off", "reason": "a <test> & more", "expires": "2027-01-01"}]
    raw = {
        "bad": review(OLD, BAD, raw_waivers=waivers),
        "good": review(NEW, "net.core.somaxconn = 8192"),
        "lost": {},
    }
    stored, sarif, suites, text = report(tmp_path, raw, {"lost": {"problem": "lost: it has no kernel \x1b[31m]]>"}})
    assert stored["verdict"] == "rejected"
    assert {host: of["verdict"] for host, of in stored["hosts"].items()} == {
        "bad": "rejected",
        "good": "accepted",
        "lost": None,
    }
    (invocation,) = sarif["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["message"]["text"].startswith("lost: it has no kernel")
    (waived,) = (result for result in sarif["runs"][0]["results"] if "suppressions" in result)
    assert waived["suppressions"][0]["justification"] == "a <test> & more"
    by_name = {suite.get("name"): suite for suite in suites}
    assert [int(by_name["lost"].get(kind, "")) for kind in ("tests", "failures", "errors")] == [1, 0, 1]
    assert by_name["lost"].find("testcase/error").get("message") == "it has no kernel ?[31m]]>"  # type: ignore[union-attr]
    assert int(by_name["good"].get("failures", "")) == 0
    assert by_name["bad"].find("testcase/skipped").get("message") == "waived: a <test> & more"  # type: ignore[union-attr]
    assert "\nlost: it has no kernel" in text


@pytest.mark.parametrize(
    ("fail_on", "severities"), [("error", {"error"}), ("warning", {"error", "warning"}), ("never", set())]
)
def test_what_fails_in_junit_is_what_rejects(tmp_path: Path, fail_on: str, severities: set[str]) -> None:
    raw = {OLD: review(OLD, BAD, fail_on=fail_on)}
    stored, _sarif, suites, _text = report(tmp_path, raw, {OLD: {"fail_on": fail_on}})
    assert {failure.get("type") for failure in suites.iter("failure")} == severities
    assert stored["verdict"] == ("accepted" if fail_on == "never" else "rejected")


def test_files_outside_the_folder_one_works_in(tmp_path: Path) -> None:
    conf = tmp_path / "a set.conf"
    conf.write_text(BAD)
    _stored, sarif, _suites, _text = report(tmp_path, {OLD: review(OLD, BAD)}, {OLD: {"sysctl_conf_file": str(conf)}})
    artifacts = {
        json.dumps(location["physicalLocation"]["artifactLocation"])
        for result in sarif["runs"][0]["results"]
        for location in result["locations"]
    }
    assert artifacts == {json.dumps({"uri": conf.as_uri()})}


def test_globs_and_lines_that_are_none_have_places(tmp_path: Path) -> None:
    conf = tmp_path / "globs.conf"
    conf.write_text("# first\nnet.ipv4.conf.*.rp_filter = 1\nno line at all\nnet.core.somaxconn = 1\n")
    found = places.of_set(None, str(conf))
    assert found.of("net.ipv4.conf.eth0/100.rp_filter") == places.Place(str(conf), 2)
    assert found.of("net.core.somaxconn") == places.Place(str(conf), 4)
    assert found.of("line 3") == places.Place(str(conf), 3)
    assert found.of_finding([]) == ((None, places.Place(str(conf))),)
    other = "net.ipv4.ip_forward"
    assert found.of_finding([other]) == ((other, places.Place(str(conf))),)
    both = (("net.core.somaxconn", places.Place(str(conf), 4)), (other, None))
    assert found.of_finding([other, "net.core.somaxconn"]) == both


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run["results"][0].pop("message"),
        lambda run: run["results"][0].update(level="info"),
        lambda run: run["results"][0].update(file="x"),
        lambda run: run["results"][0]["locations"].clear(),
        lambda run: run["tool"].pop("driver"),
        lambda run: run["invocations"][0].pop("executionSuccessful"),
        lambda run: run["tool"]["driver"]["rules"].append(run["tool"]["driver"]["rules"][0]),
    ],
)
def test_the_sarif_schema_refuses(tmp_path: Path, spoil: Any) -> None:
    _stored, sarif, _suites, _text = report(tmp_path, {OLD: review(OLD, BAD)})
    spoilt = copy.deepcopy(sarif)
    spoil(spoilt["runs"][0])
    assert not SARIF.is_valid(spoilt)


@pytest.mark.parametrize(
    "spoilt",
    [
        "<testsuite/>",
        "<testsuites><testcase/></testsuites>",
        "<testsuites><testsuite name='a' tests='1' failures='0' errors='0' skipped='-1'/></testsuites>",
        "<testsuites><testsuite name='a' tests='1' failures='0' errors='0' skipped='0'>"
        "<testcase classname='a' name='b'><failure/></testcase></testsuite></testsuites>",
    ],
)
def test_the_junit_schema_refuses(spoilt: str) -> None:
    assert not JUNIT.is_valid(ET.fromstring(spoilt))


# Lone surrogates among it, which JSON can hold and UTF-8 cannot.
ANY = st.text(st.characters(exclude_categories=()), max_size=40)


@settings(deadline=None, max_examples=50)
@given(host=ANY, key=ANY, message=ANY, waiver=ANY)
def test_any_text_ends_up_in_valid_files(
    tmp_path_factory: pytest.TempPathFactory, host: str, key: str, message: str, waiver: str
) -> None:
    finding = {
        "rule": "form.invalid_key",
        "severity": "error",
        "keys": [key],
        "message": message + ".",
        "reason": message,
        "fix": message,
        "references": [message],
    }
    raw = {host: {"verdict": "rejected", "findings": [finding], "waived": [{**finding, "waiver": waiver}], "plan": []}}
    stored, _sarif, _suites, _text = report(tmp_path_factory.mktemp("any"), raw)
    assert list(stored["hosts"]) == [host]


def test_ten_thousand_hosts_are_one_alert(tmp_path: Path) -> None:
    one = review(OLD, BAD)
    raw = {f"web{number}": one for number in range(10000)}
    paths = files.write(str(tmp_path), list(reviews.read(raw, {})))
    results = json.loads(paths["sarif"].read_text())["runs"][0]["results"]
    assert len(results) == len(one["findings"])
    assert "web5 and 9994 more" in results[0]["message"]["text"]
    assert paths["junit"].read_text().count("<testsuite ") == 10000
