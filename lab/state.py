# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab leaves on the machine while it runs: one directory, and the identity of one process."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import lab_init

ROOT = pathlib.Path(__file__).resolve().parent.parent / ".lab"
_LONGEST_CONTROL_DIRECTORY = 70  # of the 108 bytes of a socket's path, ssh and Ansible want the rest


class Lab:
    """One lab, up or not: `.lab/NAME`, or `.lab/NAME.INSTANCE`."""

    root = ROOT

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = self.root / name
        self.inventory = self.directory / "inventory.yml"
        self.key = self.directory / "ssh_key"
        self.known_hosts = self.directory / "known_hosts"
        self.load = self.directory / "load"

    @property
    def control_directory(self) -> pathlib.Path:
        """Where Ansible keeps its multiplexed connections to this lab, so that they end with it."""
        inside = self.directory / "cp"
        if len(str(inside)) <= _LONGEST_CONTROL_DIRECTORY:
            return inside
        return pathlib.Path("/tmp") / f"ntl-{hashlib.sha256(str(inside).encode()).hexdigest()[:12]}"

    def create(self) -> None:
        for directory in (self.directory, self.directory / "mnt", self.load, self.control_directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, name: str, value: Any) -> None:
        new = self.directory / f"{name}.json.new"
        new.write_text(json.dumps(value, indent=1), encoding="utf-8")
        new.replace(self.directory / f"{name}.json")

    def read(self, name: str) -> Any:
        """What was written under `name`, or None."""
        try:
            return json.loads((self.directory / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def record_init(self, pid: int) -> None:
        self.write("init", {"pid": pid, "identity": _identity(pid)})

    def init_pid(self) -> int | None:
        """The lab's init if it still runs. A recorded number that is another process by now is not it."""
        record = self.read("init")
        if record is None or lab_init.gone(record["pid"]) or _identity(record["pid"]) != record["identity"]:
            return None
        return int(record["pid"])

    @property
    def description(self) -> Any:
        """Written once the lab is up: what was asked for, the uplink, the hosts' addresses."""
        return self.read("lab")

    @property
    def is_up(self) -> bool:
        return self.description is not None and self.init_pid() is not None

    def remove(self) -> None:
        """End everything of the lab and forget it. Nothing to do is fine."""
        self._close_connections()
        pid = self.init_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            if not lab_init.wait_until(lambda: lab_init.gone(pid), 30):
                raise TimeoutError(f"lab {self.name}: process {pid} does not end")
        uplink = self.read("uplink") or {"name": "", "index": 0}
        if not lab_init.wait_until(lambda: interface_index(uplink["name"]) != uplink["index"], 30):
            raise TimeoutError(f"lab {self.name}: interface {uplink['name']} does not go away")
        shutil.rmtree(self.control_directory, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _close_connections(self) -> None:
        if self.control_directory.is_dir():
            for socket in self.control_directory.iterdir():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    subprocess.run(
                        ["ssh", "-F", "/dev/null", "-S", str(socket), "-O", "exit", "lab"],
                        check=False,
                        stdin=subprocess.DEVNULL,
                        capture_output=True,
                        timeout=5,
                    )


def all_labs() -> list[Lab]:
    return [Lab(path.name) for path in sorted(ROOT.iterdir()) if path.is_dir()] if ROOT.is_dir() else []


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One lab of this checkout is brought up or down at a time."""
    ROOT.mkdir(exist_ok=True)
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def interface_index(name: str) -> int | None:
    try:
        return int(pathlib.Path(f"/sys/class/net/{name}/ifindex").read_text(encoding="ascii"))
    except OSError:
        return None


def _identity(pid: int) -> list[str]:
    """Start time, command line and boot: no other process has the same."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return []
    return [stat.rpartition(")")[2].split()[19], command, boot]
