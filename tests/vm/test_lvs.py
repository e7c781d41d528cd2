# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LVS for real: what the validator says of a set, and what traffic does once it is live."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import rules
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import Validation, validate

from .lvs.network import MODES, VIP, Network

ALL, LO, ETH0, TUNNEL = (f"net.ipv4.conf.{scope}." for scope in ("all", "lo", "eth0", "tunl0"))
REUSE, EXPIRE = "net.ipv4.vs.conn_reuse_mode", "net.ipv4.vs.expire_nodest_conn"
ON_ETH0 = {ETH0 + "arp_ignore": 1, ETH0 + "arp_announce": 2}
BARE = {ALL + "arp_ignore": 0, ALL + "arp_announce": 0}


@dataclass(frozen=True)
class Case:
    """rules: what the validator says of `values`, with "!" before an error and "?" before mere information.
    damage: what clients feel once they are live.
    before: what the hosts have instead of the mode's own values; their place in the network is then declared.
    beats: how long connections last. gone: how the server of a client that comes back has left the director's table.
    """

    mode: str
    on: str
    values: Mapping[str, int]
    rules: str
    damage: str
    before: Mapping[str, int] = field(default_factory=dict)
    gone: str = ""
    beats: int = 0

    def __str__(self) -> str:
        before = f" after {_short(self.before)}" if self.before else ""
        return f"{self.on} {_short(self.values)}{before} {self.gone}".rstrip()


def _short(values: Mapping[str, int]) -> str:
    return ",".join(f"{key.removeprefix('net.ipv4.').removeprefix('conf.')}={values[key]}" for key in values)


def servers(mode: str, values: Mapping[str, int], rules: str, damage: str, **more: Any) -> Case:
    return Case(mode, "servers", values, rules, damage, **more)


def director(mode: str, values: Mapping[str, int], rules: str, damage: str, **more: Any) -> Case:
    return Case(mode, "director", values, rules, damage, **more)


LATER, RESETS = "?routing.only_for_later_interfaces", "?routing.forwarding_resets"
CASES = [
    # The virtual address is on lo of each server, arp_ignore = 1 and arp_announce = 2 for all interfaces.
    servers("dr", {ALL + "arp_ignore": 1, ALL + "arp_announce": 2}, "", "none"),
    servers("dr", {ALL + "arp_ignore": 2}, "", "none"),
    servers("dr", {ETH0 + "arp_ignore": 0, ETH0 + "arp_announce": 0}, "", "none"),
    servers("dr", {ALL + "rp_filter": 1}, "", "none"),
    servers("dr", {ALL + "arp_ignore": 0}, "!lvs.arp_unfit", "arp_leak"),
    servers("dr", {ALL + "arp_announce": 0}, "!lvs.arp_unfit", "arp_leak"),
    servers("dr", {ALL + "arp_announce": 1}, "!lvs.arp_unfit", "arp_leak"),
    servers("dr", {ALL + "arp_announce": 3}, "!lvs.arp_unfit", "arp_leak"),
    servers("dr", {ALL + "arp_ignore": 3}, "!lvs.arp_unfit", "arp_leak"),
    servers("dr", {ALL + "arp_ignore": 4}, "!lvs.arp_unfit", "arp_leak"),
    servers("dr", {ALL + "arp_ignore": 8}, "!routing.arp_unanswered", "timeout"),
    servers("dr", ON_ETH0, "", "none", before=BARE),
    servers("dr", {ALL + "arp_ignore": 0}, "routing.lowered_in_vain", "none", before=ON_ETH0),
    servers("dr", {LO + "arp_ignore": 1, LO + "arp_announce": 2}, "!lvs.arp_on_lo_only", "arp_leak", before=BARE),
    servers("dr", {"net.ipv4.conf.default.arp_ignore": 1}, f"{LATER} lvs.arp_missing", "arp_leak", before=BARE),
    servers("dr", {"net.ipv4.tcp_fin_timeout": 30}, "lvs.arp_missing", "arp_leak", before=BARE),
    director("dr", {"net.ipv4.ip_forward": 0}, "", "none"),
    director("dr", {"net.ipv4.ip_forward": 1}, RESETS, "none"),
    director("dr", {ALL + "rp_filter": 1}, "", "none"),
    director("dr", {ALL + "arp_ignore": 1, ALL + "arp_announce": 2}, "", "none"),
    director("dr", {ALL + "arp_ignore": 8}, "!routing.arp_unanswered", "timeout"),
    director("dr", {REUSE: 0}, "lvs.connection_reuse", "old_server", gone="drained"),
    director("dr", {REUSE: 0}, "lvs.connection_reuse", "timeout", gone="removed"),
    director("dr", {REUSE: 1}, "?lvs.connection_reuse", "old_server", gone="drained"),
    director("dr", {REUSE: 3}, "", "none", gone="drained"),
    director("dr", {REUSE: 3}, "", "none", gone="removed"),
    director("dr", {REUSE: 0, EXPIRE: 1}, "", "none", gone="drained"),
    servers("dr_two_ways", {ALL + "rp_filter": 1}, "routing.strict_rp_filter", "timeout"),
    servers("dr_two_ways", {ALL + "rp_filter": 2}, "", "none"),
    servers("tun", {ALL + "rp_filter": 1}, "!lvs.strict_rp_filter_with_tunnel", "timeout"),
    servers("tun", {TUNNEL + "rp_filter": 1}, "!lvs.strict_rp_filter_with_tunnel", "timeout"),
    servers("tun", {ETH0 + "rp_filter": 1}, "", "none"),
    servers("tun", {TUNNEL + "rp_filter": 2, ALL + "rp_filter": 1}, "", "none"),
    servers("tun", {ALL + "rp_filter": 2}, "", "none"),
    servers("tun", {ALL + "arp_ignore": 0}, "!lvs.arp_unfit", "arp_leak"),
    director("tun", {"net.ipv4.ip_forward": 0}, "", "none"),
    servers("tun_bare", {ALL + "rp_filter": 2}, "!lvs.strict_rp_filter_with_tunnel", "timeout"),
    servers("tun_bare", {TUNNEL + "rp_filter": 2}, "!lvs.strict_rp_filter_with_tunnel", "timeout"),
    servers("tun_bare", {ALL + "rp_filter": 0}, "", "none"),
    director("nat", {"net.ipv4.ip_forward": 0}, f"!routing.forwarding_off {RESETS}", "timeout"),
    director("nat", {ALL + "forwarding": 0}, "!routing.forwarding_off", "timeout"),
    director("nat", {"net.ipv4.conf.eth1.forwarding": 0}, "routing.forwarding_off", "timeout"),
    director("nat", {ETH0 + "forwarding": 0}, "routing.forwarding_off", "none"),
    director("nat", {ALL + "rp_filter": 1}, "routing.strict_rp_filter", "none"),
    director("nat", {ALL + "send_redirects": 1}, "", "none"),
    director("nat", {REUSE: 0}, "lvs.connection_reuse", "old_server", gone="drained"),
    director("nat", {REUSE: 1}, "", "none", gone="drained"),
    servers("nat", {ALL + "rp_filter": 1}, "", "none"),
    servers("nat", {"net.ipv4.ip_forward": 0}, "", "none"),
    # A server heeds redirects once a connection is established and the client's hardware address known.
    director("nat_one_arm", {ALL + "send_redirects": 1}, "lvs.director_redirects", "timeout", beats=20),
    director("nat_one_arm", {ALL + "send_redirects": 0}, "", "none", beats=20),
    director("nat_one_arm", {"net.ipv4.ip_forward": 0}, f"!routing.forwarding_off {RESETS}", "timeout"),
]

# Rules of these families that no case above is for, and why.
WITHOUT_TRAFFIC = {
    "lvs.other_forwarding_method": "says that a key does nothing, with this way of forwarding",
    "routing.ends_here": "says whose connections are meant, not that any suffers",
    "routing.router_ignores_advertisements": "about IPv6, which this network does not have",
    "routing.bridge_bypasses_services": "about the bridge of a Kubernetes node, and no bridge is here",
    "routing.neighbour_table": "about more neighbours than there are hosts here",
    "routing.path_mtu_discovery_off": "about a path narrower than its ends, and all links here are alike",
}


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest, machine: Any) -> Iterator[Network]:
    made = Network(machine, request.param)
    yield made
    made.close()


def by_mode(cases: list[tuple[str, Any]]) -> Any:
    """Each mode's network is made once for all tests."""
    return pytest.mark.parametrize(("network", "case"), cases, indirect=["network"], ids=str, scope="module")


@contextlib.contextmanager
def live(hosts: list[Any], values: Mapping[str, int]) -> Iterator[None]:
    former = [(host, host.write(values)) for host in hosts]
    try:
        yield
    finally:
        for host, old in former:
            host.write(old)


def said(result: Validation) -> str:
    """The rules that speak, of the families that this is about, as a case has them."""
    marks = {"error": "!", "warning": "", "info": "?"}
    found = [(finding.rule, marks[finding.severity]) for finding in result.findings]
    return " ".join(sorted({mark + rule for rule, mark in found if rule.startswith(("lvs.", "routing.", "topology."))}))


ON_LO = [f"{VIP}/32 on lo", "effective arp_ignore 1, arp_announce 2"]
# mode -> the front of director and servers, what is seen on the director, and on a server with which confidence.
PLACES = {
    "dr": ("lvs_dr", "2 real servers by Route", "high", ON_LO),
    "dr_two_ways": ("lvs_dr", "2 real servers by Route", "high", ON_LO),
    "tun": ("lvs_tun", "2 real servers by Tunnel", "medium", [f"{VIP}/32 on tunl0"]),
    "tun_bare": ("lvs_tun", "2 real servers by Tunnel", "high", [*ON_LO, "tunl0 is up, without an address"]),
    "nat": ("lvs_nat", "2 real servers by Masq", None, []),
    "nat_one_arm": ("lvs_nat", "2 real servers by Masq", None, []),
}


@pytest.mark.kernels("6.1")
@by_mode([(mode, mode) for mode in MODES])
def test_each_host_shows_its_place(network: Network, case: str) -> None:
    front, on_director, confidence, on_server = PLACES[case]
    director, server, client = (
        network.facts(host, {})["topology"] for host in (network.director, network.servers[0], network.clients[0])
    )
    assert [(role["value"], role["confidence"]) for role in director["role"]] == [("lvs_director", "high")]
    assert (director["front"]["value"], director["front"]["confidence"]) == (front, "high")
    for sign in (director["role"][0], director["front"]):
        assert sign["evidence"] == [{"fact": on_director, "seen_at": "/proc/net/ip_vs"}]
    if confidence is None:  # Nothing on a real server behind NAT tells of the director.
        assert server == {}
    else:
        assert (server["front"]["value"], server["front"]["confidence"]) == (front, confidence)
        assert [one["fact"] for one in server["front"]["evidence"]] == on_server
        assert [vip["value"] for vip in server["vips"]] == [VIP]
    assert client == {}


@pytest.mark.kernels("6.1")
@by_mode([(case.mode, case) for case in CASES])
def test_the_validator_and_the_traffic_agree(network: Network, case: Case) -> None:
    hosts = network.servers if case.on == "servers" else [network.director]
    front = "lvs_" + case.mode.partition("_")[0]
    role = "server" if case.on == "servers" else "lvs_director"
    declared = {"front": front, "role": [role], "vips": [VIP]} if case.before else None
    with live(hosts, case.before):
        facts = network.facts(hosts[0], case.before)
        result = validate(hosts[0].name, facts, sysctl=case.values, declared_topology=declared)
        with live(hosts, case.values):
            damage, seen = network.come_back(case.gone) if case.gone else network.look(case.beats)
    print(f"{case.mode}, {case}: {said(result) or 'nothing to say'}; {damage} ({seen})")
    assert (said(result), damage) == (case.rules, case.damage), seen


def test_what_is_refused_does_damage_and_what_does_damage_is_spoken_of() -> None:
    for case in CASES:
        assert case.damage != "none" or "!" not in case.rules, case
        assert case.damage == "none" or case.rules, case


def test_each_rule_has_traffic_or_a_reason_for_none() -> None:
    registered = {rule.id for rule in rules() if rule.id.startswith(("lvs.", "routing."))}
    with_traffic = {word.lstrip("!?") for case in CASES for word in case.rules.split()}
    assert registered == with_traffic | WITHOUT_TRAFFIC.keys()
    assert not with_traffic & WITHOUT_TRAFFIC.keys()


KEEPALIVED = f"""
virtual_server {VIP} 80 {{
  lb_algo rr
  lb_kind DR
  protocol TCP
  real_server 192.0.2.11 80 {{
  }}
  real_server 192.0.2.12 80 {{
  }}
}}
"""


@pytest.mark.kernels("6.1")
@by_mode([("dr", "keepalived")])
def test_keepalived_makes_a_director(network: Network, case: str) -> None:
    with network.keepalived(KEEPALIVED):
        active = network.director.ask("facts")["topology"]
        damage, seen = network.look()
    standby = network.director.ask("facts")["topology"]
    configured = {"fact": "lb_kind DR", "seen_at": "/etc/keepalived/keepalived.conf"}
    for topology, confidence in ((active, "high"), (standby, "medium")):
        for sign, value in ((topology["role"][0], "lvs_director"), (topology["front"], "lvs_dr")):
            assert (sign["value"], sign["confidence"]) == (value, confidence)
            assert configured in sign["evidence"]
    assert damage == "none", seen
