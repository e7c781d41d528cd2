# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients behind one NAT address whose timestamps differ, and a set on trial on their server.

What `net.ipv4.tcp_tw_recycle` does to them only a kernel before 4.12 can show, one that somebody brings. Every other
kernel shows that all clients connect while a set is on trial which does them no harm.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from .conftest import ROOT, Machine
from .rollouts import Rollouts

RECYCLE = "net.ipv4.tcp_tw_recycle"
LIVE = "/proc/sys/net/ipv4/tcp_tw_recycle"
SOURCE = ROOT / "tests" / "vm" / "recycle"
TOOLS = "/opt/recycle"
BEHIND = {"client1": 0, "client2": 1000000}  # ticks of the machine's clock of timestamps
A_BURST = 8
FOREVER = 10**6
HARMLESS = {
    "tune_sysctl": {"net.ipv4.tcp_tw_reuse": "1"},
    "tune_soak": 5,
    "tune_soak_max": 5,
    "tune_on_inconclusive": "promote",  # from outside nobody reaches the server
}
INSISTING = {
    "tune_sysctl": {RECYCLE: "1"},
    "tune_waivers": [{"rule": "timewait.recycle_hazard", "reason": "to see what it does"}],
    # The controller looks when all is over: it is the guard on the host that acts.
    "tune_soak": 60,
    "tune_soak_max": 60,
    "tune_look_every": 60,
    "tune_probe_port": 0,
}
SYN = "tcp[tcpflags] == tcp-syn"


class Nat:
    """The machine as the server, and the clients that it hears through NAT."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def start(self, number: int) -> dict[str, subprocess.Popen[str]]:
        return {
            name: self.machine.popen(f"ip netns exec {name} python3 {TOOLS}/client.py {number} {behind}")
            for name, behind in BEHIND.items()
        }

    def connects(self) -> dict[str, dict[str, int]]:
        """How many connections of each client came about, of a burst of both at once."""
        return {name: _outcomes(client) for name, client in self.start(A_BURST).items()}

    def timestamps(self) -> list[int]:
        """Those that a burst of both clients has on the server's side of NAT, in their order."""
        words = f"-nn -l --immediate-mode -i nat -c {2 * A_BURST} 'src 192.0.2.2 and {SYN}'"
        sniffer = self.machine.popen(f"timeout 60 tcpdump {words} 2>&1")
        assert sniffer.stdout is not None
        assert any("listening on" in line for line in iter(sniffer.stdout.readline, ""))
        self.connects()
        return [int(stamp) for stamp in re.findall(r"TS val (\d+) ecr 0", sniffer.communicate(timeout=90)[0])]

    @contextlib.contextmanager
    def while_they_connect(self) -> Iterator[dict[str, dict[str, int]]]:
        """Both clients connect all the time; at the end the answer is filled with what came of it."""
        outcomes: dict[str, dict[str, int]] = {}
        clients = self.start(FOREVER)
        try:
            yield outcomes
        finally:
            for client in clients.values():
                assert client.stdin is not None
                client.stdin.close()
        outcomes.update({name: _outcomes(client) for name, client in clients.items()})

    def rejects(self) -> int:
        """SYNs that were dropped for their timestamp."""
        return int(self.machine.output("nstat -asz TcpExtPAWSPassive | awk '/PAWSPassive/ {print $2}'"))


def _outcomes(client: subprocess.Popen[str]) -> dict[str, int]:
    assert client.stdout is not None
    found: dict[str, int] = json.loads(client.stdout.read())
    client.wait(timeout=30)
    return found


def goes_back(stamps: list[int]) -> bool:
    """Whether one is older than the one before it, on a clock of 32 bits, by more than the time between may explain."""
    steps = [(later - earlier) % 2**32 for earlier, later in itertools.pairwise(stamps)]
    return any(2**31 <= step < 2**32 - 60000 for step in steps)


@pytest.fixture(scope="module")
def nat(machine: Machine) -> Iterator[Nat]:
    machine.put(SOURCE, TOOLS)
    machine.run(["sh", f"{TOOLS}/behind_nat.sh"])
    server = machine.popen(f"python3 {TOOLS}/server.py")
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    yield Nat(machine)
    machine.run(f"pkill -f {TOOLS}/server.py; ip -all netns delete; ip link delete nat", check=False)
    server.wait(timeout=30)


@pytest.fixture
def rollouts(machine: Machine, tmp_path: pathlib.Path) -> Iterator[Rollouts]:
    topology = {"role": ["server"], "front": "nat", "clients_behind_nat": True}
    rollouts = Rollouts([machine], tmp_path, {"vars": {"tune_topology": topology}})
    yield rollouts
    assert rollouts.run("rollback", {"tune_rollback_to": "original"}).returncode == 0


@pytest.mark.kernels("6.1")
def test_all_connect_while_a_harmless_set_is_on_trial(nat: Nat, rollouts: Rollouts) -> None:
    assert goes_back(nat.timestamps())
    with nat.while_they_connect() as outcomes:
        done = rollouts.run("tune", HARMLESS)
    assert done.returncode == 0
    for name, outcome in outcomes.items():
        assert outcome["failed"] == 0, name
        assert outcome["connected"] > A_BURST, name


@pytest.fixture
def _recycle_exists(machine: Machine) -> None:
    if machine.run(["test", "-e", LIVE], check=False).returncode:
        pytest.skip(
            f"kernel {machine.release} has no {RECYCLE}, which 4.12 removed: to see what it does, bring an older one, "
            "make test-vm KERNEL_IMAGE=/path/to/bzImage [MODULES=/path/to/lib/modules/RELEASE]"
        )


@pytest.mark.kernels("6.1")
@pytest.mark.usefixtures("_recycle_exists")
def test_recycle_is_refused_and_where_somebody_insists_the_guard_undoes_it(
    machine: Machine, nat: Nat, rollouts: Rollouts
) -> None:
    refused = rollouts.run("tune", {"tune_sysctl": {RECYCLE: "1"}})
    assert refused.returncode != 0
    assert "all but one of each address will lose connections" in refused.stdout
    assert machine.module("sysctl_trial_info")["history"] == []

    assert all(outcome["failed"] == 0 for outcome in nat.connects().values())
    before = nat.rejects()
    with nat.while_they_connect() as outcomes:
        done = rollouts.run("tune", INSISTING)
    assert done.returncode != 0
    assert nat.rejects() >= before + 10
    assert outcomes["client1"]["connected"] > A_BURST
    assert outcomes["client2"]["failed"] > 0

    (outcome,) = machine.module("sysctl_trial_info")["history"]
    assert outcome["state"] == "rolled_back"
    assert "timestamp rejects" in outcome["reason"]
    assert machine.read(LIVE) == "0\n"
    assert all(outcome["failed"] == 0 for outcome in nat.connects().values())
