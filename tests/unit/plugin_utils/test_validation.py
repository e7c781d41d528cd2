# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole sets on whole hosts: the examples, the blocks of old articles, and whatever hypothesis comes up with."""

from __future__ import annotations

import contextlib
import datetime
import json
import pathlib
from typing import Any

import pytest
import yaml
from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import UnusableFacts
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import SEVERITIES, UnusableRequest
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.fleet import Member
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import (
    Validation,
    review,
    review_fleet,
    validate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples"
HOSTS: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in sorted((EXAMPLES / "facts").glob("*.json"))
}
DECLARED = {
    "kernel-3.10-behind-nat": {"role": ["server"], "front": "nat"},
    "kernel-4.19-l7-proxy-behind-lvs-dr": {"role": ["l7_proxy"], "front": "lvs_dr"},
    "kernel-5.14-database": {"role": ["database"], "front": "none"},
    "kernel-6.1-kubernetes-node": {"role": ["kubernetes_node"]},
    "kernel-6.18-nat-gateway": {"role": ["nat_gateway"], "front": "none"},
}
EXPECTED = yaml.safe_load((EXAMPLES / "seeds/expected.yml").read_text())
MODERN = {"kernel": {"release": "6.1.0"}}


def said(result: Validation, *severities: str) -> dict[str, list[str]]:
    found = {
        severity: sorted({finding.rule for finding in result.findings if finding.severity == severity})
        for severity in severities
    }
    return {severity: rules for severity, rules in found.items() if rules}


def test_every_seed_is_expected_on_every_host() -> None:
    assert set(EXPECTED) == {path.name for path in (EXAMPLES / "seeds").glob("*.conf")}
    assert all(set(hosts) == set(HOSTS) == set(DECLARED) for hosts in EXPECTED.values())


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("seed", EXPECTED)
def test_seed(seed: str, host: str) -> None:
    result = validate(
        host,
        HOSTS[host],
        sysctl_conf=(EXAMPLES / "seeds" / seed).read_text(),
        declared_topology=DECLARED[host],
    )
    assert said(result, "error", "warning") == EXPECTED[seed][host]
    for finding in result.findings:
        assert all(text.endswith((".", "?")) for text in (finding.message, finding.reason, finding.fix))


def example(name: str, facts: Any, topology: Any = None) -> Validation:
    variables = yaml.safe_load((EXAMPLES / f"{name}.yml").read_text())
    return validate(
        "host",
        facts,
        sysctl=variables["tune_sysctl"],
        declared_topology=topology or variables.get("tune_topology"),
        raw_waivers=variables.get("tune_waivers"),
        reasons=variables.get("tune_reasons"),
        today=datetime.date(2026, 11, 21),
    )


@pytest.mark.parametrize("release", ["4.19.0", "5.10.0", "6.1.0", "6.12.0", "6.18.44"])
def test_l7_proxy_is_a_good_set(release: str) -> None:
    facts = {**HOSTS["kernel-4.19-l7-proxy-behind-lvs-dr"], "kernel": {"release": release}}
    result = example("l7_proxy", facts, DECLARED["kernel-4.19-l7-proxy-behind-lvs-dr"])
    assert said(result, "error", "warning") == {}
    assert "queues.syn_backlog_capped" not in said(result, "info").get("info", [])
    assert all(item.why for item in result.plan)


@pytest.mark.parametrize("front", ["nat", "none", "lvs_dr"])
def test_l7_proxy_is_good_in_a_container_too(front: str) -> None:
    facts = {**HOSTS["kernel-6.18-nat-gateway"], "virtualization": {"own_network_namespace": True}, "topology": {}}
    assert said(example("l7_proxy", facts, {"role": ["l7_proxy"], "front": front}), "error", "warning") == {}


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("l7_proxy", "kernel-4.19-l7-proxy-behind-lvs-dr"),
        ("lvs_dr_real_server", "kernel-4.19-l7-proxy-behind-lvs-dr"),
        ("nat_gateway", "kernel-6.18-nat-gateway"),
        ("database_server", "kernel-5.14-database"),
        ("kubernetes_node", "kernel-6.1-kubernetes-node"),
    ],
)
def test_a_good_set_on_a_fitting_host(name: str, host: str) -> None:
    declared = DECLARED[host] if name == "l7_proxy" else None
    result = example(name, HOSTS[host], declared)
    assert said(result, "error", "warning") == {}
    assert all(item.why for item in result.plan)


def test_a_good_set_on_a_kernel_that_is_too_old() -> None:
    result = example("nat_gateway", {**HOSTS["kernel-3.10-behind-nat"], "topology": {}})
    assert said(result, "error", "warning") == {"error": ["connections.conntrack_size_is_fixed"]}


@pytest.mark.parametrize("host", [name for name, facts in HOSTS.items() if facts["sysctl_complete"]])
def test_what_a_host_has_is_no_reason_for_alarm(host: str) -> None:
    """The values of a sound host as a set, 600 of them: nothing is to be said but of keys that cannot be written."""
    values = {key: value for key, value in HOSTS[host]["sysctl"].items() if key.startswith("net.")}
    result = validate(host, HOSTS[host], sysctl=values, declared_topology=DECLARED[host])
    found = said(result, "error", "warning")
    assert set(found.get("error", [])) <= {"kernel.read_only"}
    assert "warning" not in found


def test_nat_timestamps_passes_by_its_waiver_alone() -> None:
    facts = {**MODERN, "sysctl": {"net.ipv4.tcp_timestamps": "0"}}
    result = example("nat_timestamps", facts, {"front": "nat"})
    assert not result.rejected
    assert [finding.rule for finding, _waiver in result.waived] == ["timewait.timestamps_behind_nat"]
    assert result.findings == ()


def test_seed_002_is_refused_today_and_was_right_once() -> None:
    behind_dr = {"role": ["l7_proxy"], "front": "lvs_dr", "clients_behind_nat": False}
    assert said(example("seed_002", MODERN, behind_dr), "error") == {"error": ["timewait.recycle_removed"]}
    old = example("seed_002", HOSTS["kernel-3.10-behind-nat"], behind_dr)
    assert not old.rejected
    assert said(old, "error", "warning") == {"warning": ["timewait.recycle_hazard"]}


def test_plan() -> None:
    facts = {
        **MODERN,
        "sysctl": {"net.core.somaxconn": "128", "net.ipv4.tcp_rmem": "4096\t131072\t6291456"},
        "sysctl_files": [{"path": "/etc/sysctl.d/99-a.conf", "text": "net.core.somaxconn = 1024"}],
    }
    sysctl = {"net/core/somaxconn": 4096, "net.ipv4.tcp_rmem": "4096  131072\t16777216"}
    result = validate("a", facts, sysctl=sysctl, reasons={"net.core.somaxconn": "bursts\nof SYNs"})
    assert result.as_dict()["plan"] == [
        {
            "key": "net.core.somaxconn",
            "now": "128",
            "proposed": "4096",
            "after_boot": "1024",
            "why": "bursts of SYNs",
        },
        {
            "key": "net.ipv4.tcp_rmem",
            "now": "4096 131072 6291456",
            "proposed": "4096 131072 16777216",
            "after_boot": "4096 131072 16777216",
            "why": None,
        },
    ]


def test_what_is_unknown_is_null() -> None:
    (item,) = validate("a", MODERN, sysctl={"net.core.somaxconn": 1}).plan
    assert (item.now, item.after_boot, item.why) == (None, None, None)


def test_worst_first() -> None:
    path = EXAMPLES / "seeds/003_everything.conf"
    host = "kernel-3.10-behind-nat"
    result = validate(host, HOSTS[host], sysctl_conf=path.read_text(), declared_topology=DECLARED[host])
    ranks = [SEVERITIES.index(finding.severity) for finding in result.findings]
    assert ranks == sorted(ranks)
    text = review(result)
    assert text.startswith("kernel-3.10-behind-nat: the sysctl set is rejected (2 errors, 7 warnings, 12 info).")
    assert "3.5 TiB; this host has 8 GiB" in text


@pytest.mark.parametrize(("fail_on", "rejected"), [("error", False), ("warning", True), ("never", False)])
def test_fail_on(fail_on: str, rejected: bool) -> None:
    assert validate("a", MODERN, sysctl={"net.ipv4.tcp_timestamps": 0}, fail_on=fail_on).rejected is rejected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "give one of sysctl"),
        ({"sysctl": {"a.b": 1}, "sysctl_conf": "a.b=1"}, "give one of sysctl"),
        ({"sysctl": ["a.b"]}, "sysctl must be a dictionary"),
        ({"sysctl_conf": 3}, "sysctl_conf must be text"),
        ({"sysctl": {"a.b": 1}, "fail_on": "info"}, "fail_on 'info' is unknown: write one of error, warning, never"),
        ({"sysctl": {"a.b": 1}, "file": "/etc/sysctl.d/../x.conf"}, "is not the absolute path of a .conf file"),
        ({"sysctl": {"a.b": 1}, "file": "x.conf"}, "is not the absolute path of a .conf file"),
        ({"sysctl": {"a.b": 1}, "reasons": ["x"]}, "reasons must be a dictionary"),
        ({"sysctl": {"a.b": 1}, "reasons": {"../x": "y"}}, "reasons: key"),
    ],
)
def test_one_clear_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnusableRequest) as caught:
        validate("a", MODERN, **arguments)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("facts", [None, {}, [], {"kernel": {}}, {"kernel": "6.1"}, {"kernel": {"release": "new"}}])
def test_unusable_facts(facts: Any) -> None:
    with pytest.raises(UnusableFacts):
        validate("a", facts, sysctl={"net.core.somaxconn": 1})


KEYS = st.one_of(
    st.sampled_from([key for seed in EXPECTED for line in (EXAMPLES / "seeds" / seed).read_text().splitlines()
                     if not line.startswith("#") for key in [line.split(" =")[0]]]),
    st.text(max_size=30),
    st.integers(),
    st.binary(max_size=5),
    st.none(),
    st.tuples(st.text(max_size=3)),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40), st.binary(max_size=10),
    st.dates(), st.from_regex(r"\A-?[0-9]{1,12}( [0-9]{1,12}){0,3}\Z"),
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
OPTIONAL_FACTS = [
    "memory_bytes",
    "page_size",
    "interfaces",
    "sysctl",
    "sysctl_complete",
    "sysctl_read_only",
    "sysctl_unreadable",
    "sockets",
    "listeners",
    "service_manager",
    "virtualization",
    "sysctl_files",
    "writers",
    "topology",
    "cpus",
]
FACTS = st.fixed_dictionaries(
    {"kernel": st.fixed_dictionaries({"release": st.just("4.9.0")}, optional={"timestamp_offset_per_tuple": ANYTHING})},
    optional=dict.fromkeys(OPTIONAL_FACTS, ANYTHING),
)


def check(result: Validation) -> None:
    json.dumps(result.as_dict())
    assert all(char.isprintable() or char == "\n" for char in review(result))


@settings(max_examples=300, deadline=None)
@given(sysctl=st.dictionaries(KEYS, ANYTHING, max_size=6), facts=st.sampled_from([MODERN, *HOSTS.values()]))
def test_any_dictionary_gets_findings(sysctl: Any, facts: Any) -> None:
    check(validate("a", facts, sysctl=sysctl))


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))))
def test_any_text_gets_findings(text: str) -> None:
    check(validate("a", HOSTS["kernel-6.18-nat-gateway"], sysctl_conf=text))


@settings(max_examples=200, deadline=None)
@given(facts=FACTS)
def test_any_facts_are_read(facts: Any) -> None:
    path = EXAMPLES / "seeds/003_everything.conf"
    check(validate("a", facts, sysctl_conf=path.read_text()))


@settings(max_examples=200, deadline=None)
@given(topology=ANYTHING, waivers=ANYTHING, reasons=ANYTHING, file=ANYTHING, fail_on=ANYTHING)
def test_any_option_is_understood_or_refused(
    topology: Any, waivers: Any, reasons: Any, file: Any, fail_on: Any
) -> None:
    given_options = {
        "declared_topology": topology,
        "raw_waivers": waivers,
        "reasons": reasons,
        "file": file,
        "fail_on": fail_on,
    }
    for name, value in given_options.items():
        with contextlib.suppress(UnusableRequest):
            check(validate("a", MODERN, sysctl={"net.core.somaxconn": 1}, **{name: value}))


@settings(max_examples=200, deadline=None)
@given(one=FACTS, other=FACTS, topology=st.sampled_from(list(DECLARED.values())), seed=st.sampled_from(list(EXPECTED)))
def test_any_fleet_is_reviewed(one: Any, other: Any, topology: Any, seed: str) -> None:
    text = (EXAMPLES / "seeds" / seed).read_text()
    results = (
        validate("a", one, sysctl_conf=text, declared_topology=topology),
        validate("b", other, sysctl_conf=text, declared_topology=topology, stratum="x"),
        validate("c", other, sysctl={"net.ipv4.tcp_tw_reuse": 1}),
    )
    members = [Member.read(result.host, json.loads(json.dumps(result.as_dict()["member"]))) for result in results]
    found, _waived = review_fleet(members)
    json.dumps([finding.as_dict() for finding in found])
