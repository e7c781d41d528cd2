# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is killed, nothing of a virtual machine goes on, and nothing is mounted."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from .conftest import BROUGHT, ROOT, TOOL

KERNEL = BROUGHT or "6.1"
NAME = pathlib.Path(KERNEL).name


class Life:
    """A machine driven through the command line, of which only processes and files are looked at."""

    def __init__(self) -> None:
        self._instance = f"life{os.getpid()}"
        self.directory = ROOT / ".vm" / f"{NAME}.{self._instance}"

    def command(self, command: str, *words: str) -> list[str]:
        modules = ["--modules", os.environ["MODULES"]] if command == "up" and os.environ.get("MODULES") else []
        return [sys.executable, str(TOOL), command, KERNEL, "--instance", self._instance, *modules, *words]

    def run(self, command: str, *words: str) -> str:
        done = subprocess.run(self.command(command, *words), capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def processes(self) -> dict[int, str]:
        """The keeper and qemu, by what their command lines name."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # it has just ended
            if any(word.startswith(f"file:{self.directory}/") for word in words):
                found[int(entry.parent.name)] = "qemu" if words[0].startswith("qemu") else "keeper"
        return found

    def mounts(self) -> list[str]:
        """What is mounted from or on this checkout; others have mounts that come and go."""
        return [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if str(ROOT) in line]

    def process(self, kind: str) -> int:
        return next(pid for pid, found in self.processes().items() if found == kind)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.processes()
            time.sleep(0.05)


@pytest.fixture
def life() -> Iterator[Life]:
    life = Life()
    mounts = life.mounts()
    yield life
    life.run("down")
    assert not life.processes()
    assert not life.directory.exists()
    assert life.mounts() == mounts


def mentioning(path: pathlib.Path) -> list[str]:
    """The command lines with that path."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may just have ended
            found.append(entry.read_bytes().decode(errors="replace").replace("\0", " "))
    return [line for line in found if str(path) in line]


@pytest.fixture
def without_root(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A checkout in which the root file system has yet to be made; a kernel that this one has comes along."""
    shutil.copytree(ROOT / "lab", tmp_path / "lab")
    for kernel in (ROOT / ".cache" / "vm").glob("kernel-6.1-*"):
        shutil.copytree(kernel, tmp_path / ".cache" / "vm" / kernel.name)
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_killed_while_the_root_file_system_is_made(life: Life, without_root: pathlib.Path) -> None:
    up = shlex.join([sys.executable, str(without_root / "lab" / "vm"), "up", "6.1"])
    # The second begins anew where the first has left it.
    for command in (f"exec {up}", f"{up} --bound-to $$ & wait"):
        with subprocess.Popen(["sh", "-c", command], stderr=subprocess.PIPE) as shell:

            def is_under_way(shell: subprocess.Popen[bytes] = shell) -> bool:
                assert shell.poll() is None, shell.stderr and shell.stderr.read()
                unpacked = without_root.glob(".cache/vm/root.unfinished/tree/var/lib/dpkg")
                return any(unpacked) and any("debootstrap" in line for line in mentioning(without_root))

            life.wait_until(is_under_way, seconds=300)
            shell.kill()
        life.wait_until(lambda: not mentioning(without_root))


def test_killed_while_it_comes_up(life: Life) -> None:
    with subprocess.Popen(life.command("up"), stdout=subprocess.DEVNULL) as up:
        life.wait_until(lambda: len(life.processes()) == 2, seconds=600)
        up.kill()
    life.wait_until(lambda: not life.processes())


@pytest.mark.parametrize("kind", ["keeper", "qemu"])
def test_killed_while_it_is_up(life: Life, kind: str) -> None:
    assert f"vm {NAME}" in life.run("up")
    assert len(life.processes()) == 2
    os.kill(life.process(kind), signal.SIGKILL)
    life.wait_until(lambda: not life.processes())
    status = subprocess.run([sys.executable, str(TOOL), "status"], capture_output=True, text=True, check=True).stdout
    assert f"{life.directory.name}: not running" in status


def test_only_the_very_kernel_is_up_already(life: Life, tmp_path: pathlib.Path) -> None:
    life.run("up")
    assert "is up already" in life.run("up")
    # Of those that the cache has of this version any will do.
    image = pathlib.Path(BROUGHT) if BROUGHT else next((ROOT / ".cache" / "vm").glob("kernel-6.1-*/vmlinuz"))
    other = tmp_path / NAME
    other.write_bytes(image.read_bytes() + b"another")
    command = [str(other) if word == KERNEL else word for word in life.command("up")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert "is up with another kernel" in done.stderr
    assert len(life.processes()) == 2


def test_it_ends_with_what_it_is_bound_to(life: Life) -> None:
    with subprocess.Popen(["sleep", "600"]) as owner:
        life.run("up", "--bound-to", str(owner.pid))
        assert json.loads((life.directory / "lab.json").read_text())["release"]
        owner.kill()
    life.wait_until(lambda: not life.processes())
    life.wait_until(lambda: not life.directory.exists())


def test_it_ends_when_its_directory_is_removed(life: Life) -> None:
    life.run("up")
    shutil.rmtree(life.directory)
    life.wait_until(lambda: not life.processes())
