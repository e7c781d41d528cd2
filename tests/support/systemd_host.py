# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away host with systemd as PID 1, that can be rebooted.

    python systemd_host.py up FOLDER [--bound-to PID]    make it and boot it; FOLDER/lab.yml is its Ansible inventory
    python systemd_host.py reboot FOLDER
    python systemd_host.py down FOLDER

A podman container without network over a folder that debootstrap made once (.cache/images, named by the hash of its
recipe). /proc/sys is read-only in it, except for the sysctls of its own network namespace. All that podman keeps is in
a folder of its own under .cache/podman.

What cleans up is a shell that waits for the end of its input: of a pipe that only the test process holds, or of a
`tail` that waits for the process that the host is bound to. However that one ends, the container and its folder are
removed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPE = ROOT / "tests" / "images" / "systemd"
MIRROR = ROOT / "lab" / "debian_mirror.py"
PROGRAMS = ("podman", "runc", "debootstrap")
NAME = "host"
# Whatever ends it or us, its mounts and processes end with these namespaces.
ALONE = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]

PODMAN_CONFIGURATION = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "{folder}/tmp"
[network]
network_config_dir = "{folder}/cni"
"""
# Of a container that was killed, runc cannot remove the cgroups that systemd made, and then forgets nothing of it.
FORGET = """
id=$("$@" inspect --format '{{.Id}}' host) || exit 0
"$@" stop --time 0 host
find /sys/fs/cgroup -depth -type d -path "*libpod*$id*" -exec rmdir {} +
rm -rf "$FOLDER/runc/$id"
"""
CLEANER = f"""
trap '' HUP INT TERM
cat >/dev/null
( {FORGET} )
"$@" rm --force --time 0 host
# podman's own cleaning up, which conmon starts, may still write there.
for _ in 1 2 3 4 5 6 7 8 9; do
    rm -rf --one-file-system "$FOLDER"
    sleep 0.2
    [ -e "$FOLDER" ] || break
done
"""


class ImageError(Exception):
    """Why there is no root folder for the host."""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if not shutil.which(name)]


def make_image() -> pathlib.Path:
    """The root folder, made once for each state of its recipe."""
    folder = ROOT / ".cache" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    name = "systemd-" + hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:12]
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / name).exists():
            unfinished = folder / "unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            mirror = subprocess.run([sys.executable, MIRROR], capture_output=True, text=True, check=True).stdout.strip()
            with open(folder / "log", "w") as log:
                done = subprocess.run(
                    [*ALONE, RECIPE, mirror, unfinished],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            if done.returncode:
                raise ImageError(f"the image could not be made: see {folder / 'log'}")
            unfinished.rename(folder / name)
    return folder / name


class Container:
    """The host as podman sees it. folder: all that podman keeps of it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.command = ["podman", f"--root={folder}/root", f"--runroot={folder}/run"]
        self.command += [f"--runtime-flag=root={folder}/runc", "--storage-driver=overlay"]
        self.command += ["--storage-opt=overlay.skip_mount_home=true"]
        self.settings = {"CONTAINERS_CONF": str(folder / "containers.conf"), "FOLDER": str(folder)}
        self.env = {**os.environ, **self.settings}

    @classmethod
    def new(cls) -> Container:
        parent = ROOT / ".cache" / "podman"
        parent.mkdir(parents=True, exist_ok=True)
        container = cls(pathlib.Path(tempfile.mkdtemp(dir=parent)))
        (container.folder / "containers.conf").write_text(PODMAN_CONFIGURATION.format(folder=container.folder))
        return container

    def podman(self, *args: str) -> str:
        done = subprocess.run(
            [*self.command, *args],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"podman {args[0]}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def remove_at_the_end_of(self, stream: int) -> subprocess.Popen[bytes]:
        """Starts what removes the host once that input ends; subprocess.PIPE: one that this process holds."""
        return subprocess.Popen(
            ["sh", "-c", CLEANER, "cleaner", *self.command],
            env=self.env,
            stdin=stream,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def start(
        self, image: pathlib.Path, volumes: Sequence[str] = (), capabilities: str = "SYS_ADMIN,NET_ADMIN"
    ) -> None:
        self.podman(
            *["run", "--detach", f"--name={NAME}", "--hostname=nettune-test", "--network=none", "--systemd=always"],
            # Of what podman takes away, systemd needs mounts, and the tests the network.
            *[f"--cap-add={capabilities}", "--security-opt=seccomp=unconfined"],
            *["--security-opt=apparmor=unconfined"],
            *["--cgroupns=private", "--ulimit=nofile=1024:1024", "--ulimit=nproc=32768:32768"],
            *[f"--volume={volume}" for volume in volumes],
            *["--rootfs", f"{image}:O", "/sbin/boot"],
        )
        self.wait_until_booted()

    def reboot(self) -> None:
        """As after a loss of power: nobody is asked to stop first. A new boot: new network namespace, empty /run."""
        subprocess.run(
            ["sh", "-c", FORGET, "forget", *self.command], env=self.env, capture_output=True, check=False, timeout=60
        )
        self.podman("start", NAME)
        self.wait_until_booted()

    @property
    def pid(self) -> int:
        return int(self.podman("inspect", "--format", "{{.State.Pid}}", NAME))

    def wait_until_booted(self) -> None:
        inside = ["nsenter", f"--target={self.pid}", "--all", "--", "sh", "-c"]
        # The manager's socket comes first; is-system-running --wait needs it.
        for condition, seconds in (
            ("test -S /run/systemd/private", 20),
            ("test $(systemctl is-system-running) = running", 30),
        ):
            deadline = time.monotonic() + seconds
            while subprocess.run([*inside, condition], capture_output=True, check=False, timeout=60).returncode:
                assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
                time.sleep(0.02)


@contextlib.contextmanager
def new_container(image: pathlib.Path, volumes: Sequence[str] = (), **options: str) -> Iterator[Container]:
    """A booted host, for as long as this process holds it."""
    container = Container.new()
    cleaner = container.remove_at_the_end_of(subprocess.PIPE)
    try:
        container.start(image, volumes, **options)
        yield container
    finally:
        assert cleaner.stdin
        cleaner.stdin.close()
        cleaner.wait(timeout=30)


def up(folder: pathlib.Path, bound_to: int | None) -> None:
    down(folder)
    image = make_image()
    container = Container.new()
    (folder / "container").write_text(str(container.folder))
    if bound_to:
        waiting = subprocess.Popen(
            ["tail", f"--pid={bound_to}", "--follow", "/dev/null"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert waiting.stdout
        container.remove_at_the_end_of(waiting.stdout.fileno())
    key = folder / "key"
    key.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nettune-test", "-f", key], check=True)
    container.start(image)
    container.podman("exec", NAME, "mkdir", "--mode=700", "--parents", "/root/.ssh")
    container.podman("cp", f"{key}.pub", f"{NAME}:/root/.ssh/authorized_keys")
    (folder / "lab.yml").write_text(inventory(container, key))


def inventory(container: Container, key: pathlib.Path) -> str:
    """ssh without a network: each connection runs an sshd in the container, whose login session is a real one."""
    settings = [f"{name}={value}" for name, value in container.settings.items()]
    sshd = shlex.join(["env", *settings, *container.command, "exec", "--interactive", NAME, "/usr/sbin/sshd", "-i"])
    options = {
        "ProxyCommand": sshd,
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "no",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "LogLevel": "ERROR",
    }
    words = ["-F", "/dev/null", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": shlex.join(words),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    # JSON is YAML, too.
    return json.dumps({"all": {"vars": variables, "hosts": {"systemd": {"ansible_host": "systemd"}}}}, indent=1) + "\n"


def find(folder: pathlib.Path) -> Container | None:
    with contextlib.suppress(FileNotFoundError):
        return Container(pathlib.Path((folder / "container").read_text()))
    return None


def down(folder: pathlib.Path) -> None:
    container = find(folder)
    if container:
        # What is bound to a process finds nothing any more to remove when that one ends.
        container.remove_at_the_end_of(subprocess.DEVNULL).wait(timeout=60)
        (folder / "container").unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description="A throw-away host with systemd as PID 1.")
    parser.add_argument("command", choices=["up", "reboot", "down"])
    parser.add_argument("folder", type=pathlib.Path, help="where its inventory, and what else is to be known of it, is")
    parser.add_argument("--bound-to", type=int, metavar="PID", help="up: remove it when that process ends")
    arguments = parser.parse_args()
    folder = arguments.folder
    if arguments.command == "up":
        missing = missing_programs()
        if missing or os.geteuid() != 0:
            print(f"needs root and the Debian packages {', '.join(PROGRAMS)}", file=sys.stderr)
            return 1
        folder.mkdir(parents=True, exist_ok=True)
        up(folder, arguments.bound_to)
        return 0
    container = find(folder)
    if arguments.command == "down":
        down(folder)
    elif container:
        container.reboot()
    else:
        print(f"no host is known in {folder}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
