# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines with kernels of their own, for tests. See docs/vm.md."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import command_line
import namespaces as ns
from command_line import UsageError
from vm import boot, cache, debian, kernels, root
from vm.machine import Machine, all_machines

NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86",
    "debootstrap": "debootstrap",
    "cpio": "cpio",
    "depmod": "kmod",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
}
NOT_TO_BE_HAD = 3  # the exit code for tests, which skip such a kernel


def up(arguments: argparse.Namespace) -> None:
    _check_machine()
    machine = Machine(_name(arguments))
    wish = _wish(arguments)
    root.disk()
    _sweep()
    with _locked(machine):
        if machine.is_up and boot.answers(machine):
            if machine.description["kernel"] != wish.kernel.identity:
                raise UsageError(
                    f"vm {machine.name} is up with another kernel, or other modules, of the same file name:"
                    " end it with `down`, or give this one a name of its own with --instance"
                )
            print(f"vm {machine.name} is up already{_way_in(machine)}")
            return
        began = time.monotonic()
        machine.remove()
        try:
            hardware = boot.boot(machine, wish)
        except BaseException:
            machine.remove()
            raise
    release = machine.description["release"]
    print(
        f"vm {machine.name} is up: kernel {release} ({hardware}) in {time.monotonic() - began:.1f} s{_way_in(machine)}"
    )


def _way_in(machine: Machine) -> str:
    return f"\n  log in: {shlex.join(machine.ssh())}\n  inventory: {machine.inventory}"


def down(arguments: argparse.Namespace) -> None:
    for machine in [Machine(_name(arguments))] if arguments.kernel else all_machines():
        if not machine.directory.exists():
            continue
        with _locked(machine):
            machine.remove()
        print(f"vm {machine.name} is down")
    _sweep()


def shell(arguments: argparse.Namespace) -> None:
    machine = Machine(_name(arguments))
    if not machine.is_up:
        raise UsageError(f"vm {machine.name} is not up: start it with `up {arguments.kernel}`")
    os.execvp("ssh", [*machine.ssh(), *command_line.for_ssh(arguments.command)])


def status(_arguments: argparse.Namespace) -> None:
    machines = all_machines()
    if not machines:
        print("no virtual machine is up")
    for machine in machines:
        if not machine.is_up:
            print(f"{machine.name}: not running; the next `up` or `down` removes {machine.directory}")
            continue
        about = machine.description
        silent = "" if boot.answers(machine) else ", does not answer"
        print(f"{machine.name}: kernel {about['release']}, {boot.Hardware(**about['hardware'])}{silent}")


def _name(arguments: argparse.Namespace) -> str:
    return command_line.with_label(pathlib.Path(arguments.kernel).name, arguments.instance)


def _wish(arguments: argparse.Namespace) -> boot.Wish:
    if arguments.bound_to:
        if arguments.bound_to == os.getppid():
            ns.die_with_parent()  # from the first moment, not only once there is a keeper
        os.close(command_line.process(arguments.bound_to))
    kernel = kernels.get(arguments.kernel, arguments.modules)
    return boot.Wish(kernel, arguments.cpus, arguments.memory, arguments.bound_to)


@contextlib.contextmanager
def _locked(machine: Machine, wait: bool = True) -> Iterator[None]:
    """One process brings this machine up or down at a time. The lock goes with the machine."""
    machine.root.mkdir(exist_ok=True)
    path = machine.root / f"{machine.name}.lock"
    while True:
        with open(path, "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not path.exists() or not os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                continue  # whoever held it has removed it
            try:
                yield
            finally:
                if not machine.directory.exists():
                    path.unlink()
            return


def _sweep() -> None:
    """Forget machines that have ended, of whatever: their qemu is gone with their keeper."""
    names = {path.name.removesuffix(".lock") for path in Machine.root.glob("*")}
    for machine in map(Machine, sorted(names)):
        with contextlib.suppress(BlockingIOError), _locked(machine, wait=False):
            if machine.init_pid() is None:
                machine.remove()


def _check_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0 or os.uname().machine != "x86_64":
        raise UsageError("virtual machines need Linux on x86_64, and root to make their root file system")
    command_line.find_programs("virtual machines need", NEEDED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vm", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--instance", metavar="LABEL", help="a machine of its own beside others of the same kernel")
    versions = f"{', '.join(kernels.SUITES)}, or the path of a bzImage"

    sub = commands.add_parser("up", parents=[named], help="start a machine; fine if it is up already")
    sub.set_defaults(function=up)
    sub.add_argument("kernel", help=versions)
    sub.add_argument("--modules", metavar="FOLDER", help="modules of a kernel given by path: .../lib/modules/RELEASE")
    sub.add_argument("--cpus", type=int, default=2)
    sub.add_argument("--memory", type=int, default=1024, metavar="MIB")
    sub.add_argument("--bound-to", type=int, default=0, metavar="PID", help="it ends when this process ends")
    sub = commands.add_parser("down", parents=[named], help="end a machine, or all of this checkout")
    sub.set_defaults(function=down)
    sub.add_argument("kernel", nargs="?", help=versions)
    sub = commands.add_parser("shell", parents=[named], help="log in, or run what follows -- there")
    sub.set_defaults(function=shell)
    sub.add_argument("kernel", help=versions)
    sub = commands.add_parser("status", help="list the machines of this checkout")
    sub.set_defaults(function=status)
    return parser


def main() -> None:
    errors = (boot.BootError, cache.MakeError, debian.UnreachableError, kernels.KernelError)
    try:
        command_line.run("vm", _parser(), errors)
    except kernels.NotToBeHadError as error:
        print(f"vm: {error}", file=sys.stderr)
        sys.exit(NOT_TO_BE_HAD)


if __name__ == "__main__":
    main()
