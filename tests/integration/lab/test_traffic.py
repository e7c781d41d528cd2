# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traffic of a lab does what its topology file says, by the kernel's own counters and tables."""

from __future__ import annotations

import collections
import json
import time

import pytest

SERVERS = [f"web{number}" for number in range(1, 7)]


def timestamp_rejects(counters: dict[str, int]) -> int:
    """TIME_WAIT rejects have a counter of their own on newer kernels only."""
    return counters.get("TcpExt.PAWSTimewait", 0) + counters["TcpExt.PAWSEstab"]


def rejects_per_1000(lab, seconds: float) -> float:
    before = [lab.counters(server) for server in SERVERS]
    time.sleep(seconds)  # the window of the measurement, not a wait for something
    after = [lab.counters(server) for server in SERVERS]
    opens = sum(a["Tcp.PassiveOpens"] - b["Tcp.PassiveOpens"] for a, b in zip(after, before, strict=True))
    assert opens > 6 * 4 * seconds
    return 1000 * sum(timestamp_rejects(a) - timestamp_rejects(b) for a, b in zip(after, before, strict=True)) / opens


def test_timestamps_behind_nat(make_lab):
    lab = make_lab("nat_front")
    lab.up("--set", "net.ipv4.tcp_timestamps=0")
    lab.run("load", "start", "--seconds", "60")
    assert rejects_per_1000(lab, 5) == 0
    for server in SERVERS:
        lab.shell(server, "echo 1 > /proc/sys/net/ipv4/tcp_timestamps")
    time.sleep(3)  # what was opened without timestamps is still in TIME_WAIT: let the 4-tuples come round once
    assert rejects_per_1000(lab, 5) >= 50
    lab.run("load", "stop")
    assert "not running" in lab.run("load", "report").stdout
    totals = json.loads(lab.run("load", "report", "--json").stdout)
    assert sorted(totals) == SERVERS
    for total in totals.values():
        assert total["attempts"] == total["ok"] + total["failed"] > 50
        assert total["ok"] > 0.9 * total["attempts"]
    lab.down()


@pytest.mark.parametrize(("words", "alike"), [((), True), (("--seed", "3"), False)])
def test_the_clients_are_steady_unless_there_is_a_seed(make_lab, words, alike):
    lab = make_lab("nat_front", "pace")
    lab.up("--hosts", "4")
    lab.run("load", "start", *words)
    give_up = time.monotonic() + 30
    attempts = [0]
    while sum(attempts) < 200:
        assert time.monotonic() < give_up, f"only {attempts} connects"
        time.sleep(0.5)
        attempts = [total["attempts"] for total in json.loads(lab.run("load", "report", "--json").stdout).values()]
    assert (max(attempts) < 1.5 * min(attempts)) is alike, attempts
    lab.down()


VIP = "10.34.0.100"


def answers(lab) -> tuple[collections.Counter, str]:
    """Which server answered how often, and whose hardware address the client has for the VIP."""
    script = f"""
import collections, urllib.request
for _ in range(40):
    print(urllib.request.urlopen("http://{VIP}/", timeout=5).read().decode().strip())
"""
    seen = collections.Counter(lab.run("shell", "--host", "client1", "--", "python3", "-c", script).stdout.split())
    neighbour = lab.shell("client1", f"ip neigh show {VIP}").split("lladdr ")[1].split()[0]
    return seen, neighbour


def hardware_address(lab, host: str) -> str:
    return lab.shell(host, "cat /sys/class/net/eth0/address").strip()


@pytest.mark.parametrize("rp_filter", ["0", "1"])
def test_direct_routing_spreads_connections(make_lab, rp_filter):
    lab = make_lab("lvs_dr")
    lab.up("--set", f"net.ipv4.conf.all.rp_filter={rp_filter}")
    seen, neighbour = answers(lab)
    assert len(seen) >= 3  # of four; 40 connections miss one now and then
    assert neighbour == hardware_address(lab, "director")


def test_without_arp_settings_one_real_server_takes_all(make_lab):
    lab = make_lab("lvs_dr")
    lab.up("--set", "net.ipv4.conf.all.arp_ignore=0", "--set", "net.ipv4.conf.all.arp_announce=0")
    seen, neighbour = answers(lab)
    assert len(seen) == 1
    assert neighbour == hardware_address(lab, next(iter(seen)))
