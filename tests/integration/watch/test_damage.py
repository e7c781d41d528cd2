# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real damage of each kind, found by what alone can see it; the guards of the hosts do not judge.

Each time the first wave is rolled back, the second does not begin, and every host is as before, byte for byte.
"""

from __future__ import annotations

import concurrent.futures
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import controller
import pytest
import yaml
from labs import CHECKOUT, Lab

PACE = {
    "tune_waves": [1, "100%"],
    "tune_soak": 16,
    "tune_soak_max": 48,
    "tune_look_every": 2,
    "tune_baseline": 5,
    "tune_guard": {"enabled": False},
}
CONNECTS = ("connects", "slow_connects")


def exceeded(record: dict[str, Any]) -> set[tuple[str, str]]:
    """(group, subject) of every test that reached its limit in the one wave."""
    (wave,) = record["waves"]
    assert wave["verdict"] == "roll_back"
    return {(test["group"], test["subject"]) for test in wave["figures"]["tests"] if test["exceeded_at"]}


def events(record: dict[str, Any], kind: str) -> dict[str, int]:
    (wave,) = record["waves"]
    return {test["group"]: test["events"] for test in wave["figures"]["tests"] if test["kind"] == kind}


SERVERS = ["web1", "web2", "web3"]


@pytest.fixture(scope="module")
def behind_nat(make_lab: Callable[..., Lab]) -> Iterator[Lab]:
    lab = make_lab("nat_front", "damage")
    lab.up("--hosts", str(len(SERVERS)), "--set", "net.ipv4.tcp_timestamps=0")
    lab.run("load", "start")
    give_up = time.monotonic() + 60
    # Until ports come again, so that timestamps could be rejected.
    while lab.counters(SERVERS[-1])["Tcp.PassiveOpens"] < 60:
        assert time.monotonic() < give_up, "the clients do not reach 60 connections"
        time.sleep(0.5)
    yield lab
    lab.run("load", "stop")


def test_rejects_that_only_the_comparison_of_hosts_sees(
    rollout: Any, record: Any, states: Any, behind_nat: Lab
) -> None:
    before = states(behind_nat, SERVERS)
    example = yaml.safe_load((CHECKOUT / "examples" / "nat_timestamps.yml").read_text(encoding="utf-8"))
    variables = {"tune_hosts": "servers", "tune_probe_port": 80, "tune_max_rejects_per_1000": 6}
    done = rollout(behind_nat, {**PACE, **example, **variables})
    assert done.returncode != 0, done.stdout
    assert "Wave 1: roll_back: too many timestamp rejects" in done.stdout
    found = record()
    assert ("timestamp_rejects", "the wave") in exceeded(found)
    # What is stored is judged to the same verdict, by the limits of then.
    again = controller.answer(
        controller.module(behind_nat.inventory, "localhost", "rollout_gate", {"record": found, "wave": 1})
    )
    (wave,) = found["waves"]
    assert wave["limits"]["max_rejects_per_1000"] == 6
    for name in ("verdict", "reason", "limits", "figures", "observations"):
        assert again[name] == wave[name], name
    assert states(behind_nat, SERVERS) == before


HOSTS = ["host1", "host2", "host3"]
PROXIES, BEHIND = HOSTS[:2], HOSTS[2]
PROXY = pathlib.Path(__file__).with_name("proxy.py")


@pytest.fixture
def switch(make_lab: Callable[..., Lab]) -> Iterator[Lab]:
    lab = make_lab("plain", "damage")
    lab.up("--hosts", str(len(HOSTS)))
    yield lab
    lab.down()


def address(lab: Lab, host: str) -> str:
    return lab.shell(host, "ip -4 -oneline address show eth0").split()[3].partition("/")[0]


def start(lab: Lab, host: str, command: str) -> None:
    lab.shell(host, f"setsid -f {command} </dev/null >/dev/null 2>&1")


def listens(lab: Lab, host: str, port: int) -> None:
    give_up = time.monotonic() + 30
    while f":{port} " not in lab.shell(host, "ss -ltn"):
        assert time.monotonic() < give_up, f"nobody listens at {host} port {port}"
        time.sleep(0.2)


def test_damage_that_only_connects_see(rollout: Any, record: Any, states: Any, switch: Lab) -> None:
    """A proxy short of ports for its own connections answers all the same: with an error. No counter moves."""
    start(switch, BEHIND, f"{sys.executable} {PROXY} 8080")
    listens(switch, BEHIND, 8080)
    for host in PROXIES:
        start(switch, host, f"{sys.executable} {PROXY} 8080 {address(switch, BEHIND)}")
        listens(switch, host, 8080)
    before = states(switch, HOSTS)
    probes = [{"each": True, "type": "http", "port": 8080, "rate": 4}]
    variables = {"tune_hosts": ",".join(PROXIES), "tune_probes": probes}
    done = rollout(switch, {**PACE, **variables, "tune_sysctl": {"net.ipv4.ip_local_port_range": "40000 40007"}})
    assert done.returncode != 0, done.stdout
    assert "Wave 1: roll_back: too many" in done.stdout
    found = record()
    assert {group for group, _subject in exceeded(found)} <= set(CONNECTS)
    assert not any(count for group, count in events(found, "wave").items() if group not in CONNECTS)
    assert states(switch, HOSTS) == before


# What a host sends from the service with the TTL of the set waits for a line of 1,800 bit/s, up to three in the queue.
SLOW_LINE = """
    tc qdisc add dev mgmt0 root handle 1: htb default 1
    tc class add dev mgmt0 parent 1: classid 1:1 htb rate 1gbit quantum 60000
    tc class add dev mgmt0 parent 1: classid 1:2 htb rate 1800bit burst 100 cburst 100 quantum 1500
    tc qdisc add dev mgmt0 parent 1:2 pfifo limit 3
    nft 'add table ip slow; add chain ip slow out { type filter hook postrouting priority 0; }
         add rule ip slow out ip ttl 33 tcp sport 8080 meta priority set 1:2'
"""


def test_connects_that_are_slow_and_do_not_fail(rollout: Any, record: Any, states: Any, switch: Lab) -> None:
    for host in PROXIES:
        start(switch, host, f"{sys.executable} {PROXY} 8080")
        listens(switch, host, 8080)
        slowed = switch.run("shell", "--host", host, "--", f"set -e; {SLOW_LINE}", check=False)
        if "qdisc kind is unknown" in slowed.stderr:
            pytest.skip("needs the kernel module sch_htb, which this kernel does not have")
        assert slowed.returncode == 0, slowed.stderr
    before = states(switch, HOSTS)
    # As patient as clients are: nobody gives up.
    probes = [{"each": True, "port": 8080, "rate": 4, "timeout": 20}]
    variables = {"tune_hosts": ",".join(PROXIES), "tune_probes": probes}
    done = rollout(switch, {**PACE, **variables, "tune_sysctl": {"net.ipv4.ip_default_ttl": 33}})
    assert done.returncode != 0, done.stdout
    assert "Wave 1: roll_back: too many slow" in done.stdout
    found = record()
    assert {group for group, _subject in exceeded(found)} == {"slow_connects"}
    seen = events(found, "wave")
    assert seen["connects"] == 0 < seen["slow_connects"]
    assert states(switch, HOSTS) == before


def test_damage_that_only_the_counters_of_an_observer_show(rollout: Any, record: Any, states: Any, switch: Lab) -> None:
    """Answers to host3 go another way than it comes, so that a strict filter drops its packets. Nobody probes."""
    here, elsewhere = address(switch, "host1"), "10.99.0.1"
    switch.shell("host1", f"echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; ip route add {elsewhere} dev mgmt0")
    switch.shell("host3", f"ip address add {elsewhere}/32 dev eth0; ip route add {here} dev eth0 src {elsewhere}")
    start(switch, "host1", f"{sys.executable} {PROXY} 8080")
    listens(switch, "host1", 8080)
    connect = f"timeout 4 bash -c '</dev/tcp/{here}/8080'"
    start(switch, "host3", f"""sh -c "while sleep 0.2; do {connect} & done" """)
    inventory = yaml.safe_load(switch.inventory.read_text(encoding="utf-8"))
    inventory["all"]["children"]["clients"] = {"hosts": {"host3": {}}}
    switch.inventory.write_text(yaml.safe_dump(inventory), encoding="utf-8")
    before = states(switch, HOSTS)
    variables = {"tune_hosts": "host1,host2", "tune_observers": ["clients"], "tune_probes": []}
    done = rollout(switch, {**PACE, **variables, "tune_sysctl": {"net/ipv4/conf/eth0/rp_filter": 1}})
    assert done.returncode != 0, done.stdout
    assert "Wave 1: roll_back: too many resets seen by host3" in done.stdout
    found = record()
    assert exceeded(found) == {("resets", "host3")}
    assert not any(events(found, "wave").values())
    assert states(switch, HOSTS) == before


def test_damage_that_cuts_an_observer_off(rollout: Any, states: Any, switch: Lab) -> None:
    before = states(switch, HOSTS)
    variables = {"tune_hosts": "host1,host2", "tune_observers": ["host3"], "tune_soak": 4, "tune_soak_max": 4}
    variables["tune_sysctl"] = {"net.ipv4.tcp_fin_timeout": 41}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(rollout, switch, {**PACE, **variables})
        while switch.shell("host1", "cat /proc/sys/net/ipv4/tcp_fin_timeout") != "41\n":
            assert not running.done(), running.result().stdout
            time.sleep(0.05)
        switch.inside("host3").run(["ip", "link", "set", "mgmt0", "down"])
        done = running.result()
    assert done.returncode != 0
    assert "Wave 1: inconclusive: not enough is known of host3 (" in done.stdout
    assert states(switch, HOSTS[:2]) == {host: before[host] for host in HOSTS[:2]}
