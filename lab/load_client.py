# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of a lab: short connections, each from one of many addresses, and what became of them.

    load_client.py DIRECTORY

Reads `spec.json` there and appends a line of JSON per second and server to `seconds.jsonl`. Holds a lock on `run` as
long as it works, and ends when that file is removed or the time that the spec allows is over.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import math
import os
import pathlib
import random
import sys
import time
from collections.abc import Iterator
from typing import Any


class Tally:
    """What became of the connects to one server since the last line."""

    def __init__(self) -> None:
        self.ok = self.slow = self.failed = 0
        self.worst = 0.0

    def line(self, second: int, server: str) -> str:
        counted = {"attempts": self.ok + self.failed, "ok": self.ok, "slow": self.slow, "failed": self.failed}
        return json.dumps({"time": second, "server": server, **counted, "worst_ms": round(self.worst * 1000)})


async def one_connect(spec: dict[str, Any], address: str, tally: Tally) -> None:
    began = time.monotonic()
    try:
        source = random.choice(spec["sources"])
        took = await asyncio.wait_for(fetch(address, spec["port"], source), spec["timeout_seconds"])
        tally.ok += 1
        tally.slow += took * 1000 > spec["slow_ms"]
    except (OSError, asyncio.TimeoutError):
        took = time.monotonic() - began
        tally.failed += 1
    tally.worst = max(tally.worst, took)


async def fetch(address: str, port: int, source: str) -> float:
    """Fetch a page from `source`; returns the seconds that the connect alone took."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0))
    took = time.monotonic() - began
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        if not (await reader.read()).startswith(b"HTTP/1.1 200"):  # read() ends when the server closes
            raise ConnectionError("no answer")
    finally:
        writer.close()
    return took


def steps(spec: dict[str, Any], server: str) -> Iterator[float]:
    """Seconds from one connect to the next.

    All alike; or with a seed in bursts, and more to one server than to another: each spell of some seconds has a rate
    of its own, and in it connects come by chance.
    """
    mean = spec["connects_per_second"]
    if spec["seed"] is None:
        while True:
            yield 1 / mean
    chance = random.Random(f"{spec['seed']} {server}")
    mean *= math.exp(chance.gauss(0, 0.5))
    since = 0.0
    while True:
        spell, rate = chance.expovariate(1 / 4), mean * chance.gammavariate(2, 0.5)
        while (step := chance.expovariate(rate)) < spell:
            yield since + step
            since, spell = 0.0, spell - step
        since += spell


async def connects_to(spec: dict[str, Any], server: str, tally: Tally, stop: asyncio.Event) -> None:
    """Start connects at the given pace; how long one takes does not slow the next down."""
    address, paces = spec["targets"][server], steps(spec, server)
    due = time.monotonic() + random.random() * next(paces)
    running: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due = max(due + next(paces), time.monotonic() - 1)  # after a stall, catch up one second at most
        task = asyncio.create_task(one_connect(spec, address, tally))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running)


async def work(directory: pathlib.Path, run: int) -> None:
    spec = json.loads((directory / "spec.json").read_text(encoding="utf-8"))
    stop = asyncio.Event()
    tallies = {server: Tally() for server in spec["targets"]}
    workers = [asyncio.create_task(connects_to(spec, server, tally, stop)) for server, tally in tallies.items()]
    end = time.monotonic() + spec["seconds"]
    with (directory / "seconds.jsonl").open("a", encoding="utf-8") as lines:
        while not stop.is_set():
            await asyncio.sleep(1 - time.time() % 1)
            if os.fstat(run).st_nlink == 0 or time.monotonic() > end:
                stop.set()
                await asyncio.wait(workers)
            for server in tallies:
                lines.write(tallies[server].line(int(time.time()), server) + "\n")
                vars(tallies[server]).update(vars(Tally()))
            lines.flush()


def main() -> None:
    directory = pathlib.Path(sys.argv[1])
    run = os.open(directory / "run", os.O_RDONLY)
    fcntl.flock(run, fcntl.LOCK_EX | fcntl.LOCK_NB)
    asyncio.run(work(directory, run))


if __name__ == "__main__":
    main()
