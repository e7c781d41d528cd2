# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible as a person at a controller runs it: the playbooks of the collection, and single modules."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import uuid
from typing import Any

from labs import CHECKOUT

# What these tests started, however it was reparented, has this in its environment.
MARK = f"NETTUNE_TESTS={uuid.uuid4().hex}"
os.environ.update([MARK.split("=")])
ENVIRONMENT = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_STDOUT_CALLBACK": "nettune.kernel.rollout"}


def command(playbook: str | pathlib.Path, variables: dict[str, Any], *options: str) -> list[str]:
    """Runs a playbook of the collection, by its name, or one of somebody's own."""
    path = playbook if isinstance(playbook, pathlib.Path) else CHECKOUT / "playbooks" / f"{playbook}.yml"
    return [_program("ansible-playbook"), str(path), "-e", json.dumps(variables), *options]


def run(command: list[str], seconds: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**ENVIRONMENT, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    # Seen where the test fails.
    print(done.stdout, done.stderr)
    return done


def module(
    inventory: pathlib.Path, hosts: str, name: str, arguments: dict[str, Any] | None = None
) -> subprocess.CompletedProcess[str]:
    """A module of the collection as a task of its own."""
    words = ["-a", json.dumps(arguments)] if arguments else []
    command = [_program("ansible"), hosts, "-i", str(inventory), "-m", f"nettune.kernel.{name}", *words]
    return run(command, seconds=60, ANSIBLE_STDOUT_CALLBACK="minimal")


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the module has returned, of one host."""
    assert "=>" in done.stdout, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
    return found


def end_orphans() -> None:
    """Ends what a killed ansible-playbook has left: a worker that waits for ever for somebody to read its result."""
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It ends just now.
            ours = MARK.encode() in (entry / "environ").read_bytes().split(b"\0")
            if ours and b"ansible-playbook" in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)


def _program(name: str) -> str:
    return str(pathlib.Path(sys.executable).with_name(name))
