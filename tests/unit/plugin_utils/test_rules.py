# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule, by its two examples."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import yaml
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import SEVERITIES, Finding
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules import fleet
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import FAMILIES, FLEET, applicable, rules
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import examine, review_fleet, validate

EXAMPLES: dict[str, Any] = yaml.safe_load((pathlib.Path(__file__).parent / "rule_examples.yml").read_text())


SEEDS = pathlib.Path(__file__).resolve().parents[3] / "examples" / "seeds"


def members(hosts: dict[str, Any]) -> list[fleet.Member]:
    """As they come out of the task of each host and into that of all."""
    results = {
        host: validate(
            host,
            given["facts"],
            sysctl=given.get("sysctl"),
            declared_topology=given.get("topology"),
            reasons=given.get("reasons"),
            stratum=given.get("stratum", ""),
        )
        for host, given in hosts.items()
    }
    return [
        fleet.Member.read(host, json.loads(json.dumps(result.as_dict()["member"]))) for host, result in results.items()
    ]


def findings(example: dict[str, Any], identity: str) -> list[Finding]:
    if "hosts" in example:
        remaining, _waived = review_fleet(members(example["hosts"]))
        return [finding for finding in remaining if finding.rule == identity]
    result = validate(
        "web1",
        {"kernel": {"release": "6.1.0"}, **example.get("facts", {})},
        sysctl=example.get("sysctl"),
        sysctl_conf=example.get("sysctl_conf"),
        declared_topology=example.get("topology"),
        file=example.get("file"),
    )
    return [finding for finding in result.findings if finding.rule == identity]


def test_every_rule_has_examples() -> None:
    assert {rule.id for rule in (*rules(), *fleet.RULES)} == set(EXAMPLES)


def whole_sentences(finding: Finding) -> None:
    for text in (finding.message, finding.reason, finding.fix):
        assert text.endswith((".", "?")), text
        assert len(text.split()) > 2, text
        assert "  " not in text, text
        assert ".. " not in text.replace("...", ""), text


@pytest.mark.parametrize("identity", EXAMPLES)
def test_rule_speaks(identity: str) -> None:
    example = EXAMPLES[identity]["speaks"]
    found = findings(example, identity)
    assert found
    for finding in found:
        whole_sentences(finding)
        assert finding.severity == example.get("severity", finding.severity)


@pytest.mark.parametrize("identity", EXAMPLES)
def test_rule_is_silent(identity: str) -> None:
    assert findings(EXAMPLES[identity]["silent"], identity) == []


def test_a_rule_names_every_key_that_it_speaks_for() -> None:
    """A rule that is left out because none of its keys is set would have been silent."""
    contexts = [
        examine("web1", {"kernel": {"release": release}}, sysctl_conf=path.read_text())
        for path in SEEDS.glob("*.conf")
        for release in ("3.10.0", "6.1.0", "6.18.0")
    ]
    for halves in EXAMPLES.values():
        for example in halves.values():
            if "hosts" not in example:
                facts = {"kernel": {"release": "6.1.0"}, **example.get("facts", {})}
                set_ = (example.get("sysctl"), example.get("sysctl_conf"))
                contexts.append(examine("web1", facts, *set_, example.get("topology"), file=example.get("file")))
    spoke = set()
    for context in contexts:
        chosen = applicable(frozenset(context.proposed))
        for rule in rules():
            if rule.id == "topology.hint":
                spoke.add(rule.id)  # its keys are those for which a weak sign matters
            elif rule not in chosen:
                assert list(rule.findings(context)) == []
            elif any(rule.findings(context)):
                spoke.add(rule.id)
    assert spoke == {rule.id for rule in rules()}


@pytest.mark.parametrize("rule", [*rules(), *fleet.RULES], ids=lambda rule: rule.id)
def test_rule_is_documented(rule: Any) -> None:
    family, _dot, name = rule.id.partition(".")
    assert family in (*FAMILIES, FLEET)
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


TWO_INTERFACES = [{"name": "eth0", "addresses": ["192.0.2.1/24"]}, {"name": "eth1", "addresses": ["198.51.100.1/24"]}]


@pytest.mark.parametrize(
    ("sysctl", "speaks"),
    [
        ({"net.ipv4.conf.eth0.rp_filter": 1}, True),
        ({"net.ipv4.conf.eth0.rp_filter": 1, "net.ipv4.conf.all.rp_filter": 2}, False),
        ({"net.ipv4.conf.default.rp_filter": 1}, False),
        ({"net.ipv4.conf.all.send_redirects": 1}, False),
        ({"net.ipv6.conf.all.rp_filter": 1}, False),
    ],
)
def test_strict_rp_filter_by_scope(sysctl: dict[str, int], speaks: bool) -> None:
    example = {"sysctl": sysctl, "facts": {"interfaces": TWO_INTERFACES}}
    assert bool(findings(example, "routing.strict_rp_filter")) is speaks


@pytest.mark.parametrize(
    ("topology", "speaks"),
    [
        ({"role": ["kubernetes_node"]}, True),
        ({"role": ["lvs_director"], "front": "lvs_nat"}, True),
        ({"role": ["lvs_director"], "front": "lvs_dr"}, False),
        ({"role": ["server"], "front": "lvs_nat"}, False),
        ({}, False),
    ],
)
def test_who_must_forward(topology: dict[str, Any], speaks: bool) -> None:
    example = {"sysctl": {"net.ipv4.ip_forward": 0}, "topology": topology}
    assert bool(findings(example, "routing.forwarding_off")) is speaks


def test_listeners_that_were_in_the_range_before() -> None:
    example = {
        "sysctl": {"net.ipv4.ip_local_port_range": "1024 65535"},
        "facts": {
            "sysctl": {"net.ipv4.ip_local_port_range": "32768 60999"},
            "listeners": [
                {"port": 8080},
                {"port": 32768},
                {"port": 40000},
                {"port": 60999},
                {"port": 61000},
                {"port": 80},
            ],
        },
    }
    (finding,) = findings(example, "ports.listeners_in_range")
    assert "2 listening ports of this host: 8080,61000." in finding.message


@pytest.mark.parametrize(
    ("key", "facts", "rule"),
    [
        ("net.ipv4.tcp_thin_dupack", {}, "kernel.removed"),
        ("net.ipv4.tcp_thin_dupack", {"sysctl_complete": True}, "kernel.removed"),
        ("net.ipv4.tcp_tw_reuse_delay", {"sysctl_complete": True}, "kernel.not_yet_there"),
        ("net.ipv4.tcp_tw_timeout", {"sysctl_complete": True}, "kernel.vendor_only"),
        ("net.ipv4.netfilter.ip_conntrack_max", {"sysctl_complete": True}, "kernel.renamed"),
        ("net.bridge.bridge-nf-call-iptables", {"sysctl_complete": True}, "kernel.module_not_loaded"),
        ("net.ipv4.conf.eth9.rp_filter", {"sysctl_complete": True}, "kernel.absent"),
        ("net.ipv6.conf.all.forwarding", {"sysctl_complete": True}, "kernel.absent"),
        ("net.ipv4.tcp_sack", {"sysctl_complete": True}, "kernel.absent"),
        (
            "net.core.dev_weight",
            {"sysctl_complete": True, "virtualization": {"own_network_namespace": True}},
            "kernel.not_in_namespace",
        ),
        (
            "net.ipv4.tcp_sack",
            {"sysctl_complete": True, "virtualization": {"own_network_namespace": True}},
            "kernel.absent",
        ),
    ],
)
def test_one_reason_for_what_is_missing(key: str, facts: dict[str, Any], rule: str) -> None:
    result = validate("web1", {"kernel": {"release": "6.1.0"}, **facts}, sysctl={key: 60})
    assert [finding.rule for finding in result.findings if finding.rule.startswith("kernel.")] == [rule]


def test_read_only_says_whose_it_is() -> None:
    facts: dict[str, Any] = {"sysctl_read_only": ["net.core.rmem_max"]}
    example = {"sysctl": {"net.core.rmem_max": 8388608, "net.netfilter.nf_conntrack_count": 1}, "facts": facts}
    here, by_nature = findings(example, "kernel.read_only")
    assert here.keys == ("net.core.rmem_max",)
    assert here.fix == by_nature.fix == "Leave the line out."
    facts["virtualization"] = {"own_network_namespace": True}
    here, by_nature = findings(example, "kernel.read_only")
    assert here.fix.startswith("Set it on the machine that carries this host")
    assert by_nature.fix == "Leave the line out."


def test_a_glob_that_matches_nothing_known_is_not_planned() -> None:
    result = validate("a", {"kernel": {"release": "6.1.0"}}, sysctl_conf="net.ipv4.conf.*.rp_filter = 2\n")
    assert result.plan == ()
    assert [finding.rule for finding in result.findings] == []


@pytest.mark.parametrize(
    ("number", "pages", "severity"),
    [
        (100, 4096, None),
        (2**21, 4096, None),
        (2**21 + 1, 4096, "warning"),
        (2**22, 4096, "warning"),
        (2**22 + 1, 4096, "error"),
    ],
)
def test_pages_by_share_of_memory(number: int, pages: int, severity: str | None) -> None:
    facts = {"memory_bytes": 2**34, "page_size": pages}
    found = findings({"sysctl": {"net.ipv4.udp_mem": f"1 2 {number}"}, "facts": facts}, "buffers.pages_beyond_memory")
    assert [finding.severity for finding in found] == ([severity] if severity else [])


@pytest.mark.parametrize(("seconds", "severity"), [(9, "warning"), (10, "info"), (59, "info"), (60, None), (90, None)])
def test_fin_timeout_by_length(seconds: int, severity: str | None) -> None:
    found = findings({"sysctl": {"net.ipv4.tcp_fin_timeout": seconds}}, "timewait.fin_timeout_is_not_time_wait")
    assert [finding.severity for finding in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("facts", "speaks"),
    [
        ({}, False),  # nothing to compare with
        ({"memory_bytes": 2**34}, True),  # the kernel would have chosen 65536
        ({"memory_bytes": 2**30}, False),  # the kernel would have chosen 4096
        ({"sysctl": {"net.ipv4.tcp_max_tw_buckets": "5000"}}, False),
        ({"sysctl": {"net.ipv4.tcp_max_tw_buckets": "5001"}}, True),
    ],
)
def test_buckets_against_what_is_known(facts: dict[str, Any], speaks: bool) -> None:
    example = {"sysctl": {"net.ipv4.tcp_max_tw_buckets": 5000}, "facts": facts}
    assert bool(findings(example, "timewait.buckets_lowered")) is speaks


def test_turning_timestamps_on_where_nothing_is_known_of_clients() -> None:
    example = {"sysctl": {"net.ipv4.tcp_timestamps": 1}, "facts": {"sysctl": {"net.ipv4.tcp_timestamps": "0"}}}
    (finding,) = findings(example, "timewait.timestamps_behind_nat")
    assert finding.severity == "info"
    # Already on: nothing is turned on.
    example["facts"] = {"sysctl": {"net.ipv4.tcp_timestamps": "2"}}
    assert findings({**example, "topology": {"front": "nat"}}, "timewait.timestamps_behind_nat") == []


def test_a_later_file_that_unsets() -> None:
    files = [{"path": "/etc/sysctl.d/99-a.conf", "text": "-net.core.somaxconn\n"}]
    (finding,) = findings({"sysctl": {"net.core.somaxconn": 1}, "facts": {"sysctl_files": files}}, "boot.overridden")
    assert finding.fix == "Remove the line -net.core.somaxconn."


def test_timestamps_wake_a_recycle_that_was_asleep() -> None:
    live = {"net.ipv4.tcp_tw_recycle": "1", "net.ipv4.tcp_timestamps": "0"}
    example: dict[str, Any] = {
        "sysctl": {"net.ipv4.tcp_timestamps": 1},
        "facts": {"kernel": {"release": "4.9.0"}, "sysctl": live},
        "topology": {"front": "nat"},
    }
    (finding,) = findings(example, "timewait.recycle_hazard")
    assert finding.message.startswith("net.ipv4.tcp_tw_recycle = 1 on kernel 4.9.0")
    live["net.ipv4.tcp_timestamps"] = "1"
    assert findings(example, "timewait.recycle_hazard") == []


def test_globs_and_unusable_keys_are_no_duplicates() -> None:
    facts = {"sysctl": {"net.ipv4.conf.eth0.rp_filter": "0"}}
    text = "net.ipv4.conf.*.rp_filter = 1\nnet.ipv4.conf.e*.rp_filter = 1\nbroken\nbroken\n"
    assert findings({"sysctl_conf": text, "facts": facts}, "form.duplicate") == []
    assert findings({"sysctl_conf": text, "facts": facts}, "form.conflict") == []


@pytest.mark.parametrize(
    ("live", "severity"),
    [
        ({}, "warning"),  # nothing known of the interface
        ({"net.ipv4.conf.all.arp_announce": "0"}, "warning"),
        ({"net.ipv4.conf.all.arp_announce": "0", "net.ipv4.conf.eth0.arp_announce": "1"}, "error"),
        ({"net.ipv4.conf.all.arp_announce": "1", "net.ipv4.conf.eth0.arp_announce": "1"}, "error"),
        ({"net.ipv4.conf.eth0.arp_announce": "2"}, None),
        ({"net.ipv4.conf.all.arp_announce": "2"}, None),
    ],
)
def test_lo_alone_by_what_is_known(live: dict[str, str], severity: str | None) -> None:
    example = {
        "sysctl": {"net.ipv4.conf.lo.arp_announce": 2},
        "facts": {"sysctl": live, "interfaces": [{"name": "eth0", "addresses": ["192.0.2.1/24"]}]},
        "topology": {"front": "lvs_dr"},
    }
    found = findings(example, "lvs.arp_on_lo_only")
    assert [finding.severity for finding in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"all.arp_ignore": 2}, ""),
        ({"eth0.arp_ignore": 0}, ""),  # conf.all is larger
        ({"all.arp_ignore": 0}, "draws its traffic away"),
        ({"all.arp_ignore": 3}, "draws its traffic away"),
        ({"eth0.arp_ignore": 4}, "draws its traffic away"),
        ({"all.arp_ignore": 8}, ""),  # hides all addresses
        ({"all.arp_announce": 1}, "tells its neighbours"),
        ({"all.arp_announce": 3}, "tells its neighbours"),
    ],
)
def test_which_arp_settings_hide_the_virtual_address(values: dict[str, int], wrong: str) -> None:
    live = {"all.arp_ignore": "1", "all.arp_announce": "2", "eth0.arp_ignore": "0", "eth0.arp_announce": "0"}
    example = {
        "sysctl": {f"net.ipv4.conf.{key}": value for key, value in values.items()},
        "facts": {
            "sysctl": {f"net.ipv4.conf.{key}": value for key, value in live.items()},
            "interfaces": [{"name": "eth0", "addresses": ["192.0.2.1/24"]}],
        },
        "topology": {"front": "lvs_dr", "vips": ["192.0.2.100"]},
    }
    assert [wrong in finding.message for finding in findings(example, "lvs.arp_unfit")] == ([True] if wrong else [])
    assert not findings(example, "lvs.arp_missing")


def test_arp_settings_for_later_interfaces_leave_those_that_are_there() -> None:
    example = {
        "sysctl": {"net.ipv4.conf.default.arp_ignore": 1},
        "facts": {
            "sysctl": {"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.eth0.arp_ignore": "0"},
            "interfaces": [{"name": "eth0", "addresses": ["192.0.2.1/24"]}],
        },
        "topology": {"front": "lvs_dr", "vips": ["192.0.2.100"]},
    }
    assert findings(example, "lvs.arp_missing")


@pytest.mark.parametrize(
    ("tunnel", "rejected"),
    [
        ({"addresses": [], "state": "unknown"}, True),
        ({"addresses": ["192.0.2.100/32"], "state": "unknown"}, False),
        ({"addresses": [], "state": "down"}, False),
        ({}, False),
    ],
)
def test_the_loose_filter_on_a_tunnel_without_an_address(tunnel: dict[str, Any], rejected: bool) -> None:
    example = {
        "sysctl": {"net.ipv4.conf.all.rp_filter": 2},
        "facts": {
            "sysctl": {"net.ipv4.conf.tunl0.rp_filter": "0"},
            "interfaces": [{"name": "eth0", "addresses": ["192.0.2.1/24"]}, {"name": "tunl0", **tunnel}],
        },
        "topology": {"front": "lvs_tun"},
    }
    assert bool(findings(example, "lvs.strict_rp_filter_with_tunnel")) is rejected


@pytest.mark.parametrize(
    ("addresses", "severity"),
    [
        ({"eth0": ["192.0.2.1/24"], "eth1": ["198.51.100.1/24"]}, "warning"),
        ({"eth1": ["198.51.100.1/24"]}, "error"),
        ({"eth0": ["192.0.2.1/24"], "eth1": []}, None),
    ],
)
def test_forwarding_off_for_one_interface(addresses: dict[str, list[str]], severity: str | None) -> None:
    example = {
        "sysctl": {"net.ipv4.conf.eth1.forwarding": 0},
        "facts": {"interfaces": [{"name": name, "addresses": has} for name, has in addresses.items()]},
        "topology": {"role": ["lvs_director"], "front": "lvs_nat"},
    }
    assert [finding.severity for finding in findings(example, "routing.forwarding_off")] == [severity] * bool(severity)


@pytest.mark.parametrize(
    ("front", "values", "severity", "instead"),
    [
        ("lvs_nat", {"conn_reuse_mode": 0}, "warning", "conn_reuse_mode = 1 instead"),
        ("lvs_nat", {"conn_reuse_mode": 1}, None, ""),
        ("lvs_dr", {"conn_reuse_mode": 0}, "warning", "conn_reuse_mode = 3 instead"),
        ("lvs_dr", {"conn_reuse_mode": 1}, "info", "conn_reuse_mode = 3 instead"),
        ("lvs_tun", {"conn_reuse_mode": 3}, None, ""),
        ("lvs_dr", {"conn_reuse_mode": 0, "expire_nodest_conn": 1}, None, ""),
    ],
)
def test_whom_a_director_sends_a_client_that_comes_back(
    front: str, values: dict[str, int], severity: str | None, instead: str
) -> None:
    example = {
        "sysctl": {f"net.ipv4.vs.{key}": value for key, value in values.items()},
        "topology": {"role": ["lvs_director"], "front": front},
    }
    found = findings(example, "lvs.connection_reuse")
    assert [finding.severity for finding in found] == [severity] * bool(severity)
    assert all(instead in finding.fix for finding in found)


@pytest.mark.parametrize(("waiting", "said"), [(6000, "1000 of them are more than it allows"), (400, "at this moment")])
def test_buckets_against_what_waits(waiting: int, said: str) -> None:
    facts = {"sysctl": {"net.ipv4.tcp_max_tw_buckets": "131072"}, "sockets": {"tcp": {"TIME_WAIT": waiting}}}
    (finding,) = findings({"sysctl": {"net.ipv4.tcp_max_tw_buckets": 5000}, "facts": facts}, "timewait.buckets_lowered")
    assert f"{waiting} connections are in TIME_WAIT" in finding.message
    assert said in finding.message


def test_timestamps_that_are_off_already() -> None:
    example = {"sysctl": {"net.ipv4.tcp_timestamps": 0}, "facts": {"sysctl": {"net.ipv4.tcp_timestamps": "0"}}}
    (finding,) = findings(example, "timewait.timestamps_off")
    assert "= 0 leaves off" in finding.message


@pytest.mark.parametrize(
    ("sysctl", "release", "said"),
    [
        ({"net.ipv4.tcp_syn_retries": 6}, "6.1.0", "after 2 min 7 s"),
        # Four tries more, at a second each.
        ({"net.ipv4.tcp_syn_retries": 6}, "6.6.0", "after 2 min 11 s"),
        ({"net.ipv4.tcp_syn_retries": 6, "net.ipv4.tcp_syn_linear_timeouts": 0}, "6.6.0", "after 2 min 7 s"),
        ({"net.ipv4.tcp_synack_retries": 5}, "6.1.0", "after 1 min 3 s"),
        ({"net.ipv4.tcp_retries2": 20}, "6.1.0", "after about 25 min 25 s"),
        ({"net.ipv4.tcp_retries2": 5}, "6.1.0", "after about 12.6 s"),
        ({"net.ipv4.tcp_keepalive_time": 600}, "6.1.0", "noticed 21 min 15 s after"),
        ({"net.ipv4.ip_local_port_range": "1024 65535"}, "6.1.0", "1075 new connections a second"),
        ({"net.ipv4.ip_local_port_range": "32768 60999"}, "6.1.0", "470 new connections a second"),
    ],
)
def test_numbers_become_times_and_rates(sysctl: dict[str, Any], release: str, said: str) -> None:
    result = validate("web1", {"kernel": {"release": release}}, sysctl=sysctl)
    assert any(said in finding.message for finding in result.findings), [one.message for one in result.findings]


@pytest.mark.parametrize(
    ("retries", "severity"),
    [(1, "warning"), (2, "info")],
)
def test_a_handshake_of_two_packets(retries: int, severity: str) -> None:
    (finding,) = findings({"sysctl": {"net.ipv4.tcp_syn_retries": retries}}, "connections.handshake_retries")
    assert finding.severity == severity


def test_low_confidence_turns_no_warning_into_an_error() -> None:
    example: dict[str, Any] = {
        "sysctl": {"net.ipv4.tcp_rfc1337": 1},
        "facts": {"topology": {"clients_behind_nat": {"value": True, "confidence": "low"}}},
    }
    (finding,) = findings(example, "timewait.rfc1337_behind_nat")
    assert finding.severity == "warning"
    example["facts"]["topology"]["clients_behind_nat"]["confidence"] = "medium"
    (finding,) = findings(example, "timewait.rfc1337_behind_nat")
    assert finding.severity == "error"


def test_what_follows_a_remark_is_not_part_of_the_number() -> None:
    example = {"sysctl_conf": "net.ipv4.tcp_timestamps = 0   # saves bytes\n"}
    assert findings(example, "form.not_a_number")
    assert findings(example, "timewait.timestamps_off")


@pytest.mark.parametrize(
    ("path", "said", "remedy"),
    [
        ("/usr/lib/sysctl.d/99-vendor.conf", "a file of a package", "mask that file"),
        ("/run/sysctl.d/99-vendor.conf", "a file that a program wrote since boot", "Remove line 2 of /run"),
        ("/etc/sysctl.d/99-site.conf", "/etc/sysctl.d/99-site.conf is read after", "sorts after 99-site.conf."),
        ("/etc/sysctl.conf", "which procps reads last of all", "Remove line 2 of /etc/sysctl.conf."),
    ],
)
def test_whose_file_wins(path: str, said: str, remedy: str) -> None:
    files = [{"path": path, "text": "\nnet.core.somaxconn = 128\n"}]
    # procps is what reads /etc/sysctl.conf.
    facts = {"sysctl_files": files, "service_manager": "other" if path == "/etc/sysctl.conf" else "systemd"}
    (finding,) = findings({"sysctl": {"net.core.somaxconn": 4096}, "facts": facts}, "boot.overridden")
    assert said in finding.reason
    assert remedy in finding.fix
    assert f"{path}, line 2, then sets 128" in finding.message


@pytest.mark.parametrize(
    ("writer", "key", "remedy"),
    [
        ("tuned", "net.core.somaxconn", "tuned-adm verify"),
        ("ufw", "net.ipv4.tcp_sack", "/etc/ufw/sysctl.conf"),
        ("kube-proxy", "net.netfilter.nf_conntrack_max", "conntrack.maxPerCore"),
        ("cilium", "net.ipv4.conf.all.rp_filter", "the configuration of cilium"),
    ],
)
def test_where_another_writer_is_told(writer: str, key: str, remedy: str) -> None:
    (finding,) = findings({"sysctl": {key: 1}, "facts": {"writers": [{"name": writer}]}}, "boot.another_writer")
    assert remedy in finding.fix
    assert finding.severity == "info"


def test_docker_needs_forwarding() -> None:
    facts = {"writers": [{"name": "docker", "evidence": "/run/docker.sock"}]}
    (finding,) = findings({"sysctl": {"net.ipv4.ip_forward": 0}, "facts": facts}, "boot.another_writer")
    assert finding.severity == "warning"
    assert "/run/docker.sock" in finding.reason


def test_a_key_that_forwarding_undoes() -> None:
    facts = {"sysctl": {"net.ipv4.ip_forward": "1"}}
    before = {"net.ipv4.conf.all.accept_redirects": 0, "net.ipv4.ip_forward": 0}
    (finding,) = findings({"sysctl": before, "facts": facts}, "routing.forwarding_resets")
    assert finding.severity == "warning"
    after = dict(reversed(before.items()))
    (finding,) = findings({"sysctl": after, "facts": facts}, "routing.forwarding_resets")
    assert finding.severity == "info"


def test_fleet_findings_name_hosts_and_waivers_of_theirs_are_left_to_the_fleet() -> None:
    example = EXAMPLES["fleet.uneven_within_stratum"]["speaks"]
    (finding,) = findings(example, "fleet.uneven_within_stratum")
    assert finding.as_dict()["hosts"] == ["web3"]
    waiver = {"rule": "fleet.uneven_within_stratum", "reason": "They are being replaced"}
    result = validate("web1", {"kernel": {"release": "6.1.0"}}, {"net.ipv4.tcp_sack": 1}, raw_waivers=[waiver])
    assert result.findings == ()

    def ids(**more: Any) -> tuple[list[str], list[str]]:
        remaining, waived = review_fleet(members(example["hosts"]), [{**waiver, **more}])
        return [finding.rule for finding in remaining], [finding.rule for finding, _waiver in waived]

    uneven = "fleet.uneven_within_stratum"
    assert ids() == ids(hosts=["web3"]) == ([], [uneven])
    assert ids(hosts=["web1"]) == ([uneven, "waiver.unused"], [])
    assert ids(expires="2020-01-01") == ([uneven, "waiver.expired"], [])


@pytest.mark.parametrize(
    ("release", "known", "severity"),
    [
        ("6.18.44", True, "warning"),
        ("6.1.0", True, "warning"),  # a vendor may have taken it over
        ("6.18.44", False, None),
        ("6.18.44", None, "info"),
        ("6.12.94", None, "info"),
        ("6.1.0", None, None),
    ],
)
def test_offsets_by_symbols_then_by_version(release: str, known: bool | None, severity: str | None) -> None:
    example = {
        "sysctl": {"net.ipv4.tcp_timestamps": 1},
        "facts": {
            "kernel": {"release": release, "timestamp_offset_per_tuple": known},
            "sysctl": {"net.ipv4.tcp_timestamps": "2"},
        },
        "topology": {"role": ["kubernetes_node"]},
    }
    found = findings(example, "timewait.offset_per_connection")
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_offsets_of_unknown_kernels_do_not_meet_recycle() -> None:
    hosts: dict[str, Any] = {
        "old": {"facts": {"kernel": {"release": "4.9.0"}}, "sysctl": {"net.ipv4.tcp_tw_recycle": 1}},
        "new": {"facts": {"kernel": {"release": "6.18.44"}}, "sysctl": {"net.core.somaxconn": 4096}},
    }
    assert findings({"hosts": hosts}, "fleet.recycle_meets_offsets") == []
    hosts["new"]["facts"]["kernel"]["timestamp_offset_per_tuple"] = True
    (finding,) = findings({"hosts": hosts}, "fleet.recycle_meets_offsets")
    assert finding.as_dict()["hosts"] == ["old"]


@pytest.mark.parametrize(("key", "missing"), [("net.core.netdev_max_backlog", True), ("net.core.somaxconn", False)])
def test_in_a_namespace_the_catalogue_says_what_is_not_there(key: str, missing: bool) -> None:
    example = {"sysctl": {key: 8192}, "facts": {"virtualization": {"own_network_namespace": True}}}
    found = findings(example, "kernel.not_in_namespace")
    assert bool(found) is missing
    assert all("by the catalogue; not read live" in finding.message for finding in found)


def test_a_docker_host_is_no_gateway() -> None:
    signs = [{"value": "nat_gateway", "confidence": "low", "evidence": [{"fact": "2 masquerade rules"}]}]
    example = {"sysctl": {"net.ipv4.ip_forward": 0}, "facts": {"topology": {"role": signs}}}
    assert findings(example, "routing.forwarding_off") == []
    (hint,) = findings(example, "topology.hint")
    assert "2 masquerade rules" in hint.reason
    signs[0]["confidence"] = "high"
    assert findings(example, "routing.forwarding_off")


def test_rejects_seen_here_are_only_a_hint() -> None:
    sign = {"value": True, "confidence": "low", "evidence": [{"fact": "TcpExt.PAWSTimewait is 3"}]}
    facts = {"sysctl": {"net.ipv4.tcp_timestamps": "0"}, "topology": {"clients_behind_nat": sign}}
    example = {"sysctl": {"net.ipv4.tcp_timestamps": 1}, "facts": facts, "topology": {"clients_behind_nat": False}}
    assert findings(example, "topology.contradiction") == []
    assert findings(example, "timewait.timestamps_behind_nat") == []
    (hint,) = findings(example, "topology.hint")
    assert "differs from what is declared" in hint.message


@pytest.mark.parametrize(
    ("front", "said"),
    [("lvs_dr", "the director does not try another"), ("l7", "failed server"), ("none", "there is room.")],
)
def test_who_sees_a_reset(front: str, said: str) -> None:
    example = {"sysctl": {"net.ipv4.tcp_abort_on_overflow": 1}, "topology": {"front": front}}
    (finding,) = findings(example, "queues.resets_on_overflow")
    assert said in finding.reason


def test_what_holds_now_is_better_than_an_estimate() -> None:
    example: dict[str, Any] = {"sysctl": {"net.ipv4.tcp_mem": "1 2 927000000"}, "facts": {"memory_bytes": 2**34}}
    (finding,) = findings(example, "buffers.pages_beyond_memory")
    assert "here about 196608 262144 393216" in finding.fix
    example["facts"]["sysctl"] = {"net.ipv4.tcp_mem": "191151 254868 382302"}
    (finding,) = findings(example, "buffers.pages_beyond_memory")
    assert "191151 254868 382302 holds now" in finding.fix


@pytest.mark.parametrize(
    ("own", "strict"),
    [
        ({"eth0": "2", "eth1": "2"}, None),
        ({"eth0": "2", "eth1": "0"}, "eth1"),
        ({"eth0": "2", "eth1": "1"}, "eth1"),
        ({"eth0": "0", "eth1": "0"}, "eth0 or eth1"),
        ({"eth0": "2"}, "eth1"),
        ({}, "eth0 or eth1"),
    ],
)
def test_strict_filtering_of_all_acts_where_no_interface_is_looser(own: dict[str, str], strict: str | None) -> None:
    facts = {
        "interfaces": [{"name": name, "addresses": ["192.0.2.1/24"]} for name in ("eth0", "eth1")],
        "sysctl": {f"net.ipv4.conf.{name}.rp_filter": value for name, value in own.items()},
    }
    found = findings({"sysctl": {"net.ipv4.conf.all.rp_filter": 1}, "facts": facts}, "routing.strict_rp_filter")
    assert [f"come in by {strict} while" in finding.message for finding in found] == ([True] if strict else [])


@pytest.mark.parametrize(
    ("scope", "live", "severity"),
    [
        ("all", {"tunl0": "2"}, None),
        ("all", {"tunl0": "0"}, "error"),
        ("all", {}, "warning"),
        ("default", {"all": "0", "tunl0": "0"}, "warning"),
        ("default", {"all": "2", "tunl0": "0"}, None),
        ("tunl0", {"all": "2"}, None),
        ("tunl0", {"all": "0"}, "error"),
        ("tunl0", {}, "warning"),
        ("ipip1", {"all": "1"}, "error"),
        ("eth0", {"all": "0", "tunl0": "0"}, None),
    ],
)
@pytest.mark.parametrize("seen", [[], [{"name": "tunl0"}, {"name": "eth0"}]], ids=["unseen", "seen"])
def test_strict_filtering_of_a_tunnel(
    scope: str, live: dict[str, str], severity: str | None, seen: list[dict[str, str]]
) -> None:
    example = {
        "sysctl": {f"net.ipv4.conf.{scope}.rp_filter": 1},
        "facts": {
            "interfaces": seen,
            "sysctl": {f"net.ipv4.conf.{name}.rp_filter": value for name, value in live.items()},
        },
        "topology": {"front": "lvs_tun"},
    }
    found = findings(example, "lvs.strict_rp_filter_with_tunnel")
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    for finding in found:
        whole_sentences(finding)


LISTENERS = ["listener_cut_short", "accept_queue_lowered", "accept_queue_needs_restart", "no_listener_asks_for_more"]


@pytest.mark.parametrize(
    ("release", "now", "proposed", "backlogs", "said"),
    [
        # Lowered.
        ("6.1.0", "4096", 1024, [4096], {"listener_cut_short": "warning"}),
        ("6.1.0", "4096", 1024, [511, 128], {"accept_queue_lowered": "info"}),
        ("6.1.0", "4096", 1024, [None, 511], {"accept_queue_lowered": "warning"}),
        ("6.1.0", "4096", 1024, [], {"accept_queue_lowered": "warning"}),
        # Raised, and still below a listener that was started while it was higher.
        ("6.1.0", "128", 256, [1024], {"listener_cut_short": "warning", "accept_queue_needs_restart": "info"}),
        # Raised.
        ("6.1.0", "4096", 8192, [4096, 128], {"accept_queue_needs_restart": "info"}),
        ("6.1.0", "4096", 8192, [511, 128], {"no_listener_asks_for_more": "info"}),
        ("6.1.0", "4096", 8192, [None, 128], {"accept_queue_needs_restart": "info"}),
        ("6.1.0", "4096", 8192, [], {"accept_queue_needs_restart": "info"}),
        # 128 is the default of this kernel: the program may have been started before the limit was raised to 1024.
        ("4.19.0", "1024", 8192, [128], {"accept_queue_needs_restart": "info"}),
        ("6.1.0", "4096", 4096, [4096, 128], {}),
    ],
)
def test_somaxconn_against_the_queues_of_listeners(
    release: str, now: str, proposed: int, backlogs: list[int | None], said: dict[str, str]
) -> None:
    facts = {
        "kernel": {"release": release},
        "sysctl": {"net.core.somaxconn": now},
        "listeners": [{"port": 80 + number, "backlog": backlog} for number, backlog in enumerate(backlogs)],
    }
    result = validate("web1", facts, sysctl={"net.core.somaxconn": proposed})
    found = {finding.rule.partition(".")[2]: finding.severity for finding in result.findings}
    assert {name: severity for name, severity in found.items() if name in LISTENERS} == said


def test_a_cut_listener_is_named_with_its_queue() -> None:
    (finding,) = findings(EXAMPLES["queues.listener_cut_short"]["speaks"], "queues.listener_cut_short")
    assert "port 443 (4096)" in finding.message
    assert "port 22" not in finding.message
    assert finding.fix.startswith("Write net.core.somaxconn = 4096")


@pytest.mark.parametrize(
    ("release", "rule", "said"),
    [
        # Before 3.17 a SYN without a timestamp was let pass.
        ("2.6.32-754.el6.x86_64", "timewait.recycle_needs_timestamps", "does nothing"),
        ("3.16.0-4-amd64", "timewait.recycle_needs_timestamps", "does nothing"),
        # A vendor's 3.10 may have it or not.
        ("3.10.0-1160.el7.x86_64", "timewait.timestamps_off_with_recycle", "may be refused"),
        ("3.17.0", "timewait.timestamps_off_with_recycle", "is refused"),
        ("4.9.229", "timewait.timestamps_off_with_recycle", "is refused"),
    ],
)
def test_recycle_when_timestamps_go(release: str, rule: str, said: str) -> None:
    sysctl = {"net.ipv4.tcp_tw_recycle": 1, "net.ipv4.tcp_timestamps": 0}
    result = validate("web1", {"kernel": {"release": release}}, sysctl=sysctl)
    (finding,) = (finding for finding in result.findings if "net.ipv4.tcp_tw_recycle" in finding.keys)
    assert finding.rule == rule
    assert said in finding.message


def test_recycle_off_where_there_is_none() -> None:
    (finding,) = findings({"sysctl": {"net.ipv4.tcp_tw_recycle": 0}}, "timewait.recycle_removed")
    assert "a - before the key" in finding.fix
    result = validate(
        "web1", {"kernel": {"release": "6.1.0"}, "sysctl_complete": True}, None, "-net.ipv4.tcp_tw_recycle = 0"
    )
    assert [(found.rule, found.severity) for found in result.findings] == [("kernel.tolerated", "info")]


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("2 # default 5", "Write net.ipv4.tcp_synack_retries = 2, and the remark on a line of its own."),
        ("2;default", "Write net.ipv4.tcp_synack_retries = 2, and the remark on a line of its own."),
        ("2    表示重试次数", "Write net.ipv4.tcp_synack_retries = 2, and the remark on a line of its own."),
        # A unit is no remark.
        ("2 seconds", "Write decimal digits only, for example net.ipv4.tcp_synack_retries = 5 instead."),
        ("# 2", "Write decimal digits only, for example net.ipv4.tcp_synack_retries = 5 instead."),
        ("two # 2", "Write decimal digits only, for example net.ipv4.tcp_synack_retries = 5 instead."),
    ],
)
def test_a_remark_behind_a_number(value: str, fix: str) -> None:
    (finding,) = findings({"sysctl": {"net.ipv4.tcp_synack_retries": value}}, "form.not_a_number")
    assert finding.fix == fix


def test_remarks_are_not_repeated_as_values() -> None:
    sysctl = {"net.ipv4.tcp_tw_recycle": "1 # fast", "net.ipv4.tcp_timestamps": 0}
    for release in ("4.9.0", "6.1.0"):
        result = validate("web1", {"kernel": {"release": release}}, sysctl=sysctl)
        assert not [finding for finding in result.findings if "fast" in finding.message and finding.rule[:5] != "form."]


def test_a_syn_queue_is_not_cured_by_a_longer_accept_queue() -> None:
    facts = {"kernel": {"release": "3.10.0-1160.el7.x86_64"}}
    sysctl = {"net.ipv4.tcp_max_syn_backlog": 65536, "net.core.somaxconn": 32768}
    (finding,) = findings({"sysctl": sysctl, "facts": facts}, "queues.syn_backlog_capped")
    assert finding.fix.startswith("Write net.ipv4.tcp_max_syn_backlog = 32768")
