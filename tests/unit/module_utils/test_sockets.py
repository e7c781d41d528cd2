# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import sys

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils import _net_facts, _sockets

# /proc/net/tcp as Linux 3.10 prints it: listener, connection to it, one in TIME_WAIT, one that was opened from here.
TCP = """\
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 18230
   1: 0A0200C0:0050 076433C6:D431 01 00000000:00000000 02:000AF0C1 00000000     0        0 18230
   2: 0A0200C0:0050 076433C6:D432 06 00000000:00000000 03:000017A1 00000000     0        0 18230
   3: 0A0200C0:9C40 097100CB:0CEA 01 00000000:00000000 00:00000000 00000000     0        0 18230
"""
TCP6 = """\
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   1: 0000000000000000FFFF00000A0200C0:0016 0000000000000000FFFF0000076433C6:D433 01 00000000:00000000 00:00000000
   2: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:D434 08 00000000:00000000 00:00000000
"""

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the recorded text is of a little-endian machine")


@little_endian
def test_lines_of_proc():
    found = [
        (item.state, _sockets.show(item.address), item.port, _sockets.show(item.peer))
        for item in _sockets.parse_table((TCP + TCP6).splitlines())
    ]
    assert found == [
        (10, "0.0.0.0", 80, "0.0.0.0"),
        (1, "192.0.2.10", 80, "198.51.100.7"),
        (6, "192.0.2.10", 80, "198.51.100.7"),
        (1, "192.0.2.10", 40000, "203.0.113.9"),
        (10, "::", 22, "::"),
        (1, "192.0.2.10", 22, "198.51.100.7"),
        (8, "2001:db8::1", 22, "2001:db8::2"),
    ]


@little_endian
def test_only_connections_that_came_in_speak_of_clients(monkeypatch):
    monkeypatch.setattr(_sockets, "_tables", lambda protocol: iter(()))
    sockets, listeners = _sockets._tally(_sockets.parse_table(TCP.splitlines()), None)
    assert sockets == {
        "tcp": {"LISTEN": 1, "ESTABLISHED": 2, "TIME_WAIT": 1},
        "complete": True,
        "incoming": {
            "connections": 2,
            "addresses": 1,
            "top": [{"address": "198.51.100.7", "connections": 2}],
        },
    }
    assert listeners == [{"protocol": "tcp", "address": "0.0.0.0", "port": 80}]


@little_endian
def test_above_the_limit_the_kernel_s_own_count_of_time_wait_is_taken(monkeypatch):
    monkeypatch.setattr(_sockets, "_tables", lambda protocol: iter(()))
    monkeypatch.setattr(_sockets, "_AT_MOST", 2)
    sockets, _listeners = _sockets._tally(_sockets.parse_table(TCP.splitlines()), 300000)
    assert sockets["complete"] is False
    assert sockets["tcp"]["TIME_WAIT"] == 300000


def test_new_states_of_request_sockets_count_as_syn_recv():
    assert _sockets.STATES[12] == _sockets.STATES[3] == "SYN_RECV"


def test_without_sock_diag_the_queues_are_unknown(monkeypatch):
    def refused(protocol, message_type, request):
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(_sockets, "dump", refused)
    listeners = [{"protocol": "tcp", "address": "::", "port": 80}, {"protocol": "udp", "address": "::", "port": 53}]
    facts = {"unreadable": []}
    _net_facts._ask(facts, "queues of listeners", _sockets.add_queues, listeners)
    assert listeners == [
        {"protocol": "tcp", "address": "::", "port": 80, "backlog": None, "queued": None},
        {"protocol": "udp", "address": "::", "port": 53},
    ]
    assert facts["unreadable"] == [{"what": "queues of listeners", "reason": "Protocol not supported"}]
