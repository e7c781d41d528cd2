# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, stop and report the client load of a lab."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time
from typing import Any

import inventory
import lab_init
from state import Lab
from topology import Topology

MOST_SECONDS = 3600


class LoadError(Exception):
    """The load does not do what was asked."""


def start(lab: Lab, topology: Topology, rate: float | None, seconds: int, slow_ms: int, seed: int | None) -> None:
    if not topology.load:
        raise LoadError(f"lab {lab.name} has no client load")
    if not 1 <= seconds <= MOST_SECONDS:
        raise LoadError(f"the load can run for 1 to {MOST_SECONDS} seconds, not {seconds}")
    if running(lab):
        raise LoadError(f"the load of lab {lab.name} runs already: stop it first")
    client = next(host for host in topology.hosts if host.name == topology.load["client"])
    spec = {
        "sources": [address.split("/")[0] for link in client.links for address in link.addresses],
        "targets": {host.name: host.links[0].addresses[0].split("/")[0] for host in topology.group("servers")},
        "port": topology.load["port"],
        "connects_per_second": rate or topology.load["connects_per_second"],
        "seed": seed,
        "seconds": seconds,
        "slow_ms": slow_ms,
        "timeout_seconds": 3,
    }
    (lab.load / "spec.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")
    (lab.load / "seconds.jsonl").write_text("", encoding="utf-8")
    (lab.load / "run").write_text("", encoding="utf-8")
    program = pathlib.Path(__file__).with_name("load_client.py")
    words = shlex.join(["setsid", "-f", sys.executable, str(program), str(lab.load)])
    address = lab.description["addresses"][client.name]
    done = subprocess.run(
        [
            "ssh",
            *inventory.ssh_options(lab),
            "-i",
            str(lab.key),
            f"root@{address}",
            f"{words} </dev/null >/var/log/load.log 2>&1",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not lab_init.wait_until(lambda: running(lab), 10):
        raise LoadError(f"the load does not start, see /var/log/load.log on {client.name}: {done.stderr.strip()}")


def stop(lab: Lab) -> None:
    """Ask by removing the run file, and wait until the client has finished what it had begun."""
    try:
        handle = os.open(lab.load / "run", os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        (lab.load / "run").unlink(missing_ok=True)
        if not lab_init.wait_until(lambda: not _locked(handle), 30):
            raise LoadError(f"the load of lab {lab.name} does not stop")
    finally:
        os.close(handle)


def running(lab: Lab) -> bool:
    try:
        handle = os.open(lab.load / "run", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """The client holds a lock on its run file; the kernel lets go of it however the client ends."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def totals(lab: Lab, last_seconds: int | None) -> dict[str, dict[str, int]]:
    """Per server: attempts, ok, slow, failed, and the slowest in milliseconds."""
    result: dict[str, dict[str, int]] = {}
    try:
        lines = (lab.load / "seconds.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise LoadError(f"the load of lab {lab.name} has not run") from None
    since = time.time() - last_seconds if last_seconds is not None else 0
    for line in lines:
        entry: dict[str, Any] = json.loads(line)
        if entry["time"] < since:
            continue
        total = result.setdefault(entry["server"], dict.fromkeys(("attempts", "ok", "slow", "failed", "worst_ms"), 0))
        for name in ("attempts", "ok", "slow", "failed"):
            total[name] += entry[name]
        total["worst_ms"] = max(total["worst_ms"], entry["worst_ms"])
    return result


def wait_for(lab: Lab, connects: int, seconds: int) -> None:
    """Until every server has so many connections behind it that their ports come again."""
    deadline = time.monotonic() + seconds
    while min((total["attempts"] for total in totals(lab, None).values()), default=0) < connects:
        if time.monotonic() > deadline:
            raise LoadError(
                f"the clients of lab {lab.name} do not reach {connects} connections to each server in {seconds} s"
            )
        time.sleep(0.5)


def table(lab: Lab, result: dict[str, dict[str, int]]) -> str:
    lines = [
        f"load of lab {lab.name}: {'running' if running(lab) else 'not running'}",
        f"{'server':<12}{'attempts':>9}{'ok':>8}{'slow':>8}{'failed':>8}{'slowest':>10}",
    ]
    for server, total in result.items():
        lines.append(
            f"{server:<12}{total['attempts']:>9}{total['ok']:>8}{total['slow']:>8}{total['failed']:>8}"
            f"{total['worst_ms']:>7} ms"
        )
    return "\n".join(lines)
