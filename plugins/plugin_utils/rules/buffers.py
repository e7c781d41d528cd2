# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""buffers: what the set may take of this host's memory."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context, integers
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.words import amount, duration, plural

_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"
_ORPHANS = "net.ipv4.tcp_max_orphans"
_SCALING = "net.ipv4.tcp_window_scaling"
_MODERATE = "net.ipv4.tcp_moderate_rcvbuf"
_WIN_SCALE = "net.ipv4.tcp_adv_win_scale"
_NOTSENT = "net.ipv4.tcp_notsent_lowat"
# What programs may ask for -> what TCP takes by itself.
_PAIRS = {"net.core.rmem_max": "net.ipv4.tcp_rmem", "net.core.wmem_max": "net.ipv4.tcp_wmem"}
_CORE = (*_PAIRS, "net.core.rmem_default", "net.core.wmem_default")
_TRIPLES = tuple(_PAIRS.values())
# Least and default size, as the kernel sets them.
_START = {"net.ipv4.tcp_rmem": "4096 131072", "net.ipv4.tcp_wmem": "4096 16384"}
# What an orphan can hold, by the kernel documentation.
_ORPHAN_BYTES = 64 * 1024


@rule("error", _IP_SYSCTL, keys=["net.ipv4.tcp_mem", "net.ipv4.udp_mem"])
def pages_beyond_memory(context: Context) -> Iterator[Problem]:
    """tcp_mem or udp_mem above the memory of the host: mostly bytes that were taken for pages.

    More than all memory is an error, more than half a warning.
    """
    memory = context.facts.memory_bytes
    if memory is None:
        return
    for key in ("net.ipv4.tcp_mem", "net.ipv4.udp_mem"):
        numbers = context.numbers(key) or ()
        # What exceeds the type is form.out_of_range's.
        most = max((number for number in numbers if number < 2**63), default=0)
        total = most * context.facts.page_size
        if total <= memory // 2:
            continue
        listed = ", ".join(amount(number * context.facts.page_size) for number in numbers)
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]}: {most} pages are {amount(total)}; this host has {amount(memory)}.",
            f"The unit is pages of {context.facts.page_size} bytes, not bytes: {listed}. The kernel would kill "
            "programs for want of memory before the protocol gives any back.",
            _leave_pages(context, key, memory),
            severity="error" if total > memory else "warning",
        )


def _leave_pages(context: Context, key: str, memory: int) -> str:
    now = context.now(key)
    if now:
        return f"Leave the line out; {now} holds now."
    # What it may take of all pages, from tcp_init_mem and udp_init.
    high = memory // context.facts.page_size * 3 // (32 if key.endswith("tcp_mem") else 16)
    return f"Leave the line out: the kernel chooses by memory, here about {high // 2} {high * 2 // 3} {high}."


@rule("warning", _IP_SYSCTL, keys=[_ORPHANS])
def orphans_beyond_memory(context: Context) -> Iterator[Problem]:
    """tcp_max_orphans that, at 64 KiB each, allow more than the memory of the host."""
    memory, orphans = context.facts.memory_bytes, context.number(_ORPHANS)
    if memory is None or orphans is None or orphans * _ORPHAN_BYTES <= memory:
        return
    yield Problem(
        (_ORPHANS,),
        f"{_ORPHANS} = {orphans}: at up to 64 KiB each that is {amount(orphans * _ORPHAN_BYTES)}; "
        f"this host has {amount(memory)}.",
        "The limit is there so that connections which nobody holds any more cannot exhaust memory, as in an attack. "
        "Their buffers are not swapped.",
        f"Write {_ORPHANS} = {_power_below(memory // 4 // _ORPHAN_BYTES)} or less, or leave the line out.",
    )


@rule("warning", _IP_SYSCTL, keys=["net.core.rmem_default", "net.core.wmem_default", *_TRIPLES])
def large_default(context: Context) -> Iterator[Problem]:
    """A default buffer of several MiB for every socket, where a large maximum is meant."""
    for key in ("net.core.rmem_default", "net.core.wmem_default"):
        number = context.number(key)
        if number is not None and number > 4 * 1024**2:
            most = key.replace("default", "max")
            yield Problem(
                (key,),
                f"{key} = {number}: every UDP, raw and local socket may queue {amount(number)}, needed or not.",
                "A default is for all sockets. TCP does not take it: tcp_rmem and tcp_wmem are its own.",
                f"Leave the line out; programs that need more ask for it, up to {most}.",
            )
    for key in _TRIPLES:
        numbers = context.numbers(key)
        if numbers is None or len(numbers) != 3 or numbers[1] <= 4 * 1024**2:
            continue
        open_now = context.facts.sockets.get("ESTABLISHED")
        many = (
            f"; {plural(open_now, 'connection')} that this host has now could take {amount(open_now * numbers[1])}"
            if open_now
            else ""
        )
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]}: every connection begins with a buffer limit of "
            f"{amount(numbers[1])}{many}.",
            "The kernel raises the limit of a connection by itself, from the second number to the third, when its path "
            "needs it. A large start serves nobody and queues data at slow readers.",
            f"Write {key} = {_START[key]} {numbers[2]} instead.",
        )


@rule("info", _IP_SYSCTL, "tcp(7)", keys=["net.core.rmem_max", "net.core.wmem_max"])
def maximum_is_for_programs_that_ask(context: Context) -> Iterator[Problem]:
    """rmem_max or wmem_max raised without tcp_rmem or tcp_wmem, as if it were a limit of TCP: it only limits what
    programs ask for by setsockopt(), and TCP tunes itself up to the third number of tcp_rmem.
    """
    for core, triple in _PAIRS.items():
        proposed, now = context.number(core), context.number_now(core)
        if proposed is None or context.sets(triple) or proposed <= (212992 if now is None else now):
            continue
        numbers = integers(context.now(triple))
        limit = f" (here {amount(numbers[2])})" if numbers and len(numbers) == 3 and numbers[2] > 0 else ""
        yield Problem(
            (core,),
            f"{core} = {proposed} makes no TCP connection faster whose program leaves its buffers to the kernel.",
            "It caps what programs ask for by setsockopt(). TCP by itself goes up to the third number of "
            f"{triple}{limit}.",
            f"Keep it for UDP and for programs that ask; set the third number of {triple} where TCP is meant.",
        )


@rule("warning", "socket(7)", keys=[*_CORE])
def maximum_lowered(context: Context) -> Iterator[Problem]:
    """rmem_max or wmem_max below what it is, or below the default that sockets begin with: programs that ask for more
    get less, without an error.
    """
    for core in ("net.core.rmem_max", "net.core.wmem_max"):
        default = core.replace("max", "default")
        proposed, now = context.number(core), context.number_now(core)
        if proposed is not None and now is not None and proposed < now:
            yield Problem(
                (core,),
                f"{core} = {proposed} lowers what programs may ask for from {amount(now)} to "
                f"{amount(max(0, proposed))}.",
                "setsockopt() gives less without an error; a UDP receiver then drops in bursts (Udp RcvbufErrors).",
                f"Leave it at {now}.",
            )
        most, start = context.number_after(core), context.number_after(default)
        if most is not None and start is not None and start > most and (context.sets(core) or context.sets(default)):
            yield Problem(
                tuple(key for key in (default, core) if context.sets(key)),
                f"{default} = {start} is more than {core} = {most}: a program that asks for a larger buffer gets a "
                "smaller one.",
                "A socket begins with the default, and setsockopt() is cut to the maximum.",
                f"Write {core} = {start} or more, or a smaller {default}.",
            )


@rule("info", _IP_SYSCTL, "RFC 7323", keys=[*_TRIPLES])
def reach(context: Context) -> Iterator[Problem]:
    """How far a TCP buffer maximum reaches: the round trip up to which one connection fills this host's fastest
    interface. A warning where the set lowers the maximum and that is within one region (20 ms).
    """
    speeds = [
        speed for item in context.facts.interfaces if isinstance(speed := item.get("speed_mbps"), int) and speed > 0
    ]
    if not speeds:
        return
    mbps = max(speeds)
    for key in _TRIPLES:
        numbers = context.numbers(key)
        if (
            numbers is None
            or len(numbers) != 3
            or not 0 < numbers[2] < 2**31
            or context.now(key) == context.proposed[key]
        ):
            continue
        now = integers(context.now(key))
        # About half of a receive buffer is management (tcp_adv_win_scale = 1, and about the same since 6.6).
        usable = numbers[2] / 2 if key == "net.ipv4.tcp_rmem" else numbers[2]
        seconds = usable * 8 / (mbps * 1e6)
        lowered = now is not None and len(now) == 3 and numbers[2] < now[2]
        message = (
            f"{key} up to {amount(numbers[2])}: one connection fills {_rate(mbps)}, this host's fastest interface, on "
            f"paths of up to {duration(seconds)} round trip."
        )
        if lowered and seconds < 0.02:
            yield Problem(
                (key,),
                message,
                f"It was {amount(now[2]) if now else ''} before. On longer paths a connection has to wait for "
                "acknowledgements.",
                f"Leave the third number at {now[2] if now else 'what it was'}; more is needed only where single "
                "connections must fill a longer path.",
                severity="warning",
            )
        elif seconds < 0.02 or seconds > 1:
            yield Problem(
                (key,),
                message,
                "The bandwidth times the round trip is what is under way at once; the buffer must hold it"
                + (", twice over on the receiving side." if "rmem" in key else "."),
                "Raise the third number if your paths are longer and single connections must be fast."
                if seconds < 0.02
                else "Lower the third number to what your longest path needs: memory beyond that only queues.",
            )


def _rate(mbps: int) -> str:
    return f"{mbps / 1000:g} Gbit/s" if mbps >= 1000 else f"{mbps} Mbit/s"


@rule("warning", _IP_SYSCTL, keys=["net.ipv4.tcp_mem", "net.ipv4.udp_mem"])
def pages_lowered(context: Context) -> Iterator[Problem]:
    """tcp_mem or udp_mem whose limit is below what holds now: the whole host runs into memory pressure sooner."""
    for key in ("net.ipv4.tcp_mem", "net.ipv4.udp_mem"):
        numbers, now = context.numbers(key), integers(context.now(key))
        if numbers is None or now is None or len(numbers) != 3 or len(now) != 3 or not 0 <= numbers[2] < now[2]:
            continue
        page = context.facts.page_size
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]} limits all sockets of the host together to {amount(numbers[2] * page)}; "
            f"now it is {amount(now[2] * page)}.",
            f"The unit is pages of {page} bytes. Beyond the last number the kernel drops what arrives and refuses to "
            "send.",
            f"Leave the line out; the kernel chose {context.now(key)} by this host's memory.",
        )


@rule("warning", _IP_SYSCTL, "RFC 7323", keys=[_SCALING])
def window_scaling_off(context: Context) -> Iterator[Problem]:
    """tcp_window_scaling = 0: no window is larger than 64 KiB, whatever the buffers are."""
    if context.number(_SCALING) == 0:
        yield Problem(
            (_SCALING,),
            f"{_SCALING} = 0 limits every connection to 64 KiB in flight: 26 Mbit/s at 20 ms round trip, 5 Mbit/s at "
            "100 ms.",
            "The window field has 16 bits; the option that multiplies it is what this switches off.",
            f"Write {_SCALING} = 1 instead, or leave the line out: it is the default.",
        )


@rule("warning", _IP_SYSCTL, keys=[_MODERATE])
def receive_tuning_off(context: Context) -> Iterator[Problem]:
    """tcp_moderate_rcvbuf = 0: receive buffers stay at their default, and the maximum of tcp_rmem is never reached."""
    if context.number(_MODERATE) != 0:
        return
    numbers = integers(context.after("net.ipv4.tcp_rmem"))
    stays = f" of {amount(numbers[1])}" if numbers and len(numbers) == 3 and numbers[1] > 0 else ""
    yield Problem(
        (_MODERATE,),
        f"{_MODERATE} = 0 keeps every receive buffer at its default{stays}; the third number of tcp_rmem does nothing.",
        "The kernel then no longer lets the buffer of a connection grow with its path.",
        f"Write {_MODERATE} = 1 instead, or leave the line out: it is the default.",
    )


@rule("info", _IP_SYSCTL, keys=[_WIN_SCALE])
def window_share(context: Context) -> Iterator[Problem]:
    """What tcp_adv_win_scale makes of a receive buffer, up to 6.5: the share that is offered to the peer as window. A
    warning where it is nearly nothing, or all, which leaves no room for what the packets take beside their data.
    """
    number = context.number(_WIN_SCALE)
    if number is None or not -31 <= number <= 31 or context.facts.kernel.version >= (6, 6, 0):
        return
    share = 2.0**number if number <= 0 else 1 - 2.0**-number
    if number in (1, 2):
        return
    wrong = share < 0.25 or share > 0.9
    yield Problem(
        (_WIN_SCALE,),
        f"{_WIN_SCALE} = {number} offers {share * 100:.3g} % of each receive buffer to the peer as window.",
        "The rest is for what packets take beside their data, which is about half for packets of full size and more "
        "for small ones. From 6.6 on the kernel measures it and this has no effect.",
        f"Write {_WIN_SCALE} = 1 instead: half of the buffer, which is the default.",
        severity="warning" if wrong else None,
    )


@rule("warning", _IP_SYSCTL, keys=[_NOTSENT])
def unsent_limit_tiny(context: Context) -> Iterator[Problem]:
    """tcp_notsent_lowat of less than a few segments: the program is woken for each of them. The unit is bytes."""
    number = context.number(_NOTSENT)
    if number is not None and 0 <= number < 4096:
        yield Problem(
            (_NOTSENT,),
            f"{_NOTSENT} = {number}: a program may write again only when fewer than {plural(number, 'byte')} are "
            "unsent, so that it wakes up for every few packets.",
            "The unit is bytes, not KiB. Sending then costs a system call a packet and may pause between them.",
            f"Write {_NOTSENT} = 131072 instead, or 16384 where the program must react quickly.",
        )


def _power_below(number: int) -> int:
    return 1 << max(10, number.bit_length() - 1)
