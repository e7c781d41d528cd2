# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""timewait: TIME_WAIT, timestamps, and whose connections they cost."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import version
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule

_RECYCLE = "net.ipv4.tcp_tw_recycle"
_REUSE = "net.ipv4.tcp_tw_reuse"
_TIMESTAMPS = "net.ipv4.tcp_timestamps"
_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
_FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
_RFC1337 = "net.ipv4.tcp_rfc1337"
_TW_TIMEOUT = "net.ipv4.tcp_tw_timeout"

_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"
_REMOVAL = "commit 4396e46187ca (tcp: remove tcp_tw_recycle)"
_BARE_SYN = "commit a26552afe894 (a SYN without a timestamp fails the check of tcp_tw_recycle)"
_OFFSETS = "commit 165573e41f2f (timestamp offsets for each connection)"

# The oldest stable kernels that brought offsets for each connection back.
_OFFSETS_BACK = (6, 12, 94)

_INSTEAD = (
    "Leave the line out. Where outgoing connections run out of ports, keep connections to the upstream alive, set "
    f"{_REUSE} = 1 with timestamps on, or widen net.ipv4.ip_local_port_range."
)


def _recycle_is_on(context: Context) -> bool:
    """Any integer but 0 switches it on."""
    return context.number_after(_RECYCLE) not in (None, 0) and context.presence(_RECYCLE).exists is not False


def _drops_bare_syn(context: Context) -> bool | None:
    """Whether recycle refuses a SYN without a timestamp: from 3.17 on; None where a vendor may have brought that."""
    kernel = context.facts.kernel
    if kernel.version >= version("3.17"):
        return True
    return None if kernel.backports and kernel.version >= version("3.10") else False


def _waiting(context: Context) -> int | None:
    return context.facts.sockets.get("TIME_WAIT")


@rule("error", _REMOVAL, _IP_SYSCTL, keys=[_RECYCLE])
def recycle_removed(context: Context) -> Iterator[Problem]:
    """tcp_tw_recycle on a kernel without it: 4.12 removed it, because it dropped connections of clients behind NAT."""
    presence = context.presence(_RECYCLE)
    if context.sets(_RECYCLE) and presence.exists is False:
        yield Problem(
            (_RECYCLE,),
            f"{_RECYCLE} = {context.shown(_RECYCLE)}: kernel {context.facts.kernel.release} has no such parameter "
            f"({presence.basis}): the write will fail.",
            "Linux 4.12 removed it: clients that share an address lost connections, and timestamp offsets of newer "
            "clients broke it for all others.",
            "Leave the line out: here it is off for good. In a file for older kernels too, a - before the key lets "
            "this host pass it over."
            if context.number(_RECYCLE) == 0
            else _INSTEAD,
        )


@rule("error", _REMOVAL, _OFFSETS, _BARE_SYN, _IP_SYSCTL, keys=[_RECYCLE, _TIMESTAMPS])
def recycle_hazard(context: Context) -> Iterator[Problem]:
    """tcp_tw_recycle on a kernel that has it.

    For 60 seconds it drops every SYN whose timestamp is older than the last one of the same address, without an answer.
    Clients behind one NAT address have unrelated timestamps, so all but one of them lose connections: an error, and
    also where nobody has said that there are none. Else a warning: clients on kernels with an offset for each
    connection (4.10, and again from 2026) are hit without any NAT.
    """
    if not _recycle_is_on(context):
        return
    # Timestamps that are switched on wake a recycle that was asleep.
    woken = (context.number(_TIMESTAMPS) or 0) > 0 and context.number_now(_TIMESTAMPS) == 0
    if not (context.sets(_RECYCLE) or woken):
        return
    topology = context.topology
    shared = topology.clients_share_addresses
    off = context.number_after(_TIMESTAMPS) == 0
    if off:
        # Inert, and said by recycle_needs_timestamps or timestamps_off_with_recycle.
        return
    if topology.only_client:
        severity = "warning"
        consequence = "as a pure client the host opens connections itself, but whatever does listen on it drops SYNs"
    elif shared:
        severity = "error"
        consequence = (
            f"clients share addresses here ({topology.describe()}): all but one of each address will lose connections"
        )
    elif shared is None:
        severity = "error"
        consequence = _unknown_clients(context)
    else:
        severity = "warning"
        consequence = (
            f"with one client an address ({topology.describe()}) it works, until clients come whose kernels give "
            "each connection a timestamp offset of its own (4.10, and again since 2026): of those, about half of the "
            "connections fail"
        )
    yield Problem(
        (_RECYCLE,),
        f"{_RECYCLE} = {context.shown(_RECYCLE)} on kernel {context.facts.kernel.release}: {consequence}.",
        "A SYN with a timestamp older than the last one from the same address within 60 s"
        f"{', or without one,' if _drops_bare_syn(context) else ''} is dropped without an answer (TcpExt PAWSPassive "
        "counts them).",
        _INSTEAD,
        severity=severity,
    )


def _unknown_clients(context: Context) -> str:
    front = context.topology.front
    if front == "lvs_nat":
        return (
            "behind LVS NAT the director rewrites addresses, and whether clients share one behind it is unknown: "
            "those that do will lose connections"
        )
    if front in ("lvs_dr", "lvs_tun", "none"):
        keeps = "nothing in front changes addresses" if front == "none" else f"{front} keeps the clients' addresses"
        return (
            f"{keeps}, but whether clients sit behind NAT of their own is not declared, and an office or a mobile "
            "network behind one address would lose connections"
        )
    return "whether clients share addresses is unknown, and those that do will lose connections"


@rule("warning", _BARE_SYN, _IP_SYSCTL, keys=[_RECYCLE, _TIMESTAMPS])
def recycle_needs_timestamps(context: Context) -> Iterator[Problem]:
    """tcp_tw_recycle with timestamps off: it does nothing, until somebody turns timestamps on.

    Where they are switched off only now, that holds up to kernel 3.16; newer ones refuse peers for a minute.
    """
    asleep = context.number_now(_TIMESTAMPS) == 0 or _drops_bare_syn(context) is False
    if _recycle_is_on(context) and context.number_after(_TIMESTAMPS) == 0 and asleep:
        yield Problem(
            (_RECYCLE, _TIMESTAMPS),
            f"{_RECYCLE} = {context.shown(_RECYCLE)} with {_TIMESTAMPS} = 0 does nothing.",
            "It decides by timestamps, and there are none. The day that they are switched on it begins to drop SYNs.",
            _INSTEAD,
        )


@rule("error", _BARE_SYN, _REMOVAL, _IP_SYSCTL, keys=[_TIMESTAMPS])
def timestamps_off_with_recycle(context: Context) -> Iterator[Problem]:
    """Switching timestamps off while tcp_tw_recycle is on: for 60 seconds every peer seen before is refused, since a
    SYN without a timestamp fails the check against the remembered one. Kernels before 3.17 let it pass, unless their
    vendor brought that check to them.
    """
    drops = _drops_bare_syn(context)
    if context.number(_TIMESTAMPS) != 0 or context.number_now(_TIMESTAMPS) == 0 or not _recycle_is_on(context):
        return
    if drops is not False:
        unsure = "" if drops else " Linux 3.17 began with that; whether this vendor's kernel has it is unknown."
        yield Problem(
            (_TIMESTAMPS, _RECYCLE),
            f"{_TIMESTAMPS} = 0 while {_RECYCLE} = {context.shown(_RECYCLE)}: every peer of the last 60 seconds "
            f"{'is' if drops else 'may be'} refused; after that {_RECYCLE} does nothing.",
            "recycle compares a SYN with the remembered timestamp of its address, and a SYN without one is dropped."
            f"{unsure}",
            f"Set {_RECYCLE} = 0 and leave {_TIMESTAMPS} = 1.",
        )


@rule("warning", _IP_SYSCTL, keys=[_REUSE, _TIMESTAMPS])
def reuse_needs_timestamps(context: Context) -> Iterator[Problem]:
    """tcp_tw_reuse = 1 without timestamps: no port is ever reused."""
    if not (context.sets(_REUSE) or context.sets(_TIMESTAMPS)):
        return
    if context.number_after(_REUSE) == 1 and context.number_after(_TIMESTAMPS) == 0:
        yield Problem(
            (_REUSE, _TIMESTAMPS),
            f"{_REUSE} = 1 with {_TIMESTAMPS} = 0 does nothing: outgoing connections keep running out of ports.",
            "A port in TIME_WAIT is taken over only where timestamps of both ends prove that the old connection is "
            "over.",
            f"Write {_TIMESTAMPS} = 1 instead, or leave the line out: it is the default.",
        )


@rule("info", _IP_SYSCTL, keys=[_REUSE])
def reuse_is_outgoing(context: Context) -> Iterator[Problem]:
    """tcp_tw_reuse on a host that only accepts connections."""
    roles = set(context.topology.roles)
    if context.number(_REUSE) == 1 and roles and roles <= {"server", "database"}:
        yield Problem(
            (_REUSE,),
            f"{_REUSE} = 1 does nothing for the connections that a {' and '.join(sorted(roles))} accepts.",
            "It lets outgoing connections take a port over. TIME_WAIT of accepted ones costs memory, not ports.",
            "Leave the line out, unless the host opens many connections too.",
        )


@rule("warning", _IP_SYSCTL, "RFC 7323", keys=[_TIMESTAMPS])
def timestamps_off(context: Context) -> Iterator[Problem]:
    """tcp_timestamps = 0: hides damage from the PAWS counters and heals none."""
    if context.number(_TIMESTAMPS) == 0:
        keeps = context.number_now(_TIMESTAMPS) == 0
        yield Problem(
            (_TIMESTAMPS,),
            f"{_TIMESTAMPS} = 0 {'leaves' if keeps else 'switches'} off protection against old segments (PAWS), "
            "round-trip measurement and the reuse of ports in TIME_WAIT.",
            "The counters of timestamp rejects fall silent, but a SYN that meets TIME_WAIT is still slow or fails, "
            "now unseen. Hardening guides want it to hide the uptime; since 4.10 a random offset does.",
            f"Write {_TIMESTAMPS} = 1 instead, or leave the line out: it is the default.",
        )


@rule("error", _OFFSETS, _IP_SYSCTL, keys=[_TIMESTAMPS])
def timestamps_behind_nat(context: Context) -> Iterator[Problem]:
    """Switching timestamps on where clients share addresses: a NAT that soon uses a port again shows this host
    timestamps that go backwards, and segments in TIME_WAIT are rejected. Roll such a change out in waves, with its
    counters watched.
    """
    proposed = context.number(_TIMESTAMPS)
    shared = context.topology.clients_share_addresses
    if proposed is None or proposed == 0 or context.number_now(_TIMESTAMPS) != 0 or shared is False:
        return
    waiting = _waiting(context)
    held = "" if waiting is None else f" {waiting} connections are in TIME_WAIT here now."
    if shared:
        yield Problem(
            (_TIMESTAMPS,),
            f"{_TIMESTAMPS} goes from 0 to {proposed} where clients share addresses ({context.topology.describe()}): "
            f"expect timestamp rejects and slow or failed connects.{held}",
            "Clients have an offset of their own, or, on kernels from 2026 on, one for each connection. When the NAT "
            "gives a port out again within 60 s, the timestamp goes backwards for this host, and what arrives in "
            "TIME_WAIT is rejected.",
            f"Leave {_TIMESTAMPS} = 0 here, or widen the port pool of the NAT first; to try it on a canary, waive "
            "this finding with the reason.",
        )
    else:
        yield Problem(
            (_TIMESTAMPS,),
            f"{_TIMESTAMPS} goes from 0 to {proposed}, and whether clients share addresses is unknown.{held}",
            "Where a NAT with few ports stands in between, timestamps that go backwards are rejected in TIME_WAIT.",
            "Declare tune_topology.clients_behind_nat, and watch the timestamp rejects of the first wave.",
            severity="info",
        )


@rule("error", _IP_SYSCTL, keys=[_TIMESTAMPS])
def timestamps_value(context: Context) -> Iterator[Problem]:
    """tcp_timestamps with another value than 0, 1 or 2; the kernel takes up to 255."""
    number = context.number(_TIMESTAMPS)
    if number is not None and not 0 <= number <= 2:
        yield Problem(
            (_TIMESTAMPS,),
            f"{_TIMESTAMPS} = {number}: only 0, 1 and 2 mean anything.",
            "The kernel takes more without a word, and what it then does is an accident of its code.",
            f"Write {_TIMESTAMPS} = 1 instead, or leave the line out: it is the default.",
        )


@rule("info", _IP_SYSCTL, keys=[_TIMESTAMPS])
def timestamps_without_offset(context: Context) -> Iterator[Problem]:
    """tcp_timestamps = 2: timestamps without a random offset."""
    if context.number(_TIMESTAMPS) == 2:
        yield Problem(
            (_TIMESTAMPS,),
            f"{_TIMESTAMPS} = 2 tells every peer how long this host is up.",
            "Without the random offset, which 1 adds since 4.10, the timestamp is the uptime. In return the "
            "timestamps of all connections of this host rise together, also behind a NAT.",
            f"Write {_TIMESTAMPS} = 1 instead, unless this host opens connections through a NAT that soon uses ports "
            "again.",
        )


@rule("warning", _IP_SYSCTL, keys=[_BUCKETS])
def buckets_lowered(context: Context) -> Iterator[Problem]:
    """tcp_max_tw_buckets below what it is: connections in TIME_WAIT beyond it are destroyed at once."""
    proposed, now = context.number(_BUCKETS), context.number_now(_BUCKETS)
    if proposed is None:
        return
    if now is not None:
        before, basis = now, f"{now} now"
    else:
        estimate = _default_buckets(context)
        if estimate is None:
            return
        before, basis = estimate, f"about {estimate} by the kernel's own choice for this memory"
    if proposed >= before:
        return
    waiting = _waiting(context)
    if waiting is None:
        effect = "connections in TIME_WAIT beyond it are destroyed at once"
    elif waiting > proposed:
        effect = f"{waiting} connections are in TIME_WAIT, so that {waiting - proposed} of them are more than it allows"
    else:
        effect = f"{waiting} connections are in TIME_WAIT at this moment; beyond the limit they are destroyed at once"
    yield Problem(
        (_BUCKETS,),
        f"{_BUCKETS} = {proposed} lowers the limit ({basis}): {effect}.",
        "TIME_WAIT keeps late segments out of the next connection; a connection destroyed over the limit has no "
        "such protection (TcpExt TCPTimeWaitOverflow counts them). The kernel documentation says: do not lower it.",
        "Leave the line out. A connection in TIME_WAIT takes less than half a KiB.",
    )


def _default_buckets(context: Context) -> int | None:
    """Half the TCP hash table, which has a slot for 128 KiB of memory, rounded up to a power of two, at most 524288."""
    memory = context.facts.memory_bytes
    if memory is None:
        return None
    slots: int = 1 << max(9, (memory // (128 * 1024) - 1).bit_length())
    return min(slots, 524288) // 2


@rule("info", _IP_SYSCTL, keys=[_FIN_TIMEOUT])
def fin_timeout_is_not_time_wait(context: Context) -> Iterator[Problem]:
    """tcp_fin_timeout, which many take for the length of TIME_WAIT.

    Very low values are a warning: they cut off slow peers.
    """
    proposed = context.number(_FIN_TIMEOUT)
    if proposed is None or proposed >= 60 or proposed < 0:
        return
    hasty = proposed < 10
    yield Problem(
        (_FIN_TIMEOUT,),
        f"{_FIN_TIMEOUT} = {proposed} does not shorten TIME_WAIT, which stays at 60 s"
        + (f"; {proposed} s cuts off peers that are slow to close." if hasty else "."),
        "It limits FIN_WAIT_2, the state of a connection that this side has closed and the other has not.",
        f"Write {_FIN_TIMEOUT} = 10 or more instead."
        if hasty
        else "Keep it if connections in FIN_WAIT_2 are what you want fewer of; leave it out if TIME_WAIT was meant.",
        severity="warning" if hasty else None,
    )


@rule("error", _IP_SYSCTL, "RFC 1337", keys=[_RFC1337])
def rfc1337_behind_nat(context: Context) -> Iterator[Problem]:
    """tcp_rfc1337 = 1 where clients share addresses: the reset that heals a collision with TIME_WAIT is ignored."""
    shared = context.topology.clients_share_addresses
    if context.number(_RFC1337) in (None, 0) or shared is False:
        return
    certain = shared is True
    where = context.topology.describe() if certain else "whether clients share addresses is unknown"
    yield Problem(
        (_RFC1337,),
        f"{_RFC1337} = {context.proposed[_RFC1337]}: a new connection that meets TIME_WAIT "
        f"{'fails' if certain else 'can fail'} for seconds instead of healing in milliseconds ({where}).",
        "The client answers the unexpected ACK with a reset, which normally ends TIME_WAIT; with RFC 1337 the reset "
        "is ignored. A NAT that soon uses ports again makes such meetings common, and hardening guides that ask for it "
        "do not think of NAT.",
        f"Write {_RFC1337} = 0 instead; timestamps protect against what RFC 1337 is about.",
        severity=None if certain else "warning",
    )


@rule("warning", "RFC 9293, section 3.6.1", keys=[_TW_TIMEOUT])
def tw_timeout_short(context: Context) -> Iterator[Problem]:
    """tcp_tw_timeout of vendor kernels below 60 seconds."""
    proposed = context.number(_TW_TIMEOUT)
    if proposed is not None and 0 < proposed < 60 and context.presence(_TW_TIMEOUT).exists is not False:
        yield Problem(
            (_TW_TIMEOUT,),
            f"{_TW_TIMEOUT} = {proposed}: connections leave TIME_WAIT {60 - proposed} s earlier than Linux promises.",
            "A late segment of the old connection can then reach a new one on the same ports.",
            f"Leave it at 60; where ports run out, keep connections to the upstream alive and set {_REUSE} = 1.",
        )


@rule("warning", _OFFSETS, _IP_SYSCTL, keys=[_TIMESTAMPS])
def offset_per_connection(context: Context) -> Iterator[Problem]:
    """tcp_timestamps = 1 for a host that opens connections through a NAT, on a kernel that gives each connection a
    timestamp offset of its own (4.10, and again since 2026): when the NAT uses a port again, the server sees timestamps
    that go backwards.

    Whether the kernel does so is read from its symbols (kernel.timestamp_offset_per_tuple); where they are hidden, it
    is unknown.
    """
    if context.number(_TIMESTAMPS) != 1 or context.number_now(_TIMESTAMPS) not in (0, 2):
        return
    if not context.topology.has_role("kubernetes_node", "nat_gateway", "client"):
        return
    each = context.facts.timestamp_offset_per_tuple
    if each is False or (each is None and context.facts.kernel.version < _OFFSETS_BACK):
        return
    certain = each is True
    yield Problem(
        (_TIMESTAMPS,),
        f"{_TIMESTAMPS} goes from {context.now(_TIMESTAMPS)} to 1 on kernel {context.facts.kernel.release}, which "
        + (
            "gives each connection a timestamp offset of its own (read from its symbols)."
            if certain
            else "may give each connection a timestamp offset of its own (its symbols are hidden)."
        ),
        f"As a {' and '.join(context.topology.roles)} ({context.topology.source('role')}) it may open connections "
        "through a NAT. When that uses a port again within 60 s, the server sees timestamps that go backwards and "
        "rejects.",
        f"Leave {_TIMESTAMPS} = {context.now(_TIMESTAMPS)} until the NAT's port pool is known to be wide, and watch "
        "the timestamp rejects of the servers.",
        severity=None if certain else "info",
    )
