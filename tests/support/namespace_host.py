# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away host for tests: own network, processes and mounts, so that the kernel under test is the real one.

Its first process waits for the end of a pipe that only the test process holds. When that one ends, by whatever way, the
first process ends too, and the kernel removes everything else of the namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

COLLECTIONS = pathlib.Path(__file__).resolve().parents[2] / "playbooks" / "collections"
MODULES = "ansible_collections.nettune.kernel.plugins.modules"

UNSHARE = ["unshare", "--fork", "--pid", "--net", "--mount", "--uts", "--mount-proc", "--kill-child"]
# Sets up what is private and then only waits. With SIGCHLD ignored the kernel reaps orphans.
FIRST_PROCESS = """
set -e
mount -t tmpfs -o mode=755 nettune-test /run
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work nettune-test /etc
mount -t tmpfs -o mode=755 nettune-test /run
mount -t tmpfs -o mode=755 nettune-test /var/lib
mount -t sysfs sysfs /sys
hostname nettune-test
ip link set lo up
trap '' CHLD
echo ready
exec cat >/dev/null
"""


class Namespace:
    """A host of namespaces. pid: its first process, as seen from outside."""

    # For a Python that imports the collection.
    environment: ClassVar[dict[str, str]] = {"PYTHONPATH": str(COLLECTIONS), "PYTHONDONTWRITEBYTECODE": "1"}

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def command(self, args: Sequence[str]) -> list[str]:
        """The command line that runs args in here."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--net", "--pid", "--", *args]

    def run(
        self,
        args: Sequence[str],
        check: bool = True,
        input: str | None = None,
        timeout: float = 60,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(args),
            check=False,  # Below, with what it said.
            input="" if input is None else input,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
        )
        if check and done.returncode:
            raise AssertionError(f"{list(args)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def popen(self, args: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Starts something that goes on; it ends with the host at the latest."""
        return subprocess.Popen(self.command(args), text=True, **options)

    def module(self, name: str, *, through: Sequence[str] = (), **args: Any) -> dict[str, Any]:
        """What a module of the collection answers here, run by `through` where given.

        `_ansible_check_mode=True` and the like are passed on.
        """
        done = self.run(
            [*through, sys.executable, "-m", f"{MODULES}.{name}"],
            check=False,
            input=json.dumps({"ANSIBLE_MODULE_ARGS": args}),
            env=self.environment,
        )
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}") from None
        return answer

    def write(self, path: str, text: str) -> None:
        self.run(["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat >"$0"', path], input=text)

    def read(self, path: str) -> str:
        return self.run(["cat", path]).stdout

    def wait_for(self, args: Sequence[str], seconds: float = 10) -> None:
        """Until the command succeeds in here."""
        deadline = time.monotonic() + seconds
        while self.run(args, check=False).returncode:
            assert time.monotonic() < deadline, f"{list(args)} did not succeed within {seconds} s"
            time.sleep(0.02)


@contextlib.contextmanager
def new_namespace() -> Iterator[Namespace]:
    unshare = subprocess.Popen(
        [*UNSHARE, "sh", "-c", FIRST_PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert unshare.stdin is not None
    assert unshare.stdout is not None
    try:
        assert unshare.stdout.readline() == "ready\n", "the namespaces could not be made"
        children = pathlib.Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text()
        yield Namespace(int(children))
    finally:
        unshare.stdin.close()
        unshare.wait(timeout=10)
        unshare.stdout.close()
