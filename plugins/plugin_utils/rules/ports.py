# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ports: where outgoing connections get their ports from, and who else wants those."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context, integers
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import version
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule

_RANGE = "net.ipv4.ip_local_port_range"
_RESERVED = "net.ipv4.ip_local_reserved_ports"
_UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"
_NODE_PORTS = (30000, 32767)
_REUSE = "net.ipv4.tcp_tw_reuse"
_TIMESTAMPS = "net.ipv4.tcp_timestamps"
_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"


def _range(context: Context) -> tuple[int, int] | None:
    numbers = context.numbers(_RANGE)
    return (numbers[0], numbers[1]) if numbers is not None and len(numbers) == 2 and numbers[0] <= numbers[1] else None


@rule("warning", _IP_SYSCTL, keys=[_RANGE])
def listeners_in_range(context: Context) -> Iterator[Problem]:
    """Listening ports that the new range takes in, and that are not reserved: after a restart of the service an
    outgoing connection may hold its port.
    """
    proposed = _range(context)
    if proposed is None:
        return
    now = integers(context.now(_RANGE))
    reserved = _ports(context.after(_RESERVED))
    taken = sorted(
        {
            listener.port
            for listener in context.facts.listeners
            if proposed[0] <= listener.port <= proposed[1]
            # What lies in the range already is nothing that this set brings.
            and not (now and len(now) == 2 and now[0] <= listener.port <= now[1])
            and not any(first <= listener.port <= last for first, last in reserved)
        }
    )
    if not taken:
        return
    ports = ",".join(str(port) for port in taken[:20])
    one = len(taken) == 1
    held = f"{context.after(_RESERVED)}," if context.after(_RESERVED) else ""
    yield Problem(
        (_RANGE,),
        f"{_RANGE} = {context.proposed[_RANGE]} takes in {len(taken)} listening {'port' if one else 'ports'} of "
        f"this host: {ports}{', ...' if len(taken) > 20 else ''}.",
        "While the service restarts, an outgoing connection can get its port; the service then fails with "
        '"address already in use".',
        f"Set {_RESERVED} = {held}{ports} too, or begin the range above these ports.",
    )


@rule("error", _IP_SYSCTL, "net/ipv4/sysctl_net_ipv4.c, ipv4_local_port_range", keys=[_RANGE])
def range_below_unprivileged(context: Context) -> Iterator[Problem]:
    """A range that begins below ip_unprivileged_port_start: the kernel refuses it."""
    numbers = _range(context)
    if numbers is None or context.facts.kernel.version < version("4.11"):
        return
    start = context.number_after(_UNPRIVILEGED)
    start, basis = (1024, "the default") if start is None else (start, f"{_UNPRIVILEGED} = {start}")
    if numbers[0] < start:
        yield Problem(
            (_RANGE,),
            f"{_RANGE} = {context.proposed[_RANGE]} begins below {start} ({basis}): the write fails with EINVAL.",
            "Ports below that need a privilege; the kernel does not hand them out by chance.",
            f"Write {_RANGE} = {start} {numbers[1]} instead.",
        )


@rule("info", _IP_SYSCTL, keys=[_RANGE])
def parity(context: Context) -> Iterator[Problem]:
    """A range whose ends are both even or both odd: the kernel logs that it would rather have them differ, since
    connect() takes ports of one parity and bind() of the other.
    """
    numbers = _range(context)
    if numbers is not None and numbers[0] % 2 == numbers[1] % 2:
        low, high = numbers
        better = (low, high + 1) if high < 65535 else (low + 1, high)
        yield Problem(
            (_RANGE,),
            f"{_RANGE} = {low} {high}: both ends are {'odd' if low % 2 else 'even'}, and the kernel logs a complaint.",
            "connect() and bind() take ports of different parity first, so that their shares should be equal.",
            f"Write {_RANGE} = {better[0]} {better[1]} instead.",
        )


@rule("warning", _IP_SYSCTL, keys=[_RANGE])
def range_narrowed(context: Context) -> Iterator[Problem]:
    """A range with fewer ports than the host has now: fewer outgoing connections a second."""
    proposed, now = _range(context), integers(context.now(_RANGE))
    if proposed is None or now is None or len(now) != 2:
        return
    ports, before = proposed[1] - proposed[0] + 1, now[1] - now[0] + 1
    if ports < before:
        yield Problem(
            (_RANGE,),
            f"{_RANGE} = {context.proposed[_RANGE]} leaves {ports} of {before} ports: {ports // 60} instead of "
            f"{before // 60} new connections a second to one destination.",
            "A port stays taken for the 60 s of TIME_WAIT on the side that opens and closes, unless tcp_tw_reuse "
            "helps.",
            f"Write a range of at least {before} ports, such as {context.now(_RANGE)}.",
        )


@rule("warning", _IP_SYSCTL, "kube-apiserver, --service-node-port-range", keys=[_RANGE])
def node_ports_in_range(context: Context) -> Iterator[Problem]:
    """A range on a Kubernetes node that newly takes in node ports (30000 to 32767 by default) without their being
    reserved.
    """
    proposed = _range(context)
    if proposed is None or not context.topology.has_role("kubernetes_node"):
        return
    now = integers(context.now(_RANGE)) or (32768, 60999)
    first, last = _NODE_PORTS
    overlaps = proposed[0] <= last and proposed[1] >= first
    if not overlaps or (now[0] <= last and now[-1] >= first):
        return
    if any(low <= first and high >= last for low, high in _ports(context.after(_RESERVED))):
        return
    held = f"{context.after(_RESERVED)}," if context.after(_RESERVED) else ""
    yield Problem(
        (_RANGE,),
        f"{_RANGE} = {context.proposed[_RANGE]} takes in the node ports of Kubernetes ({first}-{last} by default).",
        "An outgoing connection can hold the port of a service, and packets that belong to it are then sent to a pod.",
        f"Set {_RESERVED} = {held}{first}-{last} too, or begin the range at {last + 1}.",
    )


@rule("info", _IP_SYSCTL, "connect(2)", keys=[_RANGE])
def capacity(context: Context) -> Iterator[Problem]:
    """What a range of ports is good for: new outgoing connections a second to one destination, as long as this side
    closes them and no port in TIME_WAIT is used again.
    """
    numbers = _range(context)
    if numbers is None or integers(context.now(_RANGE)) == numbers:
        return
    reserved = sum(
        max(0, min(last, numbers[1]) - max(first, numbers[0]) + 1) for first, last in _ports(context.after(_RESERVED))
    )
    ports = max(0, numbers[1] - numbers[0] + 1 - reserved)
    reuse = context.number_after(_REUSE) == 1 and context.number_after(_TIMESTAMPS) != 0
    yield Problem(
        (_RANGE,),
        f"{_RANGE} = {context.proposed[_RANGE]}: {ports} ports, so {ports // 60} new connections a second from one "
        "address to one address and port, each of which waits 60 s in TIME_WAIT here.",
        f"With {_REUSE} = 1 a port is free again after about a second, so that the open connections are the limit."
        if reuse
        else "It limits the side that opens and closes. Other destinations have the same ports once more, and accepted "
        "connections take none.",
        "Keep connections to the upstream alive where that is not enough; it costs less than more ports.",
    )


@rule("warning", _IP_SYSCTL, keys=[_RESERVED])
def reservation_lost(context: Context) -> Iterator[Problem]:
    """Ports that are reserved now and no longer with this set: the key replaces the whole list."""
    if not context.sets(_RESERVED):
        return
    proposed = _ports(context.proposed[_RESERVED])
    lost = [
        f"{first}-{last}" if last > first else str(first)
        for first, last in _ports(context.now(_RESERVED))
        if not any(low <= first and last <= high for low, high in proposed)
    ]
    if lost:
        yield Problem(
            (_RESERVED,),
            f"{_RESERVED} = {context.proposed[_RESERVED]:.200} drops what is reserved now: {','.join(lost[:20])}.",
            "The key replaces the list. Outgoing connections can then take the ports of the services that reserved "
            "them.",
            f"Write {_RESERVED} = {','.join(filter(None, [context.proposed[_RESERVED][:200], *lost[:20]]))} instead.",
        )


def _ports(text: str | None) -> list[tuple[int, int]]:
    """[(8080, 8080), (9000, 9010)] of 8080,9000-9010; what cannot be read is form.port_list's."""
    found = []
    for part in (text or "").split(","):
        first, _dash, last = part.partition("-")
        if first.isdecimal() and (last.isdecimal() or not last):
            found.append((int(first), int(last or first)))
    return found
