# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""net_facts on hosts of namespaces: what it says must be what was built there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

# Listens, opens the wanted number of connections to itself, and keeps them until its input ends.
CONNECT = """
import socket, sys
count = int(sys.argv[1])
server = socket.socket()
server.bind(("0.0.0.0", 8080))
server.listen(128)
kept = []
for number in range(count):
    client = socket.create_connection(("127.0.0.1", 8080))
    kept += [client, server.accept()[0]]
print("ready", flush=True)
sys.stdin.read()
"""
# Opens and closes connections, the accepting side first: it is left with TIME_WAIT.
SPEND = CONNECT.replace("kept += [client, server.accept()[0]]", "server.accept()[0].close(); client.close()")
RULES = """
table ip translate {
  chain leave { type nat hook postrouting priority 100; oifname eth0 masquerade ; }
  chain enter { type nat hook prerouting priority -100; tcp dport 81 dnat to 192.0.2.7:80 ; }
}
"""
COLLECT = """
import json, sys
from ansible_collections.nettune.kernel.plugins.module_utils._net_facts import collect
json.dump(collect(), sys.stdout)
"""


def facts(netns: Any, **args: Any) -> dict[str, Any]:
    answer = netns.module("net_facts", **args)
    assert answer["changed"] is False
    found: dict[str, Any] = answer["ansible_facts"]["nettune"]
    return found


@contextlib.contextmanager
def running(netns: Any, *args: str) -> Iterator[None]:
    """A program that has said that it is ready, until the block ends."""
    process = netns.popen([sys.executable, "-c", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


def cable(netns: Any, name: str, address: str) -> None:
    netns.run(["ip", "link", "add", name, "type", "veth", "peer", "name", name + "-peer"])
    netns.run(["ip", "address", "add", address, "dev", name])
    netns.run(["ip", "link", "set", name, "up"])
    netns.run(["ip", "link", "set", name + "-peer", "up"])


def test_a_plain_host_has_no_place_and_a_complete_tree(netns):
    found = facts(netns)
    assert found["kernel"]["release"] == os.uname().release
    assert len(found["kernel"]["version"]) == 3
    assert found["sysctl_complete"] is True
    assert found["unreadable"] == []
    assert found["topology"] == {}
    # A tab in /proc, one space in the facts.
    shown = netns.read("/proc/sys/net/ipv4/tcp_rmem")
    assert "\t" in shown
    assert found["sysctl"]["net.ipv4.tcp_rmem"] == " ".join(shown.split())
    assert "net.ipv4.route.flush" in found["sysctl_unreadable"]
    assert "net.ipv4.route.flush" not in found["sysctl"]
    assert found["virtualization"]["own_network_namespace"] is True
    assert found["service_manager"] == "other"
    assert found["memory_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found["page_size"] == os.sysconf("SC_PAGE_SIZE")
    assert found["cpus"] == os.sysconf("SC_NPROCESSORS_ONLN")


def test_counters_only(netns):
    found = facts(netns, subset="counters")
    assert set(found) == {
        "kernel", "boot_id", "uptime_seconds", "counters", "sockstat", "sample", "unreadable",
    }  # fmt: skip
    assert found["sample"]["boot_id"] == found["boot_id"]
    with running(netns, CONNECT, "3"):
        later = facts(netns, subset="counters")
    assert later["sample"]["counters"]["Tcp.PassiveOpens"] == found["sample"]["counters"]["Tcp.PassiveOpens"] + 3
    assert later["sample"]["time"] > found["sample"]["time"]


def test_check_mode_answers_the_same(netns):
    assert facts(netns, _ansible_check_mode=True)["sysctl_complete"] is True


def test_an_unknown_subset_is_refused(netns):
    answer = netns.module("net_facts", subset="some")
    assert answer["failed"] is True
    assert "subset" in answer["msg"]


def test_interfaces(netns):
    cable(netns, "eth0", "192.0.2.10/24")
    netns.run(["ip", "link", "set", "eth0", "mtu", "1400"])
    # Not every kernel has the vlan driver; any device may have a dot in its name.
    netns.run(["ip", "link", "add", "eth0.100", "type", "veth", "peer", "name", "other"])
    netns.run(["ip", "address", "add", "2001:db8::1/64", "dev", "eth0.100", "nodad"])
    netns.run(["ip", "address", "add", "198.51.100.1", "peer", "198.51.100.2/32", "dev", "eth0.100"])
    found = facts(netns)
    by_name = {interface["name"]: interface for interface in found["interfaces"]}
    assert by_name["eth0"]["mtu"] == 1400
    assert by_name["eth0"]["state"] == "up"
    assert by_name["eth0"]["kind"] == "veth"
    assert by_name["eth0"]["speed_mbps"] == 10000
    assert "192.0.2.10/24" in by_name["eth0"]["addresses"]
    # The host's own end of a point-to-point link, not the peer's.
    assert by_name["eth0.100"]["addresses"] == ["198.51.100.1/32", "2001:db8::1/64"]
    assert by_name["lo"]["speed_mbps"] is None
    # The dot of the name is a slash in the key.
    assert found["sysctl"]["net.ipv4.conf.eth0/100.rp_filter"] in ("0", "1", "2")
    assert "net.ipv4.conf.eth0.100.rp_filter" not in found["sysctl"]


def test_listeners_and_states(netns):
    with running(netns, CONNECT, "4"):
        found = facts(netns)
    assert found["listeners"] == [{"protocol": "tcp", "address": "0.0.0.0", "port": 8080, "backlog": 128, "queued": 0}]
    assert found["sockets"]["tcp"] == {"LISTEN": 1, "ESTABLISHED": 8}
    assert found["sockets"]["incoming"]["connections"] == 4
    assert found["sockets"]["incoming"]["top"] == [{"address": "127.0.0.1", "connections": 4}]


# Listeners with queues of their own; three connections that nobody accepts.
QUEUE = """
import socket, sys
def listen(family, address, port, backlog):
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind((address, port))
    server.listen(backlog)
    return server
kept = [
    listen(socket.AF_INET, "127.0.0.1", 8080, 37),
    listen(socket.AF_INET6, "::", 8081, 10000),
    listen(socket.AF_INET6, "::ffff:127.0.0.1", 8082, 7),
    listen(socket.AF_INET, "0.0.0.0", 8083, 9),
    listen(socket.AF_INET, "0.0.0.0", 8083, 5),
]
kept += [socket.create_connection(("127.0.0.1", 8080)) for number in range(3)]
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 8084))
print("ready", flush=True)
sys.stdin.read()
"""


def test_queues_of_listeners(netns):
    netns.write("/proc/sys/net/core/somaxconn", "300")
    with running(netns, QUEUE):
        found = facts(netns)
    assert [tuple(listener.values()) for listener in found["listeners"]] == [
        ("tcp", "127.0.0.1", 8080, 37, 3),
        # What somaxconn leaves of it.
        ("tcp", "::", 8081, 300, 0),
        ("tcp", "127.0.0.1", 8082, 7, 0),
        # The shorter one of two that share the port.
        ("tcp", "0.0.0.0", 8083, 5, 0),
        ("udp", "127.0.0.1", 8084),
    ]
    assert found["unreadable"] == []


def test_many_sockets_are_counted_by_the_kernel(netns):
    """Above a thousand sockets sock_diag is asked; the answer must be that of /proc/net/tcp."""
    with running(netns, SPEND, "2500"):
        # One shell reads both, so that nothing expires in between: TIME_WAIT lasts 60 s.
        found = facts(netns)
        table = netns.read("/proc/net/tcp").splitlines()[1:]
    states = [line.split()[3] for line in table]
    assert states.count("06") == 2500
    assert found["sockets"]["tcp"] == {"LISTEN": 1, "TIME_WAIT": 2500}
    assert found["sockets"]["complete"] is True
    assert found["sockets"]["incoming"]["connections"] == 2500


def test_a_virtual_address_without_arp_settings_is_a_weak_sign(netns):
    cable(netns, "eth0", "192.0.2.10/24")
    netns.run(["ip", "address", "add", "192.0.2.100/32", "dev", "lo"])
    topology = facts(netns)["topology"]
    assert [vip["value"] for vip in topology["vips"]] == ["192.0.2.100"]
    assert (topology["front"]["value"], topology["front"]["confidence"]) == ("lvs_dr", "low")


@pytest.mark.parametrize("scope", ["all", "eth0"])
def test_a_real_server_of_lvs_dr(netns, scope):
    cable(netns, "eth0", "192.0.2.10/24")
    netns.run(["ip", "address", "add", "192.0.2.100/32", "dev", "lo"])
    netns.write(f"/proc/sys/net/ipv4/conf/{scope}/arp_ignore", "1")
    netns.write(f"/proc/sys/net/ipv4/conf/{scope}/arp_announce", "2")
    front = facts(netns)["topology"]["front"]
    assert (front["value"], front["confidence"]) == ("lvs_dr", "high")
    assert {"fact": "192.0.2.100/32 on lo", "seen_at": "address list"} in front["evidence"]
    assert front["evidence"][1]["seen_at"] == "net.ipv4.conf.eth0.arp_*"


def test_arp_settings_on_lo_do_not_count(netns):
    cable(netns, "eth0", "192.0.2.10/24")
    netns.run(["ip", "address", "add", "192.0.2.100/32", "dev", "lo"])
    netns.write("/proc/sys/net/ipv4/conf/lo/arp_ignore", "1")
    netns.write("/proc/sys/net/ipv4/conf/lo/arp_announce", "2")
    assert facts(netns)["topology"]["front"]["confidence"] == "low"


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
def test_a_masquerading_gateway(netns):
    netns.run(["nft", "-f", "-"], input=RULES)
    (role,) = facts(netns)["topology"]["role"]
    # Rules alone, without forwarding, translate nothing for others.
    assert (role["value"], role["confidence"]) == ("nat_gateway", "low")
    netns.write("/proc/sys/net/ipv4/ip_forward", "1")
    (role,) = facts(netns)["topology"]["role"]
    assert (role["value"], role["confidence"]) == ("nat_gateway", "high")
    assert role["evidence"][0] == {"fact": "1 masquerade rules", "seen_at": "nf_tables: translate leave"}
    assert {"fact": "forwards", "seen_at": "net.ipv4.ip_forward"} in role["evidence"]


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
@pytest.mark.parametrize(
    ("rule", "is_gateway"), [("snat to 192.0.2.1", True), ("dnat to 192.0.2.1", False), ("accept", False)]
)
def test_kinds_of_translation(netns, rule, is_gateway):
    hook = "prerouting" if rule.startswith("dnat") else "postrouting"
    netns.run(["nft", f"table ip t {{ chain c {{ type nat hook {hook} priority 0; tcp dport 80 {rule} ; }} ; }}"])
    netns.write("/proc/sys/net/ipv4/ip_forward", "1")
    assert ("role" in facts(netns)["topology"]) is is_gateway


@pytest.mark.parametrize("tool", ["iptables-nft", "iptables-legacy"])
def test_rules_of_iptables(netns, tool):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    added = netns.run([tool, "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"], check=False)
    if added.returncode:
        pytest.skip(f"this kernel lacks what {tool} needs: {added.stderr}")
    (role,) = facts(netns)["topology"]["role"]
    source = "nf_tables" if tool == "iptables-nft" else "ip_tables"
    assert role["evidence"] == [{"fact": "1 masquerade rules", "seen_at": f"{source}: nat POSTROUTING"}]


def test_files_and_writers(netns):
    netns.run(["rm", "-rf", "/etc/sysctl.d", "/etc/sysctl.conf"])
    netns.write("/etc/sysctl.d/10-own.conf", "net.core.somaxconn = 1024\n")
    netns.write("/etc/sysctl.d/README", "not read\n")
    netns.write("/etc/sysctl.conf", "net.ipv4.ip_forward = 1\n")
    netns.write("/run/sysctl.d/20-run.conf", "a.b = 1\n")
    netns.run(["ln", "-s", "../sysctl.conf", "/etc/sysctl.d/99-sysctl.conf"])
    netns.run(["ln", "-s", "/dev/null", "/etc/sysctl.d/50-masked.conf"])
    netns.run(["ln", "-s", "/nowhere", "/etc/sysctl.d/60-dangling.conf"])
    netns.write("/etc/sysctl.d/70-long.conf", "#" * 300000)
    netns.write("/etc/tuned/active_profile", "throughput-performance\n")
    netns.write("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    found = facts(netns)
    files = {item["path"]: (item["text"], item["link"]) for item in found["sysctl_files"]}
    ours = {path: item for path, item in files.items() if path.startswith(("/etc/", "/run/"))}
    assert ours == {
        "/etc/sysctl.d/10-own.conf": ("net.core.somaxconn = 1024\n", None),
        "/etc/sysctl.d/50-masked.conf": ("", "/dev/null"),
        "/etc/sysctl.d/60-dangling.conf": (None, "/nowhere"),
        "/etc/sysctl.d/70-long.conf": (None, None),
        "/etc/sysctl.d/99-sysctl.conf": ("net.ipv4.ip_forward = 1\n", "/etc/sysctl.conf"),
        "/etc/sysctl.conf": ("net.ipv4.ip_forward = 1\n", None),
        "/run/sysctl.d/20-run.conf": ("a.b = 1\n", None),
    }
    writers = {writer["name"]: writer["evidence"] for writer in found["writers"]}
    assert writers["tuned"] == "/etc/tuned/active_profile: throughput-performance"
    assert writers["ufw"] == "/etc/ufw/ufw.conf: ENABLED=yes"


def test_a_process_speaks_for_a_role(netns):
    """A program counts by its name, and only where it shares the network namespace."""
    netns.run(["cp", shutil.which("sleep") or "sleep", "/run/haproxy"])
    elsewhere = netns.popen(["unshare", "--net", "/run/haproxy", "60"])
    netns.wait_for(["sh", "-c", "grep -q haproxy /proc/[0-9]*/comm"])
    assert "role" not in facts(netns)["topology"]
    here = netns.popen(["/run/haproxy", "60"])
    netns.wait_for(["sh", "-c", "test $(cat /proc/[0-9]*/comm | grep -c haproxy) = 2"])
    (role,) = facts(netns)["topology"]["role"]
    assert (role["value"], role["confidence"]) == ("l7_proxy", "medium")
    for process in (here, elsewhere):
        process.kill()
        process.wait(timeout=10)


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
def test_without_privileges(netns):
    """Says what it could not see, and the rest nevertheless."""
    netns.run(["nft", "add", "table", "ip", "filter"])
    source = netns.environment["PYTHONPATH"]
    # The checkout may lie where others must not look: hand it over as a copy.
    copy = 'mkdir /run/copy && cp -rL "$0/ansible_collections/nettune/kernel/plugins" /run/copy'
    netns.run(["sh", "-c", copy, source])
    code = "import json, sys; from plugins.module_utils._net_facts import collect; json.dump(collect(), sys.stdout)"
    done = netns.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", code],
        env={"PYTHONPATH": "/run/copy", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    found = json.loads(done.stdout)
    assert found["sysctl"]["net.ipv4.tcp_timestamps"] in ("0", "1", "2")
    refused = {item["what"]: item["reason"] for item in found["unreadable"]}
    assert refused["rules of nf_tables"] == "Operation not permitted"
    assert set(refused) <= {"rules of nf_tables", "rules of ip_tables"}


def test_missing_files_are_unknown(netns):
    """As in a container that hides parts of /proc: less is said, nothing is made up."""
    netns.run(["mount", "-t", "tmpfs", "none", "/proc/sys/net"])
    netns.run(["mount", "-t", "tmpfs", "none", "/sys"])
    for path in ("/proc/kallsyms", "/proc/meminfo"):
        netns.run(["mount", "--bind", "/dev/null", path])
    found = facts(netns)
    assert found["sysctl_complete"] is False
    assert found["sysctl"] == {}
    assert found["virtualization"]["own_network_namespace"] is None
    assert found["kernel"]["timestamp_offset_per_tuple"] is None
    assert found["memory_bytes"] is None


def test_on_every_interpreter(netns, interpreter):
    cable(netns, "eth0", "192.0.2.10/24")
    done = netns.run([interpreter, "-c", COLLECT], env=netns.environment)
    theirs, ours = json.loads(done.stdout), facts(netns)
    assert theirs.pop("uptime_seconds") <= ours.pop("uptime_seconds")
    for moving in ("sample", "counters", "sockstat", "sysctl"):
        assert set(theirs.pop(moving)) == set(ours.pop(moving))
    assert theirs == ours
