# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A director, two real servers and two clients in network namespaces of a virtual machine.

What has the same switch can reach each other; a switch is a namespace with a bridge. The virtual address is the
director's on its first interface, and in DR and TUN mode the servers' too.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..conftest import ENVIRONMENT, Machine

AGENT = pathlib.Path(__file__).with_name("agent.py")
PLACE = "/run/lvs-agent.py"

VIP, PORT = "192.0.2.100", 80
DIRECTOR, SERVERS, CLIENTS = "director", ("server1", "server2"), ("client1", "client2")
HOSTS = (DIRECTOR, *SERVERS, *CLIENTS)
# Longer than a SYN and the one after it need on an emulated processor.
SECONDS = 3
ROUNDS, CONNECTS = 2, 5  # of each client


@dataclass(frozen=True)
class Mode:
    """How a director reaches its servers, and what its hosts need for it.

    cables: host -> its interfaces eth0, eth1..., each with the switch and its address there.
    commands: what is run on the servers. values: `director` or `server` -> its sysctls.
    """

    forwarding: str  # the option of ipvsadm
    cables: Mapping[str, Sequence[tuple[str, str]]]
    commands: str
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def switches(self) -> list[str]:
        return sorted({switch for cables in self.cables.values() for switch, _address in cables})


_LAN = {
    "director": [("lan", "192.0.2.1/24")],
    "server1": [("lan", "192.0.2.11/24")],
    "server2": [("lan", "192.0.2.12/24")],
    "client1": [("lan", "192.0.2.201/24")],
    "client2": [("lan", "192.0.2.202/24")],
}
_INSIDE = {
    **_LAN,
    "director": [("lan", "192.0.2.1/24"), ("inside", "198.51.100.1/24")],
    "server1": [("inside", "198.51.100.11/24")],
    "server2": [("inside", "198.51.100.12/24")],
}
_TWO_WAYS = {
    host: [*cables, ("back", f"198.51.100.{cables[0][1].rpartition('.')[2]}")] if host != DIRECTOR else cables
    for host, cables in _LAN.items()
}
_QUIET = {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"}
_FORWARDS = {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.send_redirects": "0"}
_NO_REDIRECTS = {f"net.ipv4.conf.{name}.send_redirects": "0" for name in ("all", "eth0")}

MODES = {
    "dr": Mode("-g", _LAN, f"ip address add {VIP}/32 dev lo", {"server": _QUIET}),
    # Answers leave by another interface than questions come in by.
    "dr_two_ways": Mode(
        "-g",
        _TWO_WAYS,
        f"ip address add {VIP}/32 dev lo; for host in 201 202; do ip route add 192.0.2.$host dev eth1; done",
        {"server": _QUIET},
    ),
    "tun": Mode("-i", _LAN, f"ip address add {VIP}/32 dev tunl0; ip link set tunl0 up", {"server": _QUIET}),
    # The virtual address is on lo, and the tunnel has none.
    "tun_bare": Mode("-i", _LAN, f"ip address add {VIP}/32 dev lo; ip link set tunl0 up", {"server": _QUIET}),
    "nat": Mode("-m", _INSIDE, "ip route add default via 198.51.100.1", {DIRECTOR: _FORWARDS}),
    # On a cable without delay redirects come back while the program still sends, and TCP has no time for them.
    "nat_one_arm": Mode(
        "-m",
        _LAN,
        "for host in 201 202; do ip route add 192.0.2.$host via 192.0.2.1; done\n"
        "tc qdisc add dev eth0 root netem delay 5ms",
        {DIRECTOR: {**_FORWARDS, **_NO_REDIRECTS}},
    ),
}


class Host:
    """One namespace, and the agent in it."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.name = name
        self._agent = machine.popen(f"{ENVIRONMENT} ip netns exec {name} python3 {PLACE}")

    def begin(self, duty: str, **arguments: Any) -> None:
        self._agent.stdin.write(json.dumps([duty, arguments]) + "\n")
        self._agent.stdin.flush()

    def answer(self) -> Any:
        line = self._agent.stdout.readline()
        assert line, f"the agent of {self.name} has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{self.name}: {answer['error']}"
        return answer["answer"]

    def ask(self, duty: str, **arguments: Any) -> Any:
        self.begin(duty, **arguments)
        return self.answer()

    def run(self, command: str) -> str:
        said: str = self.ask("run", command=command)
        return said

    def write(self, values: Mapping[str, object]) -> dict[str, str]:
        former: dict[str, str] = self.ask("write", values={key: str(value) for key, value in values.items()})
        return former

    def mac(self) -> str:
        address: str = json.loads(self.run("ip -json link show eth0"))[0]["address"]
        return address

    def close(self) -> None:
        self._agent.stdin.close()
        self._agent.wait(timeout=20)
        self._agent.stdout.close()


@dataclass
class Seen:
    """What the clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    silence: int = 0
    neighbours: set[str] = field(default_factory=set)
    slowest: float = 0

    def add(self, name: str | None, seconds: float) -> None:
        if name is None:
            self.silence += 1
        else:
            self.answers[name] += 1
            self.slowest = max(self.slowest, seconds)

    @property
    def damage(self) -> str:
        if not self.neighbours <= {DIRECTOR, "nobody"}:
            return "arp_leak"
        if self.silence:
            return "timeout"
        return "none" if len(self.answers) == len(SERVERS) else "one_server"

    def __str__(self) -> str:
        answers = ", ".join(f"{name} {count}" for name, count in sorted(self.answers.items()))
        neighbours = ", ".join(sorted(self.neighbours))
        return f"{answers or 'no answers'}, {self.silence} time-outs, slowest {self.slowest:.2f} s, VIP at {neighbours}"


class Network:
    """The namespaces of one mode, until it is closed."""

    def __init__(self, machine: Machine, mode: str) -> None:
        self.machine, self.mode = machine, MODES[mode]
        self.addresses = {name: cables[0][1].partition("/")[0] for name, cables in self.mode.cables.items()}
        remove(machine)  # of a test that was interrupted
        machine.run("modprobe -a ip_vs ip_vs_rr ipip", check=False)  # they may be built in
        machine.write(PLACE, AGENT.read_text())
        machine.run(self._namespaces())
        self.hosts = {name: Host(machine, name) for name in HOSTS}
        for host in self.hosts.values():
            self._prepare(host)
        self.director = self.hosts[DIRECTOR]
        self.servers = [self.hosts[name] for name in SERVERS]
        self.clients = [self.hosts[name] for name in CLIENTS]
        self._port = 40000
        self._facts: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._fill_table()
        self._names = {host.mac(): name for name, host in self.hosts.items()}

    def _namespaces(self) -> str:
        """A shell script. One program for all commands of a namespace: to start one is what takes long."""
        switches = {switch: ["link add bridge type bridge", "link set bridge up"] for switch in self.mode.switches}
        hosts = {name: ["link set lo up"] for name in HOSTS}
        # The director is first on each switch and so hears a broadcast last: who else answers for its address wins.
        for host, commands in hosts.items():
            for number, (switch, address) in enumerate(self.mode.cables[host]):
                commands += [
                    f"link add eth{number} type veth peer name {host} netns {switch}",
                    f"address add {address} dev eth{number}",
                    f"link set eth{number} up",
                ]
                switches[switch].append(f"link set {host} master bridge up")
        namespaces = {**hosts, **switches}
        lines = ["set -e", *(f"ip netns add {name}" for name in namespaces)]
        for name, commands in namespaces.items():
            lines += [f"ip -n {name} -batch - <<END", *commands, "END"]
        return "\n".join(lines)

    def _prepare(self, host: Host) -> None:
        kind = host.name.rstrip("12")
        host.write(self.mode.values.get(kind, {}))
        if kind == "server":
            host.run(self.mode.commands)
            host.ask("serve", name=host.name, port=PORT)
        elif host.name == DIRECTOR:
            host.run(f"ip address add {VIP}/32 dev eth0")

    def _fill_table(self) -> None:
        servers = [f"-a -t {VIP}:{PORT} -r {self.addresses[name]}:{PORT} {self.mode.forwarding}" for name in SERVERS]
        restore = ["ipvsadm --restore <<END", f"-A -t {VIP}:{PORT} -s rr", *servers, "END"]
        self.director.run("\n".join(["ipvsadm --clear", *restore]))

    @contextlib.contextmanager
    def keepalived(self, configuration: str) -> Iterator[None]:
        """The director's table is keepalived's for a while, and empty after it. The file stays."""
        self.director.run("ipvsadm --clear; mount -t tmpfs lvs /etc/keepalived")
        self.director.run(f"cat >/etc/keepalived/keepalived.conf <<'END'\n{configuration}\nEND\nkeepalived")
        self._wait_for(f'test "$(ipvsadm --save --numeric | grep -c -- -a)" = {len(SERVERS)}')
        try:
            yield
        finally:
            self.director.run("kill $(cat /run/keepalived.pid)")
            self._wait_for("test ! -e /run/keepalived.pid")

    def _wait_for(self, command: str) -> None:
        """Until it succeeds on the director."""
        self.director.run(f"for _ in $(seq 200); do if {command}; then exit; fi; sleep 0.1; done; false")

    def look(self, beats: int = 0) -> tuple[str, Seen]:
        """The damage, and what all clients saw, who connect at once and know no neighbours; again while all is well."""
        seen = Seen()
        self._all("run", self.hosts.values(), command="ip neigh flush all; ip route flush cache")
        how = {"address": VIP, "port": PORT, "count": CONNECTS, "seconds": SECONDS, "beats": beats}
        for _round in range(ROUNDS):
            for answers in self._all("connect", self.clients, **how):
                for name, seconds in answers:
                    seen.add(name, seconds)
            seen.neighbours |= {self.neighbour(client) for client in self.clients}
            if seen.damage != "none":
                break
        return seen.damage, seen

    def come_back(self, gone: str) -> tuple[str, str]:
        """The damage to a client that uses a port again, after its server has been drained or removed."""
        self._port += 1
        ((first, _seconds),) = self._connect_from(self._port)
        server = f"-t {VIP}:{PORT} -r {self.addresses[first]}:{PORT}"
        take_out = {"drained": f"ipvsadm -e {server} -w 0 {self.mode.forwarding}", "removed": f"ipvsadm -d {server}"}
        self.director.run(take_out[gone])
        ((second, _seconds),) = self._connect_from(self._port)
        self._fill_table()
        damage = "timeout" if second is None else "old_server" if second == first else "none"
        return damage, f"first {first}, then {second or 'nobody'}"

    def _connect_from(self, source_port: int) -> Any:
        return self.clients[0].ask("connect", address=VIP, port=PORT, count=1, seconds=SECONDS, source_port=source_port)

    def _all(self, duty: str, hosts: Iterable[Host], **arguments: Any) -> list[Any]:
        for host in hosts:
            host.begin(duty, **arguments)
        return [host.answer() for host in hosts]

    def neighbour(self, client: Host) -> str:
        """Whom the client takes for the virtual address."""
        (entry,) = json.loads(client.run(f"ip -json neigh show {VIP} dev eth0")) or [{}]
        return self._names.get(entry.get("lladdr"), "nobody")

    def facts(self, host: Host, before: Mapping[str, int]) -> dict[str, Any]:
        """What the host shows while it has these values: of each state once, since that takes long."""
        state = (host.name, *before.items())
        if state not in self._facts:
            self._facts[state] = host.ask("facts")
        return self._facts[state]

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()
        remove(self.machine)


def remove(machine: Machine) -> None:
    """The namespaces of all modes, and what runs in them."""
    names = sorted({switch for mode in MODES.values() for switch in mode.switches} | set(HOSTS))
    end = "ip netns pids $name | xargs -r kill -9; ip netns delete $name"
    machine.run(f"for name in {' '.join(names)}; do if [ -e /run/netns/$name ]; then {end}; fi; done")
