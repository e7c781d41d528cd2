# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule, by its two examples."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import SEVERITIES, Finding
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import FAMILIES, rules
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import validate

EXAMPLES: dict[str, Any] = yaml.safe_load((pathlib.Path(__file__).parent / "rule_examples.yml").read_text())


def findings(example: dict[str, Any], identity: str) -> list[Finding]:
    result = validate(
        "web1",
        {"kernel": {"release": "6.1.0"}, **example.get("facts", {})},
        sysctl=example.get("sysctl"),
        sysctl_conf=example.get("sysctl_conf"),
        declared_topology=example.get("topology"),
    )
    return [finding for finding in result.findings if finding.rule == identity]


def test_every_rule_has_examples() -> None:
    assert {rule.id for rule in rules()} == set(EXAMPLES)


@pytest.mark.parametrize("identity", EXAMPLES)
def test_rule_speaks(identity: str) -> None:
    example = EXAMPLES[identity]["speaks"]
    found = findings(example, identity)
    assert found
    for finding in found:
        # Whole sentences, for people.
        assert finding.message.endswith((".", "?"))
        assert finding.reason
        assert finding.fix
        assert finding.severity == example.get("severity", finding.severity)


@pytest.mark.parametrize("identity", EXAMPLES)
def test_rule_is_silent(identity: str) -> None:
    assert findings(EXAMPLES[identity]["silent"], identity) == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_rule_is_documented(rule: Any) -> None:
    family, _dot, name = rule.id.partition(".")
    assert family in FAMILIES
    assert name.isidentifier()
    assert rule.severity in SEVERITIES
    assert rule.references
    assert len(rule.documentation.split()) >= 6


RECYCLE: dict[str, Any] = {
    "sysctl": {"net.ipv4.tcp_tw_recycle": 1},
    "facts": {"kernel": {"release": "3.10.0-1160.el7.x86_64"}},
}


@pytest.mark.parametrize(
    ("topology", "severity"),
    [
        ({"front": "nat"}, "error"),
        ({"front": "nat", "clients_behind_nat": False}, "error"),
        ({"front": "lvs_fullnat"}, "error"),
        ({"front": "lvs_nat"}, "error"),
        ({"front": "lvs_nat", "clients_behind_nat": False}, "warning"),
        ({"front": "lvs_dr"}, "error"),
        ({"front": "lvs_dr", "clients_behind_nat": True}, "error"),
        ({"front": "lvs_dr", "clients_behind_nat": False}, "warning"),
        ({"front": "lvs_tun", "clients_behind_nat": False}, "warning"),
        ({"front": "l7", "clients_behind_nat": False}, "warning"),
        ({"front": "none"}, "error"),
        ({"front": "unknown"}, "error"),
        ({}, "error"),
        ({"role": ["client"]}, "warning"),
        ({"role": ["client", "server"]}, "error"),
    ],
)
def test_recycle_by_topology(topology: dict[str, Any], severity: str) -> None:
    (finding,) = findings({**RECYCLE, "topology": topology}, "timewait.recycle_hazard")
    assert finding.severity == severity


def test_recycle_by_detected_topology() -> None:
    detected = {"front": {"value": "lvs_dr", "evidence": []}, "clients_behind_nat": {"value": False, "evidence": []}}
    facts = {**RECYCLE["facts"], "topology": detected}
    (finding,) = findings({**RECYCLE, "facts": facts}, "timewait.recycle_hazard")
    assert finding.severity == "warning"
    assert "detected" in finding.message


def test_any_integer_switches_recycle_on() -> None:
    example = {**RECYCLE, "sysctl": {"net.ipv4.tcp_tw_recycle": 2}, "topology": {"front": "nat"}}
    assert findings(example, "timewait.recycle_hazard")


@pytest.mark.parametrize(
    ("facts", "basis"),
    [({"sysctl_complete": True}, "read from the live host"), ({}, "by the catalogue; not read live")],
)
def test_a_finding_says_what_it_stands_on(facts: dict[str, Any], basis: str) -> None:
    (finding,) = findings({"sysctl": {"net.ipv4.tcp_tw_recycle": 1}, "facts": facts}, "timewait.recycle_removed")
    assert basis in finding.message


def test_the_live_host_overrules_the_version() -> None:
    facts = {"sysctl": {"net.ipv4.tcp_tw_recycle": "0"}, "sysctl_complete": True}
    example = {"sysctl": {"net.ipv4.tcp_tw_recycle": 1}, "facts": facts, "topology": {"front": "nat"}}
    assert findings(example, "timewait.recycle_removed") == []
    assert findings(example, "timewait.recycle_hazard")


def test_memory_is_said_in_numbers() -> None:
    (finding,) = findings(EXAMPLES["buffers.pages_beyond_memory"]["speaks"], "buffers.pages_beyond_memory")
    assert "360 GiB" in finding.reason
    assert "this host has 16 GiB" in finding.message


def test_page_size_counts() -> None:
    example = {"sysctl": {"net.ipv4.tcp_mem": "196608 262144 393216"}, "facts": {"memory_bytes": 2**34}}
    assert findings(example, "buffers.pages_beyond_memory") == []
    example["facts"] = {"memory_bytes": 2**34, "page_size": 65536}
    assert findings(example, "buffers.pages_beyond_memory")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("net.ipv4.tcp_fin_timout", "net.ipv4.tcp_fin_timeout"),
        ("net.core.tcp_tw_reuse", "net.ipv4.tcp_tw_reuse"),
        ("net.ipv4.conf.eth0.rp_filtr", "net.ipv4.conf.eth0.rp_filter"),
        ("net.ipv4.tcp_timestamp", "net.ipv4.tcp_timestamps"),
    ],
)
def test_nearest_known_name(key: str, nearest: str) -> None:
    (finding,) = findings({"sysctl": {key: 1}}, "form.unknown_key")
    assert finding.fix == f"Did you mean {nearest}?"


def test_unknown_outside_net_is_a_warning() -> None:
    (finding,) = findings({"sysctl": {"kernel.some_new_thing": 1}}, "form.unknown_key")
    assert finding.severity == "warning"


@pytest.mark.parametrize("value", ["0x10", "1e3", "+1", "1,5", "٣", "1 # a comment", "--1", ""])
def test_what_is_no_decimal_number(value: str) -> None:
    assert findings({"sysctl": {"net.ipv4.tcp_retries2": value}}, "form.not_a_number")


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "/",
        "net..ipv4",
        "net.ipv4.",
        "/proc/sys/net",
        "net ipv4",
        "net.ipv4.a\nb",
        "net.ipv4.a\0",
        "a=b.c",
        "x",
    ],
)
def test_unsafe_keys(key: str) -> None:
    assert findings({"sysctl": {key: 1}}, "form.invalid_key")


def test_what_cannot_be_read_is_not_absent() -> None:
    facts = {"sysctl_complete": True, "sysctl_unreadable": ["net.ipv6.conf.all.stable_secret"]}
    example = {"sysctl": {"net.ipv6.conf.all.stable_secret": "2001:db8::1"}, "facts": facts}
    assert findings(example, "kernel.absent") == []
    facts["sysctl_unreadable"] = []
    assert findings(example, "kernel.absent")
