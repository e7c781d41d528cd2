# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wave is watched by: how little that asks of its hosts, and what observers and people say of it."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Callable
from typing import Any

import controller
import module_runs
import pytest
from labs import CHECKOUT, Lab

FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
QUICK = {
    "tune_hosts": "host1,host2",
    "tune_waves": [1, "100%"],
    "tune_soak": 2,
    "tune_soak_max": 2,
    "tune_look_every": 1,
    "tune_baseline": 1,
    "tune_on_inconclusive": "promote",
}
# Nobody else has this address. host1 sends to it by another way than the one by which it is sent to from there.
ELSEWHERE = "10.99.0.1"


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab("plain", "watch")
    lab.up("--hosts", "3")
    return lab


def tallies_of(record: dict[str, Any], source: str) -> list[dict[str, Any]]:
    observations = record["waves"][0]["observations"]
    during = [tally for look in observations["looks"] for tally in look["probes"]]
    return [tally for tally in observations["probes_before"] + during if tally["source"] == source]


def test_a_good_rollout_runs_three_modules_on_a_host(rollout: Any, lab: Lab) -> None:
    module_runs.count(lab, ("host1", "host2", "host3"))
    variables = {**QUICK, "tune_sysctl": {FIN_TIMEOUT: 31}, "tune_soak": 4, "tune_soak_max": 4}
    variables.update(module_runs.VARIABLES, tune_observers=["host3"])
    # A module that is piped into Python has no name.
    done = rollout(lab, variables, ANSIBLE_PIPELINING="0")
    assert done.returncode == 0, done.stdout
    for host in ("host1", "host2"):
        # Facts, start, confirm; at most four are promised.
        assert module_runs.on(lab, host) == ["net_facts", "sysctl_trial", "sysctl_trial"]
    assert module_runs.on(lab, "host3") == []


def test_damage_that_only_an_observer_feels(rollout: Any, record: Any, lab: Lab) -> None:
    address = lab.shell("host1", "ip -4 -oneline address show eth0").split()[3].partition("/")[0]
    lab.shell("host1", f"echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; ip route add {ELSEWHERE} dev mgmt0")
    lab.shell("host3", f"ip address add {ELSEWHERE}/32 dev eth0; ip route add {address} dev eth0 src {ELSEWHERE}")
    lab.shell("host1", f"setsid -f {sys.executable} -m http.server 8080 </dev/null >/dev/null 2>&1")
    probe = {"type": "http", "host": address, "port": 8080, "rate": 10, "timeout": 1, "from": ["controller", "host3"]}
    variables = {
        **QUICK,
        "tune_baseline": 5,
        "tune_soak": 30,
        "tune_look_every": 2,
        "tune_sysctl": {"net/ipv4/conf/eth0/rp_filter": 1},
        "tune_observers": ["host3"],
        "tune_probes": [
            {"each": True, "rate": 2},
            {**probe, "name": "page"},
            {**probe, "status": [204], "name": "no page"},
        ],
    }
    done = rollout(lab, variables)
    assert done.returncode != 0, done.stdout
    silent = "no page (from controller), no page (from host3), page (from controller)"
    assert f"Not watched, for nothing answers there before the change: {silent}" in done.stdout
    assert "Wave 1: roll_back: too many failed connects" in done.stdout
    assert "host3" in done.stdout.partition("Wave 1: roll_back:")[2].partition("\n")[0]
    found = record()
    felt = [tally for tally in tallies_of(found, "host3") if tally["probe"] == "page"]
    assert felt[0]["failed"] == 0
    assert felt[-1]["errors"] == {"timed out": felt[-1]["attempts"]}
    assert not any(tally["failed"] for tally in tallies_of(found, "controller") if tally["host"])
    assert lab.shell("host1", "cat /proc/sys/net/ipv4/conf/eth0/rp_filter") == "0\n"


REFUSED = {
    "an observer of no inventory": ({"tune_observers": ["proxy"]}, "tune_observers names 'proxy'"),
    "an observer that is changed": ({"tune_observers": ["host1"]}, "host1 is to be changed by this rollout"),
    "a probe of nothing": ({"tune_probes": [{"port": 80}]}, r"tune_probes[0]: give host"),
    "a probe without a port": ({"tune_probes": [{"host": "192.0.2.1"}]}, "tune_probes[0]: give the port of 192.0.2.1"),
    "a probe from nobody": ({"tune_probes": [{"each": True, "from": ["host2"]}]}, "tune_probes[0]: from names 'host2'"),
    "a Prometheus that is none": (
        {"tune_prometheus_url": "http://127.0.0.1:1"},
        "http://127.0.0.1:1: <urlopen error [Errno 111] Connection refused>",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_watched_is_refused_before_any_host_is_touched(rollout: Any, lab: Lab, case: str) -> None:
    variables, sentence = REFUSED[case]
    done = rollout(lab, {**QUICK, "tune_sysctl": {FIN_TIMEOUT: 33}, **variables})
    assert done.returncode != 0
    assert (done.stdout + done.stderr).count(sentence) == 1
    assert "Roll out in waves" not in done.stdout


ASKING = {**QUICK, "tune_on_inconclusive": "pause", "tune_waves": ["100%"], "tune_probes": []}


def test_nobody_there_to_ask_is_a_roll_back(rollout: Any, lab: Lab) -> None:
    done = rollout(lab, {**ASKING, "tune_sysctl": {FIN_TIMEOUT: 34}})
    assert done.returncode != 0, done.stdout
    assert "Wave 1 of 1 is rolled back" in done.stdout


@pytest.mark.parametrize(("answer", "kept"), [("promote", True), ("yes", False)])
def test_a_person_decides(rollout_command: Any, lab: Lab, answer: str, kept: bool) -> None:
    value = 35 if kept else 36
    before = lab.shell("host1", f"cat /proc/sys/{FIN_TIMEOUT.replace('.', '/')}")
    command = rollout_command(lab, {**ASKING, "tune_sysctl": {FIN_TIMEOUT: value}})
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(CHECKOUT)
        os.execve(command[0], command, controller.ENVIRONMENT)
    told = b""
    try:
        give_up = time.monotonic() + 200
        while True:
            if select.select([terminal], [], [], 1)[0]:
                try:
                    told += os.read(terminal, 4096)
                except OSError:
                    break  # Nobody has it open any more.
            elif b"Write promote to keep the set" in told:
                # What was typed before it listens does not count: once more.
                os.write(terminal, f"{answer}\r".encode())
            assert time.monotonic() < give_up, told.decode()
    finally:
        os.close(terminal)
        _pid, status = os.waitpid(pid, 0)
    assert (status == 0) is kept, told.decode()
    after = lab.shell("host1", f"cat /proc/sys/{FIN_TIMEOUT.replace('.', '/')}")
    assert after == (f"{value}\n" if kept else before)
