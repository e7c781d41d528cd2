# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts qemu and waits for sshd; what this processor or this kernel cannot do is tried and then replaced."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time

import inventory
import lab_init
import yaml
from vm import cache, root
from vm.kernels import Kernel
from vm.machine import Machine

ADDRESS = "127.0.0.1"
SECONDS_TO_SSHD = 240
SECONDS_TO_FIRST_WORD = 10  # under KVM, where it is one or two; an ordinary guest may hang under an unusual /dev/kvm
# qemu 7.2 spoils the flags of an emulated cmpxchg16b, of which 6.12 dies while it boots; kernels do without it. The
# others cost a fifth of all time: page tables of five levels, copies byte by byte, and wide registers to be saved.
EMULATED = "max,cx16=off,la57=off,erms=off,xsave=off,avx=off,avx2=off"
# With the GiB that qemu takes by itself, translations of former boots stay, and many a reboot takes twice as long.
TRANSLATIONS = "tb-size=128"  # MiB
ACCELERATORS = {
    "kvm": ["-accel", "kvm", "-cpu", "host"],
    "tcg": ["-accel", f"tcg,thread=multi,{TRANSLATIONS}", "-cpu", EMULATED],
}
DISKS = ("virtio", "ahci", "memory")
NETWORKS = ("virtio-net-pci", "e1000")


class BootError(Exception):
    """The machine did not come up; the text says why."""


@dataclasses.dataclass
class Wish:
    """What the machine shall be."""

    kernel: Kernel
    cpus: int
    memory: int
    bound_to: int


@dataclasses.dataclass
class Hardware:
    """What the machine is given, as far as its kernel or this processor may refuse it."""

    accelerator: str
    disk: str = DISKS[0]
    network: str = NETWORKS[0]

    def __str__(self) -> str:
        return f"{self.accelerator}, disk {self.disk}, network {self.network}"


def boot(machine: Machine, wish: Wish) -> Hardware:
    """Until sshd answers. What the kernel lacks is replaced until it has all, or nothing is left to try."""
    hardware = Hardware(_accelerator())
    machine.create()
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"vm {machine.name}", "-f", str(machine.key)]
    subprocess.run(keygen, check=True)
    while True:
        machine.write("port", _free_port())
        keeper = _start(machine, wish, hardware)
        try:
            trouble = _wait(machine, keeper, hardware)
            if trouble is None:
                _let_stay(machine, keeper)
                _remember(hardware.accelerator)
                _describe(machine, wish, hardware)
                return hardware
        except BaseException:
            keeper.terminate()
            keeper.wait()
            raise
        keeper.terminate()
        keeper.wait()
        hardware = _other(machine, hardware, trouble)


def _start(machine: Machine, wish: Wish, hardware: Hardware) -> subprocess.Popen[bytes]:
    machine.serial.write_bytes(b"")
    with open(machine.log, "wb") as log:
        return subprocess.Popen(
            [
                *[sys.executable, str(cache.HERE / "keeper.py"), machine.name, str(os.getpid()), str(wish.bound_to)],
                *_qemu(machine, wish, hardware),
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(machine.directory)},  # where qemu keeps what the machine writes
        )


def _let_stay(machine: Machine, keeper: subprocess.Popen[bytes]) -> None:
    """From here on the machine outlives this process."""
    assert keeper.stdin is not None
    keeper.stdin.write(b"s")
    keeper.stdin.close()
    if not lab_init.wait_until(lambda: machine.read("stays"), 60):
        raise BootError("its keeper does not answer")


def _qemu(machine: Machine, wish: Wish, hardware: Hardware) -> list[str]:
    words = {
        "console": "ttyS0",
        "net.ifnames": "0",
        "panic": "-1",
        "mitigations": "off",
        "cryptomgr.notests": "1",  # where the processor is emulated they take longer than all the rest of the boot
        "vm.root": "memory" if hardware.disk == "memory" else "disk",
        "vm.name": "vm-" + "".join(letter if letter.isalnum() else "-" for letter in machine.name),
        "vm.key": ",".join(machine.key.with_suffix(".pub").read_text(encoding="ascii").split()[:2]),
    }
    port = machine.read("port")
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]
    command += [*ACCELERATORS[hardware.accelerator], "-smp", str(wish.cpus), "-m", str(wish.memory)]
    command += ["-kernel", str(wish.kernel.image), "-initrd", str(_initrd(machine, wish.kernel, hardware))]
    command += ["-append", " ".join(f"{name}={value}" for name, value in words.items())]
    command += ["-serial", f"file:{machine.serial}", "-device", "virtio-rng-pci"]
    # The guest reaches nothing but who connects to it.
    command += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:{ADDRESS}:{port}-:22"]
    command += ["-device", f"{hardware.network},netdev=net"]
    if hardware.disk != "memory":
        command += _disks(wish.kernel, hardware.disk)
    return command


def _disks(kernel: Kernel, controller: str) -> list[str]:
    """What a machine writes goes to a nameless file, which is gone when qemu is."""
    words = ["-device", "ahci,id=ahci"] if controller == "ahci" else []
    images = [(root.disk(), "snapshot=on")] + ([(kernel.modules, "readonly=on")] if kernel.modules else [])
    for number, (image, access) in enumerate(images):
        words += ["-drive", f"if=none,id=disk{number},format=raw,file={image},{access}"]
        device = f"ide-hd,bus=ahci.{number}" if controller == "ahci" else "virtio-blk-pci"
        words += ["-device", f"{device},drive=disk{number}"]
    return words


def _initrd(machine: Machine, kernel: Kernel, hardware: Hardware) -> pathlib.Path:
    if hardware.disk != "memory":
        return kernel.initrd
    both = machine.directory / "initrd"
    with open(both, "wb") as file:
        for part in (root.initrd(), kernel.initrd):
            with open(part, "rb") as source:
                shutil.copyfileobj(source, file)
    return both


def _free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait(machine: Machine, keeper: subprocess.Popen[bytes], hardware: Hardware) -> str | None:
    """None once sshd answers; else what the machine lacks: a word of it, or of qemu."""
    began = time.monotonic()
    while time.monotonic() < began + SECONDS_TO_SSHD:
        said = machine.text_of("serial.log")
        for lack in ("vm: no disk", "vm: no network"):
            if lack in said:
                return lack
        if keeper.poll() is not None:
            return machine.text_of("qemu.log").strip() or "the machine ended while it started"
        if "Linux version" not in said and hardware.accelerator == "kvm":
            if time.monotonic() > began + SECONDS_TO_FIRST_WORD:
                return "its processor stands still"
        elif answers(machine):
            return None
        time.sleep(0.1)
    return f"sshd does not answer within {SECONDS_TO_SSHD} s"


def answers(machine: Machine) -> bool:
    try:
        with socket.create_connection((ADDRESS, machine.read("port")), timeout=3) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _other(machine: Machine, hardware: Hardware, trouble: str) -> Hardware:
    def after(tried: tuple[str, ...], one: str) -> str:
        if one == tried[-1]:
            raise BootError(f"the kernel knows none of {', '.join(tried)} ({trouble[4:]}): {_last_words(machine)}")
        return tried[tried.index(one) + 1]

    if trouble == "vm: no disk":
        return dataclasses.replace(hardware, disk=after(DISKS, hardware.disk))
    if trouble == "vm: no network":
        return dataclasses.replace(hardware, network=after(NETWORKS, hardware.network))
    if "host forwarding rule" in trouble:
        return hardware  # somebody else has taken the port meanwhile
    if hardware.accelerator == "kvm" and "Linux version" not in machine.text_of("serial.log"):
        return dataclasses.replace(hardware, accelerator="tcg")
    raise BootError(f"{trouble}: {_last_words(machine)}")


def _last_words(machine: Machine) -> str:
    lines = [line for line in machine.text_of("serial.log").splitlines() if line.strip()]
    return "it said last:\n" + "\n".join(lines[-15:]) if lines else "it said nothing"


def _accelerator() -> str:
    """KVM where it may work, unless this very machine has already shown that it does not."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    known = cache.FOLDER / "accelerator"
    remembered = known.read_text(encoding="ascii").split() if known.exists() else []
    return "tcg" if remembered == [_this_machine(), "tcg"] else "kvm"


def _remember(accelerator: str) -> None:
    (cache.FOLDER / "accelerator").write_text(f"{_this_machine()} {accelerator}\n", encoding="ascii")


def _this_machine() -> str:
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{platform.release()}/{boot_id}"


def _describe(machine: Machine, wish: Wish, hardware: Hardware) -> None:
    port = machine.read("port")
    machine.known_hosts.write_text(f"[{ADDRESS}]:{port} {root.host_key()}\n", encoding="ascii")
    done = subprocess.run(
        [*machine.ssh(), "uname -r"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=SECONDS_TO_SSHD,
    )
    if done.returncode != 0:
        raise BootError(f"sshd lets nobody in: {done.stderr.strip()}")
    host = {
        "ansible_host": ADDRESS,
        "ansible_port": port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(machine.key),
        "ansible_ssh_common_args": shlex.join(inventory.ssh_options(machine)),
        "ansible_control_path_dir": str(machine.control_directory),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    inventory_of = {"all": {"children": {"servers": {"hosts": {f"vm-{machine.name}": host}}}}}
    machine.inventory.write_text(yaml.safe_dump(inventory_of, sort_keys=False, width=200), encoding="utf-8")
    machine.write(
        "lab",
        {
            "kernel": wish.kernel.identity,
            "release": done.stdout.strip(),
            "hardware": dataclasses.asdict(hardware),
            "ssh": machine.ssh(),
            "control_path": str(machine.control_directory / "shared"),
        },
    )
