# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fresh TCP connections, counted.

A broken change to timestamps drops new SYNs while old connections live on, and some such damage moves no counter of the
host. So connections are opened anew, as a client would, and closed at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# However many hosts are probed, the controller opens no more than this: attempts per second, and attempts at one time.
MAX_RATE = 500.0
MAX_IN_FLIGHT = 256


@dataclass(frozen=True)
class Target:
    host: str
    address: str
    port: int

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Target:
        try:
            target = cls(str(value["host"]), str(value["address"]), int(value["port"]))
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"target {value!r} must name host, address and port") from None
        if not 0 < target.port < 65536:
            raise ValueError(f"target {target.host}: port {target.port} is not within 1 to 65535")
        return target


@dataclass
class Tally:
    target: Target
    attempts: int = 0
    slow: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def result(self) -> dict[str, Any]:
        latencies = self.latencies_ms
        return {
            "address": self.target.address,
            "port": self.target.port,
            "attempts": self.attempts,
            "ok": len(latencies),
            "slow": self.slow,
            "failed": self.attempts - len(latencies),
            "median_ms": round(statistics.median(latencies), 2) if latencies else None,
            "max_ms": round(max(latencies), 2) if latencies else None,
            "errors": dict(self.errors),
        }


def probe(
    targets: Iterable[Target], seconds: float, rate: float, timeout: float, slow_ms: float
) -> dict[str, dict[str, Any]]:
    """Connect to every target `rate` times a second for `seconds`; once where that makes less than one."""
    tallies = [Tally(target) for target in targets]
    if tallies:
        asyncio.run(_probe_all(tallies, seconds, min(rate, MAX_RATE / len(tallies)), timeout, slow_ms))
    else:
        time.sleep(seconds)
    return {tally.target.host: tally.result() for tally in tallies}


async def _probe_all(tallies: list[Tally], seconds: float, rate: float, timeout: float, slow_ms: float) -> None:
    slots = asyncio.Semaphore(MAX_IN_FLIGHT)
    turns = max(1, int(seconds * rate))
    # Turn by turn, and within a turn the targets one after the other: never a burst of SYNs.
    step = seconds / turns / len(tallies)
    start = time.monotonic()
    connects = []
    for index in range(turns * len(tallies)):
        await asyncio.sleep(start + index * step - time.monotonic())
        connects.append(asyncio.create_task(_connect(tallies[index % len(tallies)], slots, timeout, slow_ms)))
    await asyncio.gather(*connects, asyncio.sleep(start + seconds - time.monotonic()))


async def _connect(tally: Tally, slots: asyncio.Semaphore, timeout: float, slow_ms: float) -> None:
    async with slots:
        tally.attempts += 1
        begin = time.monotonic()
        try:
            await asyncio.wait_for(_handshake(tally.target), timeout)
        except asyncio.TimeoutError:
            tally.errors["timed out"] += 1
            return
        except OSError as problem:
            tally.errors[_reason(problem)] += 1
            return
        latency = (time.monotonic() - begin) * 1000
        tally.latencies_ms.append(latency)
        tally.slow += latency > slow_ms


async def _handshake(target: Target) -> None:
    loop = asyncio.get_running_loop()
    family, kind, protocol, _name, address = (
        await loop.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM)
    )[0]
    with contextlib.closing(socket.socket(family, kind, protocol)) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, address)


def _reason(problem: OSError) -> str:
    if isinstance(problem, socket.gaierror):
        return "the name does not resolve"
    return os.strerror(problem.errno) if problem.errno else str(problem)
