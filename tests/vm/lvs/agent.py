# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a network namespace and does what it is asked there: one JSON object a line in, one a line out.

A Python for each question would take longer than most answers.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SECONDS_BETWEEN_BEATS = 0.05


def run(command: str) -> str:
    done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def facts() -> dict[str, Any]:
    from ansible_collections.nettune.kernel.plugins.module_utils._net_facts import collect  # most never ask

    found: dict[str, Any] = collect()
    return found


def write(values: dict[str, str]) -> dict[str, str]:
    """Returns what was there, in the order in which it is to be written back."""
    former = {}
    for key, value in values.items():
        path = pathlib.Path("/proc/sys", key.replace(".", "/"))
        former[key] = path.read_text().strip()
        path.write_text(value)
    return dict(reversed(former.items()))


def serve(name: str, port: int) -> None:
    """Tells everybody this name, then beats as often as he asked for, and closes first: his port is free at once."""
    server = socket.create_server(("0.0.0.0", port), backlog=128)

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            (beats,) = connection.recv(1)
            connection.sendall(name.encode())
            for _beat in range(beats):
                time.sleep(SECONDS_BETWEEN_BEATS)
                connection.sendall(b".")

    def accept() -> None:
        while True:
            connection, _peer = server.accept()
            threading.Thread(target=answer, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def connect(
    address: str, port: int, count: int, seconds: float, beats: int = 0, source_port: int = 0
) -> list[tuple[str | None, float]]:
    """Who answered each of the connections, which are opened all at once (None: not to the end), and after how many
    seconds. None of the steps may take longer than `seconds`.
    """

    def one(_number: int) -> tuple[str | None, float]:
        began = time.monotonic()
        said = b""
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.settimeout(seconds)
            try:
                client.bind(("0.0.0.0", source_port))
                client.connect((address, port))
                client.sendall(bytes([beats]))
                while part := client.recv(100):
                    said += part
            except OSError:
                return None, time.monotonic() - began
        return said.decode().rstrip(".") or None, time.monotonic() - began

    with ThreadPoolExecutor(count) as together:
        return list(together.map(one, range(count)))


DUTIES = {function.__name__: function for function in (run, facts, write, serve, connect)}


def main() -> None:
    for line in sys.stdin:
        duty, arguments = json.loads(line)
        try:
            answer = {"answer": DUTIES[duty](**arguments)}
        except Exception as error:
            answer = {"error": f"{duty}: {error}"}
        print(json.dumps(answer), flush=True)


main()
