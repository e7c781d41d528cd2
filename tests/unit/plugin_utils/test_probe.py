# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fresh connections, against real sockets on the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils.probe import Target, probe


@contextlib.contextmanager
def listener(backlog: int = 128) -> Iterator[int]:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=backlog)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    # Bound and not listening: nobody else gets it, and connects are refused.
    with contextlib.closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_counts(closed_port: int) -> None:
    with listener() as port:
        begin = time.monotonic()
        results = probe(
            [Target("up", "127.0.0.1", port), Target("down", "127.0.0.1", closed_port)],
            seconds=1,
            rate=10,
            timeout=1,
            slow_ms=500,
        )
        took = time.monotonic() - begin
    assert took >= 1
    up, down = results["up"], results["down"]
    assert (up["attempts"], up["ok"], up["failed"]) == (10, 10, 0)
    assert up["median_ms"] <= up["max_ms"]
    assert (down["attempts"], down["ok"], down["failed"]) == (10, 0, 10)
    assert down["errors"] == {"Connection refused": 10}
    assert down["median_ms"] is None


def test_no_time_is_one_connect_each() -> None:
    with listener() as port:
        results = probe([Target("a", "127.0.0.1", port)], seconds=0, rate=1, timeout=1, slow_ms=500)
    assert results["a"]["attempts"] == 1


def test_a_full_queue_times_out() -> None:
    with listener(backlog=0) as port, contextlib.ExitStack() as stack:
        # Nobody accepts: once the queue is full, SYNs are dropped as they are on a host in trouble.
        for _number in range(4):
            filler = stack.enter_context(contextlib.closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        result = probe([Target("full", "127.0.0.1", port)], seconds=0, rate=1, timeout=0.3, slow_ms=100)["full"]
    assert result["errors"] == {"timed out": 1}


def test_every_connect_is_slow_above_no_limit() -> None:
    with listener() as port:
        result = probe([Target("a", "127.0.0.1", port)], seconds=0, rate=1, timeout=1, slow_ms=0)["a"]
    assert (result["ok"], result["slow"]) == (1, 1)


def test_a_name_that_does_not_resolve_is_a_failed_connect() -> None:
    result = probe([Target("a", "name.invalid", 80)], seconds=0, rate=1, timeout=5, slow_ms=500)["a"]
    assert (result["failed"], result["ok"]) == (1, 0)


def test_without_targets_the_time_passes_all_the_same() -> None:
    begin = time.monotonic()
    assert probe([], seconds=0.2, rate=1, timeout=1, slow_ms=500) == {}
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize("value", [{}, {"host": "a", "address": "b"}, {"host": "a", "address": "b", "port": "x"}])
def test_a_target_needs_host_address_and_port(value: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must name host, address and port"):
        Target.from_dict(value)


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_is_a_port(port: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        Target.from_dict({"host": "a", "address": "b", "port": port})
