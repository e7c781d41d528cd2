# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""connections: how long the kernel waits for a peer, and how long conntrack remembers one."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.words import amount, duration, plural

_TIME = "net.ipv4.tcp_keepalive_time"
_INTERVAL = "net.ipv4.tcp_keepalive_intvl"
_PROBES = "net.ipv4.tcp_keepalive_probes"
_KEEPALIVE = (_TIME, _INTERVAL, _PROBES)
_DEFAULTS = {_TIME: 7200, _INTERVAL: 75, _PROBES: 9}
_SYN_RETRIES = "net.ipv4.tcp_syn_retries"
_SYNACK_RETRIES = "net.ipv4.tcp_synack_retries"
_RETRIES = "net.ipv4.tcp_retries2"
_LINEAR = "net.ipv4.tcp_syn_linear_timeouts"
_MAX = "net.netfilter.nf_conntrack_max"
_MAX_NAMES = (_MAX, "net.nf_conntrack_max")
_BUCKETS = "net.netfilter.nf_conntrack_buckets"
_COUNT = "net.netfilter.nf_conntrack_count"
_ESTABLISHED = "net.netfilter.nf_conntrack_tcp_timeout_established"
_TIME_WAIT = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"
_CONNTRACK = "Documentation/networking/nf_conntrack-sysctl.rst"
# An entry with its extensions, and its two places in the hash table.
_ENTRY_BYTES = 384
# The kernel gives up retransmitting a segment later each time, from 0.2 s to 120 s.
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 120.0
# Roles whose conntrack stands between others.
_BETWEEN = ("nat_gateway", "kubernetes_node", "lvs_director")


def _seconds(context: Context, key: str) -> int:
    value = context.number_after(key)
    return _DEFAULTS[key] if value is None or value < 0 else value


def _unanswered(retries: int) -> int:
    """Seconds until a packet of the handshake has failed that is repeated after 1, 2, 4, ... s."""
    return int(sum(min(2**attempt, _LONGEST_WAIT) for attempt in range(retries + 1)))


@rule("info", _IP_SYSCTL, "tcp(7)", keys=_KEEPALIVE)
def keepalive(context: Context) -> Iterator[Problem]:
    """The keep-alive settings taken together: after how long a peer that has vanished is noticed.

    A warning where a network that is down for a few seconds already ends connections, or where idle connections are
    probed more than once a minute.
    """
    keys = tuple(key for key in _KEEPALIVE if context.sets(key))
    if not keys:
        return
    idle, interval, probes = (_seconds(context, key) for key in _KEEPALIVE)
    probing = interval * probes
    found = (
        f"A peer that vanishes is noticed {duration(idle + probing)} after its last segment: {idle} s idle, then "
        f"{plural(probes, 'probe')}, {interval} s apart."
    )
    if probing < 10 or idle < 30:
        harm = (
            f"a network that is down for {duration(probing)} ends every idle connection"
            if probing < 10
            else f"every idle connection sends a probe every {idle} s"
        )
        yield Problem(
            keys,
            f"{found} That is hasty: {harm}.",
            "It holds for every socket with SO_KEEPALIVE, those over long and slow paths too.",
            f"Write {_TIME} = 60 or more, and let {_INTERVAL} times {_PROBES} be 30 s or more.",
            severity="warning",
        )
        return
    yield Problem(
        keys,
        found,
        "It holds only for sockets whose program asks for SO_KEEPALIVE and does not set its own times.",
        "Keep it if that is when you want to know; a firewall or NAT on the way must remember idle connections for "
        f"longer than {idle} s.",
    )


@rule("warning", _CONNTRACK, "RFC 5382, REQ-5", keys=[_TIME, _ESTABLISHED])
def idle_beyond_conntrack(context: Context) -> Iterator[Problem]:
    """Idle connections that conntrack forgets before TCP sends its first keep-alive probe: the next packet then finds
    no connection.

    On a gateway that is about the keep-alive of others, of which 2 hours are the default.
    """
    remembered = context.number_after(_ESTABLISHED)
    if remembered is None or remembered <= 0:
        return
    between = context.topology.has_role(*_BETWEEN)
    if between and context.sets(_ESTABLISHED):
        idle, whose = _DEFAULTS[_TIME], "hosts behind it by default send their first keep-alive probe"
    else:
        idle, whose = _seconds(context, _TIME), "this host sends its first keep-alive probe"
    if remembered >= idle:
        return
    keys = tuple(key for key in (_ESTABLISHED, _TIME) if context.sets(key))
    yield Problem(
        keys,
        f"conntrack forgets an established connection after {duration(remembered)} without a packet ({_ESTABLISHED} = "
        f"{remembered}); {whose} after {duration(idle)}.",
        "An idle connection, to a database or of a push service, hangs or is reset at its next packet. RFC 5382 asks a "
        "NAT for at least 2 h 4 min.",
        f"Write {_ESTABLISHED} = {7440 if between else max(7440, idle)} or more"
        + (" instead." if between else f", or a {_TIME} below {remembered}."),
        severity=None if between or context.now(_ESTABLISHED) else "info",
    )


@rule("info", _IP_SYSCTL, "RFC 6298", keys=[_SYN_RETRIES, _SYNACK_RETRIES])
def handshake_retries(context: Context) -> Iterator[Problem]:
    """How long a handshake may take, in seconds. A warning where two lost packets are enough for it to fail."""
    outgoing = context.number(_SYN_RETRIES)
    if outgoing is not None and 1 <= outgoing <= 127:
        linear = context.number_after(_LINEAR)
        if linear is None:
            linear = 4 if context.facts.kernel.version >= (6, 5, 0) else 0
        total = _unanswered(outgoing) + linear
        hasty = total < 5
        yield Problem(
            (_SYN_RETRIES,),
            f"{_SYN_RETRIES} = {outgoing}: connect() fails after {duration(total)} without an answer.",
            f"A SYN is repeated {f'{linear} times at 1 s, then ' if linear else ''}after 1, 2, 4, ... s."
            + (" Two lost packets in a row are not rare on a busy path." if hasty else ""),
            f"Write {_SYN_RETRIES} = 3 or more instead, and let the program set a shorter time-out where it needs one."
            if hasty
            else "Keep it if programs should hear of an unreachable peer after that time.",
            severity="warning" if hasty else None,
        )
    incoming = context.number(_SYNACK_RETRIES)
    if incoming is not None and 0 <= incoming <= 127:
        total = _unanswered(incoming)
        yield Problem(
            (_SYNACK_RETRIES,),
            f"{_SYNACK_RETRIES} = {incoming}: a half-open connection is dropped after {duration(total)}"
            + (", at the first lost packet." if not incoming else "."),
            "A client whose answer is lost has that long. In a flood of SYNs a small number frees the queue sooner; "
            "syncookies do so without that price.",
            f"Write {_SYNACK_RETRIES} = 2 or more instead."
            if incoming < 2
            else "Keep it if that is long enough for clients on slow and lossy paths.",
            severity="warning" if incoming < 2 else None,
        )


@rule("info", _IP_SYSCTL, "RFC 1122, section 4.2.3.5", keys=[_RETRIES])
def retransmission_limit(context: Context) -> Iterator[Problem]:
    """How long unanswered data is repeated before the connection fails. RFC 1122 asks for 100 s at least; clusters
    often want less. A warning where a few seconds without network end connections.
    """
    retries = context.number(_RETRIES)
    if retries is None or not 1 <= retries <= 255:
        return
    total = sum(min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) for attempt in range(retries + 1))
    if total >= 100 and retries <= 15:
        return
    hasty = total < 5
    yield Problem(
        (_RETRIES,),
        f"{_RETRIES} = {retries}: a connection fails after about {duration(total)} without an answer, on a path with "
        "a short round trip.",
        "The waits double from 0.2 s to 120 s. "
        + (
            "The default of 15 gives about 15 minutes; RFC 1122 asks for at least 100 s."
            if total < 100
            else "Dead connections then hold their memory for long."
        ),
        f"Write {_RETRIES} = 5 (12.6 s) or more instead; a restarting switch takes longer than {duration(total)}."
        if hasty
        else "Keep it if programs reconnect by themselves; 8 is the least that RFC 1122 allows, 15 is the default.",
        severity="warning" if hasty else None,
    )


@rule("error", _CONNTRACK, keys=_MAX_NAMES)
def conntrack_table_too_small(context: Context) -> Iterator[Problem]:
    """nf_conntrack_max below the connections tracked now: new ones are dropped at once. A warning where it is merely
    below the limit that holds now.
    """
    for key in _MAX_NAMES:
        proposed = context.number(key)
        # 0 is no limit.
        if proposed is None or proposed <= 0:
            continue
        count = context.number_now(_COUNT)
        now = context.number_now(key)
        if count is not None and count >= proposed:
            yield Problem(
                (key,),
                f"{key} = {proposed}, and {count} connections are tracked at this moment: every new one is dropped.",
                'The kernel logs "nf_conntrack: table full, dropping packet" and refuses until old entries expire.',
                f"Write {key} = {_rounded(count * 4)} or more instead.",
            )
        elif now is not None and proposed < now:
            yield Problem(
                (key,),
                f"{key} = {proposed} lowers the limit ({now} now"
                + (f"; {count} connections are tracked)." if count is not None else ")."),
                "Beyond it every new connection through this host is dropped, in a burst or an attack first.",
                f"Leave it at {now}, unless memory is short: an entry takes about {_ENTRY_BYTES} bytes.",
                severity="warning",
            )


@rule("warning", _CONNTRACK, keys=_MAX_NAMES)
def conntrack_beyond_memory(context: Context) -> Iterator[Problem]:
    """nf_conntrack_max whose entries would take a large part of the memory; more than all of it is an error."""
    memory = context.facts.memory_bytes
    for key in _MAX_NAMES:
        proposed = context.number(key)
        if memory is None or proposed is None or proposed * _ENTRY_BYTES <= memory // 4:
            continue
        total = proposed * _ENTRY_BYTES
        yield Problem(
            (key,),
            f"{key} = {proposed}: at about {_ENTRY_BYTES} bytes an entry, a full table takes {amount(total)}; this "
            f"host has {amount(memory)}.",
            "The memory is the kernel's and cannot be swapped; anybody who can open connections can fill the table.",
            f"Write {key} = {1 << (memory // 16 // _ENTRY_BYTES).bit_length()} or less instead.",
            severity="error" if total > memory else None,
        )


@rule("warning", _CONNTRACK, keys=(*_MAX_NAMES, _BUCKETS))
def conntrack_chains(context: Context) -> Iterator[Problem]:
    """nf_conntrack_max many times nf_conntrack_buckets: each packet then walks a long chain."""
    buckets = context.number_after(_BUCKETS)
    for key in _MAX_NAMES:
        entries = context.number_after(key)
        if not buckets or buckets < 0 or entries is None or not (context.sets(key) or context.sets(_BUCKETS)):
            continue
        if entries > 8 * buckets:
            writable = context.facts.kernel.version >= (4, 8, 0)
            yield Problem(
                tuple(one for one in (key, _BUCKETS) if context.sets(one)),
                f"{key} = {entries} with {buckets} buckets: in a full table each packet walks a chain of about "
                f"{2 * entries // buckets} entries.",
                "Every connection is in the hash table twice, once for each direction. Setting the limit does not make "
                "the table larger.",
                f"Write {_BUCKETS} = {_power_above(entries // 4)} too."
                if writable
                else f"Set the table's size too: options nf_conntrack hashsize={_power_above(entries // 4)} in "
                "/etc/modprobe.d, for this kernel shows the number and does not take it.",
            )
            return


@rule("error", "net/netfilter/nf_conntrack_standalone.c", keys=[_BUCKETS])
def conntrack_size_is_fixed(context: Context) -> Iterator[Problem]:
    """nf_conntrack_buckets on kernels before 4.8, Enterprise Linux 7 among them, which only show it."""
    release = context.facts.kernel.release
    # kernel.read_only speaks where that was read from the live host.
    if (
        context.sets(_BUCKETS)
        and context.facts.kernel.version < (4, 8, 0)
        and _BUCKETS not in context.facts.sysctl_read_only
    ):
        size = context.number(_BUCKETS) or 65536
        yield Problem(
            (_BUCKETS,),
            f"{_BUCKETS} = {context.proposed[_BUCKETS]:.80} cannot be written on kernel {release} (by version).",
            "Before 4.8 the size of the table is a parameter of the module.",
            f"Put options nf_conntrack hashsize={size} into a file of /etc/modprobe.d, and leave the line out.",
        )


@rule("info", _CONNTRACK, "RFC 5382, REQ-5", keys=[_TIME_WAIT])
def conntrack_forgets_time_wait(context: Context) -> Iterator[Problem]:
    """nf_conntrack_tcp_timeout_time_wait below 60 s. On a host that translates addresses it is a warning: the NAT gives
    a port out again while the server still holds the old connection in TIME_WAIT, and the server rejects what comes.
    """
    proposed = context.number(_TIME_WAIT)
    if proposed is None or not 0 <= proposed < 60:
        return
    translates = context.topology.has_role("nat_gateway", "kubernetes_node")
    per_tuple = (
        " Clients on kernels with a timestamp offset for each connection make it worse: their timestamps then go "
        "backwards for the server (PAWS)."
    )
    yield Problem(
        (_TIME_WAIT,),
        f"{_TIME_WAIT} = {proposed}: conntrack forgets a closed connection {60 - proposed} s before a Linux server's "
        "TIME_WAIT ends" + (", and NAT gives its port to the next client meanwhile." if translates else "."),
        "A new connection from a port that the server still holds in TIME_WAIT is slow or rejected."
        + (per_tuple if translates else " It matters where this host translates addresses."),
        f"Leave it at 120, and raise {_MAX} where the table is full of closed connections.",
        severity="warning" if translates else None,
    )


def _rounded(number: int) -> int:
    return 1 << max(16, (number - 1).bit_length())


def _power_above(number: int) -> int:
    return 1 << max(10, (number - 1).bit_length())
