# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab host, seen from the inside: its private root, its network, its sshd, its services.

Runs as process 1 of the host's own PID, mount, network and UTS namespaces, so that it ends with everything it started.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import IO, Any

import namespaces as ns
from topology import Host

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent

# Fresh and empty in every host: what runs on the machine itself must not show through.
EMPTY_DIRECTORIES = {
    "/run": "0755",
    "/tmp": "1777",
    "/var/tmp": "1777",
    "/var/lib": "0755",
    "/var/log": "0755",
    "/dev/shm": "1777",
}

# Of the net keys that a network namespace shows as writable, these act on all namespaces: nf_hooks_lwtunnel on every
# kernel that has it, the conntrack limits on kernels before 5.12.2.
GLOBAL_NET_KEYS = (
    "net/netfilter/nf_hooks_lwtunnel",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_expect_max",
    "net/netfilter/nf_conntrack_buckets",
    "net/nf_conntrack_max",
)

SSHD_CONFIG = """\
ListenAddress {address}
HostKey /etc/ssh/lab_host_key
AuthorizedKeysFile /etc/ssh/lab_authorized_keys
PidFile /run/sshd.pid
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 100
Subsystem sftp internal-sftp
"""


@dataclasses.dataclass
class Place:
    """What a host needs to know of the lab around it."""

    state: pathlib.Path
    management: str  # address with prefix length
    authorized_key: str
    names: dict[str, str]  # host name -> management address, for /etc/hosts
    visible: list[str]  # directories that must be seen at the same path inside: interpreters


def bring_up(host: Host, place: Place) -> str:
    """Turn the calling process, alone in new namespaces, into the host. Returns sshd's public key."""
    ns.set_process_name(f"lab:{host.name}")
    ns.set_host_name(host.name)
    _private_root(place)
    _guard_proc_sys()
    _clean_etc(host, place)
    _network(host, place)
    public_key = _sshd(place)
    for service in host.services:
        with open("/var/log/services.log", "ab") as log:
            _spawn([sys.executable, str(HERE / service[0]), *service[1:]], log)
    return public_key


def reap_for_ever() -> None:
    """The duty of process 1: whatever is orphaned in the host ends up here."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


def _private_root(place: Place) -> None:
    """The machine's root file system, copy on write in memory: what the host writes, the machine never sees."""
    scratch = place.state / "mnt"
    ns.mount("lab", str(scratch), "tmpfs", options="size=256m,mode=0755")
    os.chdir(scratch)
    for name in ("upper", "work", "root"):
        os.mkdir(name)
    ns.mount("lab", "root", "overlay", options="lowerdir=/,upperdir=upper,workdir=work")
    root = str(scratch / "root")
    ns.mount("proc", f"{root}/proc", "proc")
    ns.mount("sysfs", f"{root}/sys", "sysfs", ns.MS_RDONLY)
    ns.bind("/dev", f"{root}/dev", with_mounts_below=True)
    for path, mode in EMPTY_DIRECTORIES.items():
        os.makedirs(root + path, exist_ok=True)
        ns.mount("lab", root + path, "tmpfs", options=f"size=64m,mode={mode}")
    for path in [str(CHECKOUT), *place.visible]:
        if path == str(CHECKOUT) or _hidden(path):
            os.makedirs(root + path, exist_ok=True)
            ns.bind(path, root + path, read_only=True)
    load = str(place.state / "load")
    ns.bind(load, root + load)
    ns.switch_root(root)


def _hidden(path: str) -> bool:
    """Would the overlay not show `path`: on another file system, or where an empty directory is mounted?"""
    below_empty = any(path == top or path.startswith(top + "/") for top in EMPTY_DIRECTORIES)
    return below_empty or os.stat(path).st_dev != os.stat("/").st_dev


def _guard_proc_sys() -> None:
    """Only what the host's own network namespace holds can be written below /proc/sys."""
    ns.bind("/proc/sys", "/proc/sys", read_only=True)
    ns.mount("/proc/sys/net", "/proc/sys/net", flags=ns.MS_BIND)
    ns.mount("/proc/sys/net", "/proc/sys/net", flags=ns.MS_BIND | ns.MS_REMOUNT)
    for key in GLOBAL_NET_KEYS:
        path = f"/proc/sys/{key}"
        if os.path.exists(path):
            ns.bind(path, path, read_only=True)


def _clean_etc(host: Host, place: Place) -> None:
    """The same start on every machine: no sysctl settings, lab names, and a root who can log in by key."""
    for directory in ("/etc/sysctl.d", "/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d"):
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
    _write("/etc/sysctl.conf", "# Lab host: nothing is set here.\n")
    _write("/etc/hostname", f"{host.name}\n")
    _write("/etc/hosts", "127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for n, a in place.names.items()))
    os.makedirs("/var/lib/root", mode=0o700)
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    _replace_line("/etc/passwd", f"root:x:0:0:root:/var/lib/root:{shell}")
    _replace_line("/etc/shadow", "root:*:1::::::")


def _network(host: Host, place: Place) -> None:
    if host.nft:
        _run(["nft", "-f", "-"], host.nft)
    for key, value in host.sysctl.items():
        _set_sysctl(key, value)
    batch = ["link set lo up", f"address add {place.management} dev mgmt0", "link set mgmt0 up"]
    for link in host.links:
        batch += [f"address add {address} dev {link.interface}" for address in link.addresses]
        batch.append(f"link set {link.interface} up")
    for interface, addresses in host.addresses.items():
        batch += [f"address add {address} dev {interface}" for address in addresses]
    _run(["ip", "-batch", "-"], "\n".join([*batch, *host.ip, ""]))


def _set_sysctl(key: str, value: str) -> None:
    first = next((c for c in key if c in "./"), "/")
    path = key if first == "/" else key.translate(str.maketrans("./", "/."))
    try:
        with open(f"/proc/sys/{path}", "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise RuntimeError(f"sysctl {key} = {value!r} cannot be set: {error.strerror}") from error


def _sshd(place: Place) -> str:
    os.mkdir("/run/sshd", 0o755)
    address = place.management.split("/")[0]
    _write("/etc/ssh/lab_sshd_config", SSHD_CONFIG.format(address=address))
    _write("/etc/ssh/lab_authorized_keys", place.authorized_key)
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "/etc/ssh/lab_host_key"])
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:" + os.environ.get("PATH", ""))
    assert sshd is not None, "checked before the lab was made"
    with open("/var/log/sshd.log", "ab") as log:
        process = _spawn([sshd, "-D", "-e", "-f", "/etc/ssh/lab_sshd_config"], log)
    deadline = time.monotonic() + 20
    while not _listens_on_22():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("sshd does not start: " + pathlib.Path("/var/log/sshd.log").read_text(encoding="utf-8"))
        time.sleep(0.01)
    return pathlib.Path("/etc/ssh/lab_host_key.pub").read_text(encoding="ascii").strip()


def _listens_on_22() -> bool:
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(line.split()[1].endswith(":0016") and line.split()[3] == "0A" for line in table)


def _spawn(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/")


def _run(command: list[str], text: str | None = None) -> None:
    done: Any = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _replace_line(path: str, line: str) -> None:
    """Replace the line of the same first field, root."""
    user = line.split(":")[0]
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = [line if old.split(":")[0] == user else old for old in file.read().splitlines()]
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join(lines) + "\n")
