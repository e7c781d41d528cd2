# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import struct

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils import _nat, _topology

IP_VS = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0000264:0050 wlc
  -> C000020B:0050      Route   1      0          0
  -> C000020A:0050      Route   1      12         3
TCP  [2001:0db8:0000:0000:0000:0000:0000:0064]:0050 rr
  -> [2001:0db8:0000:0000:0000:0000:0000:000a]:0050      Masq    1      0          0
"""

SAVED = """\
*nat
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.7
-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE
-A POSTROUTING -s 172.16.0.0/12 -j SNAT --to-source 192.0.2.1 --random-fully
-A POSTROUTING -s 192.168.0.0/16 -o eth0 -j MASQUERADE
-A OUTPUT -j ACCEPT
COMMIT
"""


def attribute(kind, data):
    padded = data + b"\0" * (-len(data) % 4)
    return struct.pack("=HH", 4 + len(data), kind) + padded


def test_real_servers_of_ip_vs_by_method():
    assert _topology.parse_ip_vs(IP_VS) == {"Route": 2, "Masq": 1}
    assert _topology.parse_ip_vs("\n".join(IP_VS.splitlines()[:3])) == {}


def test_saved_rules_of_iptables():
    assert _nat.parse_saved(SAVED) == {
        ("dnat", "nat", "PREROUTING"): 1,
        ("masquerade", "nat", "POSTROUTING"): 2,
        ("snat", "nat", "POSTROUTING"): 1,
    }


@pytest.mark.parametrize(
    ("expressions", "kind"),
    [
        (attribute(1, b"masq\0"), "masquerade"),
        (attribute(1, b"nat\0") + attribute(2, attribute(1, b"\0\0\0\0")), "snat"),
        (attribute(1, b"nat\0") + attribute(2, attribute(1, b"\0\0\0\1")), "dnat"),
        (attribute(1, b"target\0") + attribute(2, attribute(1, b"MASQUERADE\0")), "masquerade"),
        (attribute(1, b"counter\0"), None),
        (b"", None),
    ],
)
def test_kind_of_a_rule(expressions, kind):
    assert _nat.kind_of_rule(expressions) == kind


def interface(name, addresses, kind=None, state="up"):
    return {"name": name, "kind": kind, "addresses": addresses, "state": state}


def find(interfaces, sysctl=None, counters=None, sockets=None, processes=None):
    return _topology.find(interfaces, sysctl or {}, counters or {}, sockets or {}, processes or {})[0]


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch):
    """Only what a test hands over: nothing of the machine that runs it."""
    monkeypatch.setattr(_nat, "nf_tables", dict)
    monkeypatch.setattr(_nat, "ip_tables", dict)
    monkeypatch.setattr(_topology, "read_text", lambda path, limit=0: None)


def test_without_a_sign_nothing_is_said():
    assert find([interface("lo", ["127.0.0.1/8", "::1/128"]), interface("eth0", ["192.0.2.10/24"])]) == {}


def test_an_address_on_a_tunnel_is_lvs_tun():
    found = find([interface("tunl0", ["192.0.2.100/32"], "ipip"), interface("eth0", ["192.0.2.10/24"])])
    assert found["front"]["value"] == "lvs_tun"
    assert [vip["value"] for vip in found["vips"]] == ["192.0.2.100"]


@pytest.mark.parametrize(
    ("addresses", "state", "front"),
    [([], "unknown", "lvs_tun"), ([], "down", "lvs_dr"), (["198.51.100.1/30"], "unknown", "lvs_dr")],
)
def test_a_tunnel_that_is_up_without_an_address_is_lvs_tun(addresses, state, front):
    tunnel = interface("tunl0", addresses, "ipip", state)
    interfaces = [interface("lo", ["192.0.2.100/32"]), interface("eth0", ["192.0.2.10/24"]), tunnel]
    quiet = {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"}
    assert find(interfaces, quiet)["front"]["value"] == front


def test_a_tunnel_between_pods_is_no_front():
    interfaces = [interface("tunl0", ["10.244.7.0/32"], "ipip"), interface("eth0", ["192.0.2.10/24"])]
    assert set(find(interfaces, processes={"kubelet": 7})) == {"role"}


@pytest.mark.parametrize(
    ("ignore", "announce", "confidence"), [(1, 2, "high"), (2, 2, "high"), (3, 2, "low"), (8, 2, "low"), (1, 3, "low")]
)
def test_only_arp_settings_that_hide_the_address_speak_for_lvs_dr(ignore, announce, confidence):
    interfaces = [interface("lo", ["192.0.2.100/32"]), interface("eth0", ["192.0.2.10/24"])]
    sysctl = {"net.ipv4.conf.all.arp_ignore": str(ignore), "net.ipv4.conf.all.arp_announce": str(announce)}
    assert find(interfaces, sysctl)["front"]["confidence"] == confidence


def test_arp_settings_act_on_the_device_with_neighbours_and_by_the_larger_value():
    interfaces = [interface("lo", ["192.0.2.100/32"]), interface("eth0.100", ["192.0.2.10/24"])]
    sysctl = {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.eth0/100.arp_announce": "2"}
    assert find(interfaces, sysctl)["front"]["confidence"] == "high"
    elsewhere = {"net.ipv4.conf.lo.arp_ignore": "1", "net.ipv4.conf.lo.arp_announce": "2"}
    assert find(interfaces, elsewhere)["front"]["confidence"] == "low"


def test_a_director_by_its_table_and_by_its_configuration(monkeypatch):
    files = {"/proc/net/ip_vs": IP_VS, "/etc/keepalived/keepalived.conf": "virtual_server {\n  lb_kind DR\n}\n"}
    monkeypatch.setattr(_topology, "read_text", lambda path, limit=0: files.get(path))
    found = find([])
    (role,) = found["role"]
    assert (role["value"], role["confidence"]) == ("lvs_director", "high")
    assert {"fact": "2 real servers by Route", "seen_at": "/proc/net/ip_vs"} in role["evidence"]
    assert {"fact": "lb_kind DR", "seen_at": "/etc/keepalived/keepalived.conf"} in role["evidence"]
    # Of several methods the one that needs the host to forward.
    assert (found["front"]["value"], found["front"]["confidence"]) == ("lvs_nat", "high")


def test_a_standby_director_by_the_other_word_for_lb_kind(monkeypatch):
    files = {"/etc/keepalived/keepalived.conf": "virtual_server {\n  lvs_method TUN\n}\n"}
    monkeypatch.setattr(_topology, "read_text", lambda path, limit=0: files.get(path))
    found = find([])
    assert [role["value"] for role in found["role"]] == ["lvs_director"]
    assert (found["front"]["value"], found["front"]["confidence"]) == ("lvs_tun", "medium")


@pytest.mark.parametrize(
    ("interfaces", "processes"),
    [([interface("kube-ipvs0", ["10.96.0.1/32", "10.96.0.10/32"], "dummy")], {}), ([], {"kube-proxy": 7})],
)
def test_services_of_kubernetes_make_a_node_and_no_director(monkeypatch, interfaces, processes):
    files = {"/proc/net/ip_vs": IP_VS}
    monkeypatch.setattr(_topology, "read_text", lambda path, limit=0: files.get(path))
    found = find([*interfaces, interface("eth0", ["192.0.2.10/24"])], processes=processes)
    (role,) = found["role"]
    assert (role["value"], role["confidence"]) == ("kubernetes_node", "high")
    assert {"fact": "2 real servers by Route", "seen_at": "/proc/net/ip_vs"} in role["evidence"]
    assert set(found) == {"role"}


def test_the_resolver_of_a_node_is_no_virtual_address():
    assert find([interface("nodelocaldns", ["169.254.20.10/32"], "dummy")]) == {}
    assert find([interface("dummy0", ["192.0.2.100/32"], "dummy")])["vips"]


def test_fullnat_by_its_module(monkeypatch):
    files = {"/proc/modules": "toa 16384 0 - Live 0x0\n"}
    monkeypatch.setattr(_topology, "read_text", lambda path, limit=0: files.get(path))
    assert find([])["front"]["value"] == "lvs_fullnat"


def test_source_nat_of_kube_proxy_makes_a_node_and_no_gateway(monkeypatch):
    monkeypatch.setattr(_nat, "nf_tables", lambda: {("masquerade", "nat", "KUBE-POSTROUTING"): 1})
    assert [role["value"] for role in find([], {"net.ipv4.ip_forward": "1"})["role"]] == ["kubernetes_node"]


def test_source_nat_for_guests_of_the_host_is_a_weak_sign_of_a_gateway(monkeypatch):
    monkeypatch.setattr(_nat, "nf_tables", lambda: {("masquerade", "nat", "POSTROUTING"): 1})
    forwards = {"net.ipv4.ip_forward": "1"}
    (role,) = find([interface("docker0", ["172.17.0.1/16"], "bridge")], forwards)["role"]
    assert (role["value"], role["confidence"]) == ("nat_gateway", "low")
    (role,) = find([interface("eth1", ["172.17.0.1/16"])], forwards)["role"]
    assert (role["value"], role["confidence"]) == ("nat_gateway", "high")


def test_a_crowd_behind_one_address_is_a_weak_sign():
    crowd = {"incoming": {"top": [{"address": "198.51.100.7", "connections": 400}]}}
    assert find([], sockets=crowd)["clients_behind_nat"]["confidence"] == "low"
    few = {"incoming": {"top": [{"address": "198.51.100.7", "connections": 4}]}}
    assert find([], sockets=few) == {}
    own = {"incoming": {"top": [{"address": "127.0.0.1", "connections": 400}]}}
    assert find([], sockets=own) == {}


def test_rejects_of_recycle_are_a_stronger_sign():
    found = find([], counters={"TcpExt": {"PAWSPassive": 10, "PAWSTimewait": 3}})["clients_behind_nat"]
    assert (found["value"], found["confidence"]) == (True, "medium")
    assert [sign["fact"] for sign in found["evidence"]] == ["TcpExt.PAWSPassive is 10", "TcpExt.PAWSTimewait is 3"]
    assert find([], counters={"TcpExt": {"PAWSPassive": 0}}) == {}


def test_rules_that_cannot_be_listed_are_named(monkeypatch):
    def refuse():
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(_nat, "nf_tables", refuse)
    _found, unreadable = _topology.find([], {}, {}, {}, {})
    assert unreadable == [{"what": "rules of nf_tables", "reason": "Operation not permitted"}]
