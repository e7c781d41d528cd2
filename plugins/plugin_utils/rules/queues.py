# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""queues: where packets and connections wait, and what becomes of those that find no room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import version
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.words import amount, listed, plural

_SOMAXCONN = "net.core.somaxconn"
_SYN_BACKLOG = "net.ipv4.tcp_max_syn_backlog"
_SYNCOOKIES = "net.ipv4.tcp_syncookies"
_ABORT = "net.ipv4.tcp_abort_on_overflow"
_BACKLOG = "net.core.netdev_max_backlog"
_BUDGET = "net.core.netdev_budget"
_BUDGET_USECS = "net.core.netdev_budget_usecs"
_QDISC = "net.core.default_qdisc"
_CONGESTION = "net.ipv4.tcp_congestion_control"
_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"
_NET = "Documentation/admin-guide/sysctl/net.rst"
# A packet of 1500 bytes with its management, as sockets are charged for it.
_PACKET_BYTES = 2304


def _default_somaxconn(context: Context) -> int:
    return 4096 if context.facts.kernel.version >= (5, 4, 0) else 128


def _queues(context: Context) -> dict[int, int] | None:
    """Port -> backlog of the TCP listeners, the longest first, of several on one port the longest. None: not all of
    them are known.
    """
    listeners = [listener for listener in context.facts.listeners if listener.protocol == "tcp"]
    known = [(listener.port, listener.backlog) for listener in listeners if listener.backlog is not None]
    if not known or len(known) < len(listeners):
        return None
    longest: dict[int, int] = {}
    for port, backlog in known:
        longest[port] = max(backlog, longest.get(port, 0))
    return dict(sorted(longest.items(), key=lambda item: (-item[1], item[0])))


def _ports(queues: Mapping[int, int]) -> str:
    return listed(f"port {port} ({backlog})" for port, backlog in queues.items())


@rule("warning", "listen(2)", "net/ipv4/af_inet.c, inet_listen", keys=[_SOMAXCONN])
def listener_cut_short(context: Context) -> Iterator[Problem]:
    """A somaxconn below the queue that a listener has now: the kernel cuts the queue, without an error, when the
    program is started again.
    """
    proposed, queues = context.number(_SOMAXCONN), _queues(context)
    if proposed is None or queues is None:
        return
    longer = {port: backlog for port, backlog in queues.items() if backlog > proposed}
    if longer:
        yield Problem(
            (_SOMAXCONN,),
            f"{_SOMAXCONN} = {proposed} is below the queue of {plural(len(longer), 'listener')} of this host: "
            f"{_ports(longer)}. Each is cut to {proposed} when its program is started again.",
            "listen() takes the smaller of what the program asks for and somaxconn, and reports no error. Nothing "
            "changes until a restart, perhaps long after the rollout; then a burst overflows the queue (TcpExt "
            "ListenOverflows).",
            f"Write {_SOMAXCONN} = {max(longer.values())} or more, or leave the line out.",
        )


@rule("warning", _NET, "listen(2)", keys=[_SOMAXCONN])
def accept_queue_lowered(context: Context) -> Iterator[Problem]:
    """somaxconn below what it is: listeners that are started from then on hold fewer connections that wait for
    accept(), and drop the rest. Where the backlogs of all listeners are known and shorter, it is a remark.
    """
    proposed, now = context.number(_SOMAXCONN), context.number_now(_SOMAXCONN)
    if proposed is None:
        return
    before, basis = (now, "now") if now is not None else (_default_somaxconn(context), "by default on this kernel")
    if proposed >= before:
        return
    queues = _queues(context)
    if queues and max(queues.values()) > proposed:
        return  # listener_cut_short
    spared = f" No listener that runs now has a longer queue: {_ports(queues)}." if queues else ""
    yield Problem(
        (_SOMAXCONN,),
        f"{_SOMAXCONN} = {proposed} caps the accept queue of every listener that is started from then on; it is "
        f"{before} {basis}.{spared}",
        "It caps the backlog that programs pass to listen(). A burst beyond it is dropped and comes back after a "
        "second or more (TcpExt ListenOverflows counts them).",
        f"Leave it at {before}, and let the program ask for a shorter queue where it wants one.",
        severity="info" if queues else None,
    )


@rule("info", "listen(2)", _NET, keys=[_SOMAXCONN])
def accept_queue_needs_restart(context: Context) -> Iterator[Problem]:
    """A higher somaxconn reaches a listener only when its program calls listen() again, and only if the program asks
    for more than it got.
    """
    proposed, now = context.number(_SOMAXCONN), context.number_now(_SOMAXCONN)
    if proposed is None or now is None or proposed <= now:
        return
    queues = _queues(context)
    held = _held_back(context, queues, now) if queues is not None else {}
    if queues is not None and not held:
        return  # no_listener_asks_for_more
    if held:
        whose = f"; it may hold back {_ports(held)}"
    else:
        ports = {listener.port for listener in context.facts.listeners if listener.protocol == "tcp"}
        whose = f"; {plural(len(ports), 'TCP port')} here" if ports else ""
    yield Problem(
        (_SOMAXCONN,),
        f"{_SOMAXCONN} goes from {now} to {proposed}, and the listeners that run now keep the queue they have{whose}.",
        "The limit is applied when a program calls listen(), and only to what the program asks for; 511 is the "
        "default of nginx, Apache httpd and Redis.",
        "Restart the program after the change, raise the backlog in its own settings where it asks for less, and "
        "compare the Send-Q column of ss -lnt.",
    )


@rule("info", "listen(2)", _NET, keys=[_SOMAXCONN])
def no_listener_asks_for_more(context: Context) -> Iterator[Problem]:
    """A higher somaxconn where every listener has a shorter queue than the limit allows now: the programs ask for
    less, so that the limit is none of theirs.
    """
    proposed, now = context.number(_SOMAXCONN), context.number_now(_SOMAXCONN)
    if proposed is None or now is None or proposed <= now:
        return
    queues = _queues(context)
    if not queues or _held_back(context, queues, now):
        return
    yield Problem(
        (_SOMAXCONN,),
        f"{_SOMAXCONN} = {proposed} lengthens no queue: it is {now} now, and every listener of this host asks for "
        f"less: {_ports(queues)}.",
        "A listener gets the smaller of somaxconn and of what its program passes to listen(). These got what they "
        "asked for.",
        "Raise the backlog in the program's own settings (backlog= of listen in nginx, ListenBacklog in httpd, "
        "tcp-backlog in Redis) and restart it, or leave the line out.",
    )


def _held_back(context: Context, queues: Mapping[int, int], now: int) -> dict[int, int]:
    """The listeners that may have asked for more: they have just what somaxconn allows, now or, as they were started
    before it was raised, by default.
    """
    default = _default_somaxconn(context)
    return {port: backlog for port, backlog in queues.items() if backlog >= now or backlog == default}


@rule("info", _IP_SYSCTL, "net/ipv4/tcp_input.c, tcp_conn_request", keys=[_SYN_BACKLOG, _SYNCOOKIES, _SOMAXCONN])
def syn_backlog_capped(context: Context) -> Iterator[Problem]:
    """A tcp_max_syn_backlog that another limit overrules: from 4.4 on it counts only where syncookies are off; before
    that the SYN queue ends at the smaller of it and of the accept queue.
    """
    proposed = context.number(_SYN_BACKLOG)
    if proposed is None:
        return
    somaxconn = context.number_after(_SOMAXCONN)
    somaxconn = _default_somaxconn(context) if somaxconn is None else somaxconn
    if context.facts.kernel.version < version("4.4"):
        if proposed > somaxconn:
            yield Problem(
                (_SYN_BACKLOG, _SOMAXCONN),
                f"{_SYN_BACKLOG} = {proposed} has no more effect than {somaxconn} would: {_SOMAXCONN} is {somaxconn}.",
                "On this kernel the SYN queue of a listener is the smaller of its backlog, capped by somaxconn, and of "
                "this, rounded up to a power of two.",
                f"Write {_SYN_BACKLOG} = {somaxconn}, or leave the line out: beyond the queue cookies are sent."
                if context.sets(_SOMAXCONN)
                else f"Write {_SOMAXCONN} = {min(proposed, 65535)} too, and let the program ask listen() for as much.",
            )
    elif context.number_after(_SYNCOOKIES) != 0:
        yield Problem(
            (_SYN_BACKLOG,),
            f"{_SYN_BACKLOG} = {proposed} has no effect while {_SYNCOOKIES} is on.",
            f"The SYN queue of kernel {context.facts.kernel.release} ends at the listener's backlog, which "
            f"{_SOMAXCONN} ({somaxconn}) caps; beyond it cookies are sent.",
            f"Leave the line out, and size {_SOMAXCONN} and the program's backlog instead.",
        )


@rule("warning", _IP_SYSCTL, keys=[_SYNCOOKIES])
def cookies_for_everyone(context: Context) -> Iterator[Problem]:
    """tcp_syncookies = 2, which is for tests: every connection is made from a cookie, whether or not the queue is
    full.
    """
    if context.number(_SYNCOOKIES) == 2:
        yield Problem(
            (_SYNCOOKIES,),
            f"{_SYNCOOKIES} = 2 makes every connection from a cookie, flood or not.",
            "It is for tests of the network stack. A cookie has room for few options: without timestamps, window "
            "scaling and SACK are lost, and a lost final ACK is not repeated by the server.",
            f"Write {_SYNCOOKIES} = 1 instead, which uses cookies only when the SYN queue is full.",
        )


@rule("warning", _IP_SYSCTL, keys=[_ABORT])
def resets_on_overflow(context: Context) -> Iterator[Problem]:
    """tcp_abort_on_overflow = 1: a burst that the program would have caught up with becomes errors at the clients."""
    if context.number(_ABORT) in (None, 0):
        return
    if context.topology.front in ("lvs_dr", "lvs_tun", "lvs_nat", "lvs_fullnat"):
        seen = f" Behind {context.topology.front} the clients see the reset; the director does not try another server."
    elif context.topology.front == "l7":
        seen = " The proxy in front takes the reset for a failed server."
    else:
        seen = ""
    yield Problem(
        (_ABORT,),
        f"{_ABORT} = {context.proposed[_ABORT]} answers with a reset whenever an accept queue is full, so that a short "
        "burst becomes errors at the clients.",
        f"Without it the client's ACK is dropped and repeated, and a moment later there is room.{seen}",
        f"Write {_ABORT} = 0 instead; where ListenOverflows rise, give the listener a longer backlog or more workers.",
    )


@rule("warning", _NET, keys=[_BACKLOG])
def input_queue_beyond_memory(context: Context) -> Iterator[Problem]:
    """A netdev_max_backlog whose packets, on all processors, are a large part of the memory."""
    proposed, memory, cpus = context.number(_BACKLOG), context.facts.memory_bytes, context.facts.cpus
    if proposed is None or memory is None or cpus is None or proposed <= 0:
        return
    most = proposed * cpus * _PACKET_BYTES
    if most > memory // 4:
        yield Problem(
            (_BACKLOG,),
            f"{_BACKLOG} = {proposed} is a limit for each of {plural(cpus, 'processor')}: {amount(most)} of packets "
            f"may wait; this host has {amount(memory)}.",
            "A queue that long also makes the packets in it old: they are answered when their senders have given up.",
            f"Write {_BACKLOG} = {max(1000, _thousands(memory // 32 // cpus // _PACKET_BYTES))} or less, and look at "
            "the second column of /proc/net/softnet_stat (drops) before raising it again.",
        )


def _thousands(number: int) -> int:
    return min(number // 1000 * 1000, 30000)


@rule("info", _NET, "net/core/dev.c, enqueue_to_backlog", keys=[_BACKLOG])
def input_queue_is_for_few(context: Context) -> Iterator[Problem]:
    """A netdev_max_backlog that is raised: network cards that poll (nearly all) do not use this queue."""
    proposed, now = context.number(_BACKLOG), context.number_now(_BACKLOG)
    if proposed is None or proposed <= (1000 if now is None else now):
        return
    yield Problem(
        (_BACKLOG,),
        f"{_BACKLOG} = {proposed} does nothing for packets that a driver polls from its card.",
        "The queue holds what goes over loopback, veth pairs and receive packet steering. Drops of the card are in "
        "ethtool -S and are cured by its ring (ethtool -G) and by more queues.",
        "Keep the line only where the second column of /proc/net/softnet_stat (drops) rises on this host.",
    )


@rule("info", _NET, keys=[_BUDGET, _BUDGET_USECS])
def poll_budget_halved(context: Context) -> Iterator[Problem]:
    """netdev_budget raised without netdev_budget_usecs (from 4.12 on): a round of polling ends at whichever of the two
    is used up first.
    """
    budget = context.number(_BUDGET)
    if budget is None or context.facts.kernel.version < version("4.12") or context.sets(_BUDGET_USECS):
        return
    now = context.number_now(_BUDGET)
    if budget <= (300 if now is None else now):
        return
    microseconds = context.number_now(_BUDGET_USECS)
    ends = "about 2 to 8 ms, by the kernel's clock rate" if microseconds is None else f"{microseconds} microseconds"
    yield Problem(
        (_BUDGET,),
        f"{_BUDGET} = {budget} takes effect only as far as {_BUDGET_USECS} lets it: a round still ends after {ends}.",
        "A round of polling ends when its packets or its time are used up (third column of /proc/net/softnet_stat).",
        f"Set {_BUDGET_USECS} in the same proportion, or leave both out where that column does not rise.",
    )


@rule("warning", _NET, keys=[_BUDGET, _BUDGET_USECS])
def poll_budget_extreme(context: Context) -> Iterator[Problem]:
    """A polling budget so large that one processor does nothing else for a long time, or so small that it stops after a
    few packets; the time is in microseconds.
    """
    microseconds, packets = context.number(_BUDGET_USECS), context.number(_BUDGET)
    if microseconds is not None and 0 <= microseconds < 500:
        yield Problem(
            (_BUDGET_USECS,),
            f"{_BUDGET_USECS} = {microseconds} ends each round of polling after {microseconds} microseconds.",
            "The unit is microseconds, not milliseconds. Packets then wait for the next round, and the card's ring "
            "overflows.",
            f"Write {_BUDGET_USECS} = {max(2000, microseconds * 1000) if microseconds <= 20 else 2000} instead, or "
            "leave the line out.",
        )
    if microseconds is not None and microseconds > 50000:
        yield Problem(
            (_BUDGET_USECS,),
            f"{_BUDGET_USECS} = {microseconds} lets one processor poll for {microseconds / 1000:.0f} ms before "
            "anything else runs on it.",
            "Programs and timers of that processor wait as long, which shows as latency.",
            f"Write {_BUDGET_USECS} = 8000 or less instead.",
        )
    if packets is not None and (0 <= packets < 64 or packets > 10000):
        how = "stops after one burst of a card (64)" if packets < 64 else "keeps one processor from all else"
        yield Problem(
            (_BUDGET,),
            f"{_BUDGET} = {packets}: a round of polling {how}.",
            "It is the number of packets, over all cards, that one processor takes before it lets others run.",
            f"Write {_BUDGET} = 300 to 1000 instead.",
        )


@rule("warning", "tc-fq(8)", "net/ipv4/tcp_bbr.c", keys=[_CONGESTION, _QDISC])
def bbr_without_pacing(context: Context) -> Iterator[Problem]:
    """BBR on kernels before 4.13 without the fq queueing discipline: it needs somebody who paces its packets."""
    if context.after(_CONGESTION) != "bbr" or context.facts.kernel.version >= version("4.13"):
        return
    qdisc = context.after(_QDISC)
    if qdisc == "fq":
        return
    yield Problem(
        (_CONGESTION, _QDISC),
        f"{_CONGESTION} = bbr with {_QDISC} = {qdisc or 'unknown'} sends in bursts on kernel "
        f"{context.facts.kernel.release}.",
        "BBR decides how fast packets leave. Before 4.13 only fq paces them; newer kernels do it in TCP itself.",
        f"Write {_QDISC} = fq too, and give interfaces that are up already that discipline with tc.",
    )
