# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from ansible_collections.nettune.kernel.plugins.module_utils import _counters

NETSTAT = """TcpExt: SyncookiesSent PAWSEstab PAWSOldAck
TcpExt: 1 22 333
IpExt: InOctets
IpExt: 4
"""


def test_each_value_goes_with_the_name_above_it():
    assert _counters.parse_table(NETSTAT) == {
        "TcpExt": {"SyncookiesSent": 1, "PAWSEstab": 22, "PAWSOldAck": 333},
        "IpExt": {"InOctets": 4},
    }


def test_a_counter_that_the_kernel_lacks_is_absent_and_not_zero():
    flat = _counters.flatten(_counters.parse_table(NETSTAT))
    assert flat == {"TcpExt.SyncookiesSent": 1, "TcpExt.PAWSEstab": 22}


def test_sockstat():
    assert _counters.parse_sockstat("sockets: used 5\nTCP: inuse 2 orphan 0 tw 7\n") == {
        "sockets": {"used": 5},
        "TCP": {"inuse": 2, "orphan": 0, "tw": 7},
    }


def test_the_running_kernel_has_opens_and_at_least_one_counter_of_rejects():
    names = set(_counters.sample()["counters"])
    assert set(_counters.OPENS) <= names
    assert names & set(_counters.TIMESTAMP_REJECTS)
