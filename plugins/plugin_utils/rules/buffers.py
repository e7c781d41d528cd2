# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""buffers: what the set may take of this host's memory."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule

_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"
_ORPHANS = "net.ipv4.tcp_max_orphans"
# What an orphan can hold, by the kernel documentation.
_ORPHAN_BYTES = 64 * 1024


@rule("error", _IP_SYSCTL)
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
        listed = ", ".join(_amount(number * context.facts.page_size) for number in numbers)
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]}: {most} pages are {_amount(total)}; this host has {_amount(memory)}.",
            f"The unit is pages of {context.facts.page_size} bytes: {listed}. Pressure would begin when nothing is "
            "left, "
            "and the kernel would kill programs before TCP gives memory back.",
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


@rule("warning", _IP_SYSCTL)
def orphans_beyond_memory(context: Context) -> Iterator[Problem]:
    """tcp_max_orphans that, at 64 KiB each, allow more than the memory of the host."""
    memory, orphans = context.facts.memory_bytes, context.number(_ORPHANS)
    if memory is None or orphans is None or orphans * _ORPHAN_BYTES <= memory:
        return
    yield Problem(
        (_ORPHANS,),
        f"{_ORPHANS} = {orphans}: at up to 64 KiB each that is {_amount(orphans * _ORPHAN_BYTES)}; "
        f"this host has {_amount(memory)}.",
        "The limit is there so that connections which nobody holds any more cannot exhaust memory, as in an attack. "
        "Their buffers are not swapped.",
        f"Write {_ORPHANS} = {_power_below(memory // 4 // _ORPHAN_BYTES)} or less, or leave the line out.",
    )


@rule("warning", _IP_SYSCTL)
def large_default(context: Context) -> Iterator[Problem]:
    """A default buffer of several MiB for every socket, where a large maximum is meant."""
    for key in ("net.core.rmem_default", "net.core.wmem_default"):
        number = context.number(key)
        if number is not None and number > 4 * 1024**2:
            most = key.replace("default", "max")
            yield Problem(
                (key,),
                f"{key} = {number}: every UDP, raw and local socket may queue {_amount(number)}, needed or not.",
                "A default is for all sockets. TCP does not take it: tcp_rmem and tcp_wmem are its own.",
                f"Leave the line out; programs that need more ask for it, up to {most}.",
            )


def _amount(count: int) -> str:
    """360 GiB: a number of bytes as people say it."""
    for unit, size in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2)):
        if count >= size:
            value = count / size
            return f"{value:.1f} {unit}" if value < 10 and value != int(value) else f"{value:.0f} {unit}"
    return f"{max(1, count // 1024)} KiB"


def _power_below(number: int) -> int:
    return 1 << max(10, number.bit_length() - 1)
