# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters of the network stack, and which of them speak of a failed change.

Meanings and kernels: Documentation/networking/snmp_counter.rst and net/ipv4/proc.c. Which counters a kernel has is
told by the header lines of /proc/net/netstat, never by a zero.
"""

import time

# A segment or a SYN thrown away because of its timestamp. PAWSOldAck is not among them: it counts harmless reordered
# ACKs.
TIMESTAMP_REJECTS = (
    "TcpExt.PAWSPassive",  # SYN dropped by tcp_tw_recycle, up to 4.11
    "TcpExt.PAWSActive",
    "TcpExt.PAWSEstab",  # with those in TIME_WAIT, until PAWSTimewait came
    "TcpExt.PAWSTimewait",  # from about 6.15
    "TcpExt.TSEcrRejected",  # from about 6.15
)
# What the rejects are set against: connections that the host accepted or opened.
OPENS = ("Tcp.PassiveOpens", "Tcp.ActiveOpens")
# Damage that shows without timestamps.
QUEUES = (
    "TcpExt.ListenOverflows",
    "TcpExt.ListenDrops",
    "TcpExt.TCPReqQFullDrop",
    "TcpExt.TCPReqQFullDoCookies",
    "TcpExt.SyncookiesSent",
    "TcpExt.TCPTimeWaitOverflow",
)
RESETS = (
    "TcpExt.TCPACKSkippedTimeWait",
    "TcpExt.TCPSynRetrans",
    "Tcp.AttemptFails",
    "Tcp.OutRsts",
    "Tcp.EstabResets",
)
WATCHED = TIMESTAMP_REJECTS + OPENS + QUEUES + RESETS


def parse_table(text):
    """{"TcpExt": {"SyncookiesSent": 0, ...}, ...} of /proc/net/netstat or snmp: pairs of a header and a value line."""
    table = {}
    lines = [line.split() for line in text.splitlines()]
    for header, values in zip(lines[::2], lines[1::2]):
        if header and values and header[0] == values[0]:
            table[header[0].rstrip(":")] = {name: int(value) for name, value in zip(header[1:], values[1:])}
    return table


def parse_sockstat(text):
    """{"TCP": {"inuse": 5, ...}, ...} of /proc/net/sockstat."""
    table = {}
    for line in text.splitlines():
        name, _colon, rest = line.partition(":")
        words = rest.split()
        table[name] = {key: int(value) for key, value in zip(words[::2], words[1::2])}
    return table


def read():
    """All counters of /proc/net/netstat and /proc/net/snmp, by group."""
    counters = {}
    for path in ("/proc/net/snmp", "/proc/net/netstat"):
        try:
            with open(path) as stream:
                counters.update(parse_table(stream.read()))
        except OSError:
            continue
    return counters


def read_sockstat():
    counters = {}
    for path in ("/proc/net/sockstat", "/proc/net/sockstat6"):
        try:
            with open(path) as stream:
                counters.update(parse_sockstat(stream.read()))
        except OSError:
            continue
    return counters


def flatten(counters, names=WATCHED):
    """{"TcpExt.PAWSEstab": 3, ...} of the named counters that this kernel has."""
    flat = {}
    for name in names:
        group, _dot, counter = name.partition(".")
        if counter in counters.get(group, {}):
            flat[name] = counters[group][counter]
    return flat


def boot_id():
    """Changes with every start of the host: the kernel's boot id, and when process 1 began (containers start anew)."""
    with open("/proc/sys/kernel/random/boot_id") as stream:
        kernel = stream.read()
    try:
        with open("/proc/1/stat") as stream:
            return boot_id_of(kernel, stream.read())
    except OSError:  # Hidden from people who are not root.
        return boot_id_of(kernel, "")


def boot_id_of(kernel, init):
    """The same from the texts of the two files; the second is empty where it is hidden."""
    return ".".join([kernel.strip(), *init.rpartition(")")[2].split()[19:20]])


def now():
    """Seconds on CLOCK_BOOTTIME: goes on during suspend, knows nothing of changed clocks."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", 7))


def sample():
    """The watched counters at one moment. Two samples with different boot ids must not be subtracted."""
    return sample_of(now(), boot_id(), read())


def sample_of(time_now, boot, counters):
    return {"time": round(time_now, 3), "boot_id": boot, "counters": flatten(counters)}
