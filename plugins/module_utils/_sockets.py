# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP and UDP sockets: how many in which state, who listens with which queue, who has the most connections."""

import collections
import os
import socket
import struct

from ._netlink import dump

# Numbers of the kernel's enum in net/tcp_states.h.
STATES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN_RECV",
}
_TIME_WAIT, _UNBOUND, _LISTEN = 6, 7, 10
# From so many on, sock_diag is worth it; below, the text of /proc/net/tcp is as quick.
_MANY = 1000
# Reading more than this costs more than it tells.
_AT_MOST = 50000
_TOP_PEERS = 5

_SOCK_DIAG = 4
_BY_FAMILY = 20
_REQUEST = struct.Struct("=BBBBI48x")  # family, protocol, extensions, pad, bit mask of states, any address
_PORTS = struct.Struct("!HH")
_QUEUES = struct.Struct("=II")  # of a listener: connections that wait for accept(), and how many may
_NO_TIME_WAIT = 0xFFF & ~(1 << _TIME_WAIT) | 1 << 12

# One line of /proc/net/tcp or one answer of sock_diag; addresses are bytes in network order.
Socket = collections.namedtuple("Socket", "state address port peer")


def parse_table(lines):
    """Yields a Socket for each line of /proc/net/tcp, tcp6, udp or udp6 after the header."""
    for line in lines:
        words = line.split(None, 4)
        address, _colon, port = words[1].partition(":")
        peer = words[2].partition(":")[0]
        yield Socket(int(words[3], 16), _address(address), int(port, 16), _address(peer))


def _address(text):
    """The kernel prints each 32 bits as a number of the machine's byte order."""
    return b"".join(struct.pack("=I", int(text[start : start + 8], 16)) for start in range(0, len(text), 8))


def _read_table(path):
    with open(path) as stream:
        stream.readline()
        yield from parse_table(stream)


def _ask_kernel(family, states):
    for payload, size in _answers(family, states):
        yield Socket(payload[1], payload[8 : 8 + size], _PORTS.unpack_from(payload, 4)[0], payload[24 : 24 + size])


def _answers(family, states):
    """Yields (struct inet_diag_msg, length of its addresses) of each TCP socket in these states."""
    size = 4 if family == socket.AF_INET else 16
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, states)
    for payload in dump(_SOCK_DIAG, _BY_FAMILY, request):
        yield payload, size


def _tcp(many):
    """Yields the TCP sockets; where there are many those in TIME_WAIT last, since they are counted elsewhere too."""
    if many:
        for states in (_NO_TIME_WAIT, 1 << _TIME_WAIT):
            for family in (socket.AF_INET, socket.AF_INET6):
                yield from _ask_kernel(family, states)
    else:
        yield from _tables("tcp")


def _tables(protocol):
    for path in ("/proc/net/" + protocol, "/proc/net/%s6" % protocol):
        try:
            yield from _read_table(path)
        except FileNotFoundError:
            continue


def read(sockstat):
    """(sockets, listeners) as net_facts returns them. Raises OSError.

    sockstat says how many there are: {"TCP": {"inuse": 5, "tw": 7}, ...}.
    """
    tcp4 = sockstat.get("TCP", {})
    expected = sum(tcp4.get(name, 0) for name in ("inuse", "tw", "orphan")) + sockstat.get("TCP6", {}).get("inuse", 0)
    try:
        return _tally(_tcp(expected > _MANY), tcp4.get("tw"))
    except OSError:
        if expected <= _MANY:
            raise
        # No sock_diag in this kernel, or not for us.
        return _tally(_tcp(False), tcp4.get("tw"))


def _tally(tcp, time_wait):
    states = collections.Counter()
    by_service = collections.Counter()
    listening = set()
    complete = True
    for number, item in enumerate(tcp):
        if number >= _AT_MOST:
            complete = False
            break
        states[item.state] += 1
        if item.state == _LISTEN:
            listening.add(("tcp", item.address, item.port))
        else:
            by_service[item.port, item.peer] += 1
    named = collections.Counter()
    for state, count in states.items():
        named[STATES.get(state, str(state))] += count
    if not complete and time_wait is not None:
        named["TIME_WAIT"] = time_wait
    for item in _tables("udp"):
        # A connected UDP socket is a client; only the others receive from everybody.
        if item.state == _UNBOUND and item.port:
            listening.add(("udp", item.address, item.port))
    ports = {port for protocol, _address, port in listening if protocol == "tcp"}
    peers = collections.Counter()
    for (port, peer), count in by_service.items():
        # Connections that came in: those are what a NAT in front would concentrate.
        if port in ports:
            peers[peer] += count
    sockets = {
        "tcp": dict(named),
        "complete": complete,
        "incoming": {
            "connections": sum(peers.values()),
            "addresses": len(peers),
            "top": [{"address": show(peer), "connections": count} for peer, count in peers.most_common(_TOP_PEERS)],
        },
    }
    listeners = [
        {"protocol": protocol, "address": show(address), "port": port}
        for protocol, address, port in sorted(listening, key=lambda item: (item[2], item[0], item[1]))
    ]
    return sockets, listeners


def add_queues(listeners):
    """Tells each TCP listener its backlog and how many connections wait in it now; None where the kernel does not say.

    Raises OSError. Sockets that share address and port (SO_REUSEPORT) have a queue each: the shortest and the fullest
    are told.
    """
    tcp = {(item["address"], item["port"]): item for item in listeners if item["protocol"] == "tcp"}
    for item in tcp.values():
        item.update(backlog=None, queued=None)
    for family, table in ((socket.AF_INET, "/proc/net/tcp"), (socket.AF_INET6, "/proc/net/tcp6")):
        if not tcp or not os.path.exists(table):
            continue
        for payload, size in _answers(family, 1 << _LISTEN):
            item = tcp.get((show(payload[8 : 8 + size]), _PORTS.unpack_from(payload, 4)[0]))
            if item is not None:
                queued, backlog = _QUEUES.unpack_from(payload, 56)
                item["backlog"] = backlog if item["backlog"] is None else min(backlog, item["backlog"])
                item["queued"] = max(queued, item["queued"] or 0)


def show(address):
    """192.0.2.1 for the four bytes and for the sixteen of ::ffff:192.0.2.1."""
    if len(address) == 16 and address[:12] == b"\0" * 10 + b"\xff\xff":
        address = address[12:]
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
