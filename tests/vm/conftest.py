# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines for tests (`make test-vm`), each with a kernel of its own; see docs/vm.md.

A test that asks for `machine` runs once for each kernel of KERNELS, or once for the kernel that KERNEL_IMAGE (and
MODULES) names. `@pytest.mark.kernels("6.1")` keeps it to the named ones of KERNELS; a kernel that was brought is always
meant. A kernel that cannot be had here is a skipped test that says so, or a failed one where NEED_KERNELS names it. All
tests share the machine of their kernel and leave it as they found it, or reboot it.

    machine.run("ip link | grep eth0")      a shell line; a list of words reaches the program as it is.
                                            Fails the test unless it succeeds (`check=False`); `input=`, `timeout=`
    machine.output(command)                 what it printed, stripped; its failure does not matter
    machine.popen(command)                  something that goes on: a subprocess.Popen with pipes; ends with the boot
    machine.wait_for(command, seconds=10)   until it succeeds
    machine.write(path, text), read(path)   a file
    machine.put(source, target)             a local file or folder, on its disk for good
    machine.python(script, *words)          run by its Python, which can import the collection; `input=`, `check=`
    machine.module("net_facts", **args)     what a module of the collection answers there
    machine.reboots_during(command)         run what may crash it; whether it did, and then answers again
    machine.reboot_hard()                   `echo b > /proc/sysrq-trigger`: no clean shutdown; until it answers again
    machine.release, machine.version        "6.1.0-50-cloud-amd64", (6, 1)
    machine.inventory, machine.host         an Ansible inventory of it, for `-i`: the host vm-..., in the group servers
    CHECKOUT                                where this checkout's lab, playbooks, plugins and tools are in a machine

`machine_of("5.10")` is for a test that needs several kernels: it returns such a machine, or skips. `new_machine(kernel,
label)` starts one that no other test has, and that ends with the test's module.
A machine reaches nothing outside; namespaces (`ip netns`, or `python3 CHECKOUT/lab/lab.py up NAME`) make the rest of a
network.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ansible
import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "lab" / "vm"
KERNELS = ["5.10", "6.1", "6.12"]
BROUGHT = os.environ.get("KERNEL_IMAGE", "")
NEEDED = os.environ.get("NEED_KERNELS", "").replace(",", " ").split()

CHECKOUT = "/opt/checkout"
ENVIRONMENT = f"PYTHONPATH=/opt/controller:{CHECKOUT}/playbooks/collections PYTHONDONTWRITEBYTECODE=1"
MODULES = "ansible_collections.nettune.kernel.plugins.modules"
CANNOT_BE_HAD = 3  # of lab/vm: the exit code where a kernel cannot be had
SECONDS_TO_REBOOT = 300  # ten where nobody else is at work


class Machine:
    """See above."""

    def __init__(self, kernel: str, label: str = "") -> None:
        self.kernel = kernel
        self.instance = f"test{os.getpid()}{label}"
        self._name = f"{pathlib.Path(kernel).name}.{self.instance}"
        self.directory = ROOT / ".vm" / self._name
        self.inventory = self.directory / "inventory.yml"
        self.host = f"vm-{self._name}"

    def up(self) -> None:
        # Of two emulated processors that share a core, one waits for the other: half as much again for all they do.
        words = ["--bound-to", str(os.getpid()), "--cpus", "1"]
        if self.kernel == BROUGHT and os.environ.get("MODULES"):
            words += ["--modules", os.environ["MODULES"]]
        done = self._tool("up", *words)
        if done.returncode == CANNOT_BE_HAD:
            absent = pytest.fail if self.kernel in NEEDED else pytest.skip
            absent(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        self.started = done.stdout.partition("\n")[0]
        about = json.loads((self.directory / "lab.json").read_text())
        self.release: str = about["release"]
        found = re.match(r"(\d+)\.(\d+)", self.release)
        assert found is not None
        self.version = (int(found[1]), int(found[2]))
        self.forgets = about["hardware"]["disk"] == "memory"
        self._ssh: list[str] = [*about["ssh"][:-1], "-o", "ControlMaster=auto", "-o", "ControlPersist=600"]
        self._ssh += ["-o", f"ControlPath={about['control_path']}", about["ssh"][-1]]
        self._bring_python()

    def down(self) -> None:
        self._tool("down")

    def _tool(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(TOOL), command, self.kernel, "--instance", self.instance, *words],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=1500,  # the first one makes the root file system
        )

    def _bring_python(self) -> None:
        for name in ("lab", "playbooks", "plugins", "tools"):
            self.put(ROOT / name, f"{CHECKOUT}/{name}", sync=False)
        source = pathlib.Path(ansible.__file__).parent
        for name in ("__init__.py", "_vendor", "release.py", "module_utils"):
            self.put(source / name, f"/opt/controller/ansible/{name}", sync=False)
        # Where the processor is emulated a module would take longer to compile than to run.
        folders = [f"{CHECKOUT}/plugins/{name}" for name in ("modules", "module_utils")]
        self.run(f"python3 -m compileall -q -x /facts/ {shlex.join(folders)} /opt/controller/ansible && sync")

    def command(self, command: str | Sequence[str]) -> list[str]:
        """The command line that runs it in the machine."""
        return [*self._ssh, command if isinstance(command, str) else shlex.join(command)]

    def run(
        self, command: str | Sequence[str], check: bool = True, input: str = "", timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(command), input=input, capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def output(self, command: str | Sequence[str]) -> str:
        return self.run(command, check=False).stdout.strip()

    def popen(self, command: str | Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_for(self, command: str | Sequence[str], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while self.run(command, check=False).returncode:
            assert time.monotonic() < deadline, f"{command} did not succeed within {seconds} s"
            time.sleep(0.1)

    def write(self, path: str, text: str) -> None:
        self.run(["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat >"$0"', path], input=text)

    def read(self, path: str) -> str:
        return self.run(["cat", path]).stdout

    def put(self, source: pathlib.Path, target: str, sync: bool = True) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            archive.add(source, target.lstrip("/"), filter=_without_caches)
        unpack = ["sh", "-c", 'tar -xzf - -C / --no-same-owner && [ -z "$0" ] || sync', "sync" if sync else ""]
        content = packed.getvalue()
        done = subprocess.run(self.command(unpack), input=content, capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr.decode()

    def python(
        self, script: str, *words: str, check: bool = True, input: str = "", timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        command = f"{ENVIRONMENT} {shlex.join(['python3', '-c', script, *words])}"
        return self.run(command, check=check, input=input, timeout=timeout)

    def module(self, name: str, **args: Any) -> dict[str, Any]:
        done = self.run(
            f"{ENVIRONMENT} python3 -m {MODULES}.{name}", check=False, input=json.dumps({"ANSIBLE_MODULE_ARGS": args})
        )
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}") from None
        return answer

    def boot_id(self) -> str:
        return self.output(["cat", "/proc/sys/kernel/random/boot_id"])

    def reboot_hard(self, by: str = "echo b >/proc/sysrq-trigger") -> None:
        assert self.reboots_during(by), f"it does not reboot by {by}"

    def reboots_during(self, command: str) -> bool:
        """Run what may reboot the machine by itself; True once it answers again, False where the command just ended."""
        if self.forgets:
            pytest.skip(f"the root of {self.kernel} is in memory, for want of a driver for its disk")
        boots, said = self._boots(), self._said()
        deadline = time.monotonic() + SECONDS_TO_REBOOT
        with subprocess.Popen(self.command(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
            while self._boots() == boots:
                if running.poll() == 0:
                    return False
                assert running.poll() is None, f"{command} ended with {running.poll()}"
                assert time.monotonic() < deadline, f"neither end nor reboot: {command}"
                time.sleep(0.05)
            running.kill()
        self.close()
        while self.run("true", check=False).returncode:
            # Its keeper takes the directory away with it, what it said last too.
            assert self.directory.exists(), f"the machine has ended while it booted: {said[-2000:]}"
            said = self._said()
            assert time.monotonic() < deadline, f"it does not come back, see {self.directory}/serial.log"
            time.sleep(0.2)
        return True

    def _boots(self) -> int:
        return self._said().count("] Linux version ")

    def _said(self) -> str:
        return (self.directory / "serial.log").read_text(errors="replace")

    def close(self) -> None:
        """Let go of the connection that all commands share."""
        subprocess.run([*self._ssh, "-O", "exit"], capture_output=True, check=False, timeout=20)


def _without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


_running: dict[str, Machine] = {}


@pytest.fixture(scope="session")
def machine_of() -> Iterator[Callable[[str], Machine]]:
    """The machine of a kernel, started once for this process."""

    def get(kernel: str) -> Machine:
        if kernel not in _running:
            machine = Machine(kernel)
            machine.up()
            _running[kernel] = machine
        return _running[kernel]

    yield get
    for machine in _running.values():
        machine.down()
    _running.clear()


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Shows what is worth seeing, also where all is well: rates, timings, kernels."""

    def to_the_console(text: str) -> None:
        with capfd.disabled():
            print(f"\n{text}", file=sys.stderr)

    return to_the_console


@pytest.fixture(scope="module")
def new_machine() -> Iterator[Callable[[str, str], Machine]]:
    made = []

    def make(kernel: str, label: str) -> Machine:
        machine = Machine(kernel, label)
        machine.up()
        made.append(machine)
        return machine

    yield make
    for machine in made:
        machine.down()


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest, machine_of: Callable[[str], Machine]) -> Machine:
    return machine_of(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "machine" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("kernels")
        wanted = [BROUGHT] if BROUGHT else [one for one in KERNELS if only is None or one in only.args]
        names = [pathlib.Path(one).name for one in wanted]
        metafunc.parametrize("machine", wanted, ids=names, indirect=True, scope="session")


class ByKernel(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a kernel in one process, which has its machine; those that crash it may be in another."""

    def _split_scope(self, nodeid: str) -> str:
        words = re.split(r"[][-]", nodeid)
        kernel = next((kernel for kernel in KERNELS if kernel in words), "several kernels")
        return f"{kernel}, crashing" if _crashes(nodeid) else kernel


def _crashes(nodeid: str) -> bool:
    """Whether the test crashes its machine, again and again: of all, these take longest."""
    return "tests/vm/test_reboot.py" in nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    config.option.loadscopereorder = False  # not most tests first: what takes longest is few tests
    return ByKernel(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if pathlib.Path(item.path).is_relative_to(pathlib.Path(__file__).parent):
            item.add_marker(pytest.mark.vm)
    items.sort(key=lambda item: not _crashes(item.nodeid))
