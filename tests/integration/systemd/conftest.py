# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away host with systemd as PID 1, that can be rebooted.

A podman container without network over a folder that debootstrap made once (.cache/images, named by the hash of its
recipe). /proc/sys is read-only in it, except for the sysctls of its own network namespace. All that podman keeps is in
a folder of its own under .cache/podman.

What cleans up is a shell that waits for the end of a pipe that only the test process holds: however that one ends, the
container and its folder are removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ansible
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
RECIPE = ROOT / "tests" / "images" / "systemd"
MODULES = "ansible_collections.nettune.kernel.plugins.modules"
PYTHONPATH = "/opt/controller"
PATH = "/etc/sysctl.d/90-nettune.conf"
SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.ip_forward": "1"}
UNIT = "nettune-guard.service"

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


class Host:
    """A running container; sees the host as a person would: units, /proc/sys, files, processes."""

    def __init__(self, podman: Sequence[str], env: dict[str, str]) -> None:
        self._podman = podman
        self._env = env
        self.pid = 0

    def podman(self, *args: str) -> str:
        done = subprocess.run(
            [*self._podman, *args],
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"podman {args[0]}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def reboot(self) -> None:
        """As after a loss of power: nobody is asked to stop first. A new boot: new network namespace, empty /run."""
        subprocess.run(
            ["sh", "-c", FORGET, "forget", *self._podman], env=self._env, capture_output=True, check=False, timeout=60
        )
        self.podman("start", "host")
        self.wait_until_booted()

    def wait_until_booted(self) -> None:
        self.pid = int(self.podman("inspect", "--format", "{{.State.Pid}}", "host"))
        # The manager's socket comes first; is-system-running --wait needs it.
        self.wait_for(["test", "-S", "/run/systemd/private"], seconds=20)
        self.wait_for(["sh", "-c", "test $(systemctl is-system-running) = running"], seconds=30)

    def run(self, args: Sequence[str], check: bool = True, input: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self._command(args), input=input, capture_output=True, text=True, check=False, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"{list(args)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def popen(self, args: Sequence[str]) -> subprocess.Popen[str]:
        """Starts something that goes on; it ends with the host at the latest."""
        return subprocess.Popen(self._command(args), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def log_in(self, script: str) -> subprocess.Popen[str]:
        """A login session that lasts as long as the script. It must begin in the container's cgroup."""
        command = [*self._podman, "exec", "host", "env", *_ENVIRONMENT, "runuser", "--login", "root"]
        command += ["--whitelist-environment=PYTHONPATH", "--command", script]
        return subprocess.Popen(command, env=self._env, stdin=subprocess.DEVNULL, text=True)

    def _command(self, args: Sequence[str]) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--all", "--", "env", "-i", *_ENVIRONMENT, *args]

    def output(self, *args: str) -> str:
        return self.run(args, check=False).stdout.strip()

    def wait_for(self, args: Sequence[str], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while self.run(args, check=False).returncode:
            assert time.monotonic() < deadline, f"{list(args)} did not succeed within {seconds} s"
            time.sleep(0.02)

    def module(self, name: str, **args: Any) -> dict[str, Any]:
        done = self.run(
            ["python3", "-m", f"{MODULES}.{name}"], check=False, input=json.dumps({"ANSIBLE_MODULE_ARGS": args})
        )
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}") from None
        return answer

    def trial(self, state: str, **args: Any) -> dict[str, Any]:
        if state == "started":
            args = {"sysctl": SET, "rollout_id": "r1", "guard": {"baseline_seconds": 0}, **args}
        answer = self.module("sysctl_trial", state=state, **args)
        assert not answer.get("failed"), answer
        return answer

    def info(self, **args: Any) -> dict[str, Any]:
        return self.module("sysctl_trial_info", **args)

    def value(self, key: str) -> str:
        return self.output("cat", "/proc/sys/" + key.replace(".", "/"))

    def whole(self) -> str:
        """Every readable net sysctl, and every file under the folders of sysctl.d, as text to compare."""
        files = "ls -ln --time-style=+ /etc/sysctl.d; grep -r . /etc/sysctl.d; ls -d /run/sysctl.d"
        return self.output("sh", "-c", "grep -rs . /proc/sys/net | sort; " + files)

    def is_new(self) -> bool:
        return self.output("cat", PATH) != "" and all(self.value(key) == value for key, value in SET.items())

    def guard_pid(self) -> int:
        """The process of the service; 0 where it has none."""
        return int(self.output("systemctl", "show", "--property=MainPID", "--value", UNIT))

    def wait_for_another_guard(self, former: int) -> None:
        """Until a guard watches that is not the former one."""
        deadline = time.monotonic() + 10
        while True:
            pid = self.guard_pid()
            report = self.output("cat", "/var/lib/nettune/guard.json")
            if pid not in (0, former) and f'"pid": {pid},' in report:
                return
            assert time.monotonic() < deadline, self.output("systemctl", "status", "--no-pager", UNIT)
            time.sleep(0.05)

    def left_behind(self) -> list[str]:
        """Units, processes and files that a trial must not leave, apart from the memory in the state folder."""
        found = [
            *self.output(
                "systemctl", "list-units", "--all", "--full", "--plain", "--no-legend", "nettune*"
            ).splitlines(),
            *self.output("systemctl", "list-unit-files", "--full", "--no-legend", "nettune*").splitlines(),
            *self.output("pgrep", "--list-full", "--full", "guard[.]pyz").splitlines(),
            *self.output("find", "/run", "-path", "nettune*", "-o", "-path", "/run/sysctl.d*").splitlines(),
            *self.output(
                "find", "/var/lib/nettune", "-name", "trial.json", "-o", "-name", "guard.json", "-o", "-name", "*.pyz*"
            ).splitlines(),
            *self.output("find", "/etc/sysctl.d", "-name", ".*").splitlines(),
        ]
        return [line for line in found if line]

    def wait_until_clean(self, seconds: float) -> None:
        """Until nothing is left of the trial. Runs no module: nobody but the guard can have ended it."""
        deadline = time.monotonic() + seconds
        while left := self.left_behind():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


_ENVIRONMENT = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    f"PYTHONPATH={PYTHONPATH}",
    "PYTHONDONTWRITEBYTECODE=1",
]


@pytest.fixture(scope="session")
def image() -> pathlib.Path:
    """The root folder, made once for each state of its recipe."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it runs containers with systemd")
    missing = [name for name in ("podman", "runc", "debootstrap") if not shutil.which(name)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} to run a host with systemd: install the Debian package of that name")
    folder = ROOT / ".cache" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    name = "systemd-" + hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:12]
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / name).exists():
            unfinished = folder / "unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            with open(folder / "log", "w") as log:
                done = subprocess.run(
                    [RECIPE, unfinished], stdin=subprocess.DEVNULL, stdout=log, check=False, stderr=subprocess.STDOUT
                )
            if done.returncode:
                pytest.fail(f"the image could not be made: see {folder / 'log'}", pytrace=False)
            unfinished.rename(folder / name)
    return folder / name


@contextlib.contextmanager
def new_host(image: pathlib.Path) -> Iterator[Host]:
    parent = ROOT / ".cache" / "podman"
    parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=parent)
    configuration = pathlib.Path(folder, "containers.conf")
    configuration.write_text(PODMAN_CONFIGURATION.format(folder=folder))
    podman = ["podman", f"--root={folder}/root", f"--runroot={folder}/run", f"--runtime-flag=root={folder}/runc"]
    podman += ["--storage-driver=overlay", "--storage-opt=overlay.skip_mount_home=true"]
    env = {**os.environ, "CONTAINERS_CONF": str(configuration), "FOLDER": folder}
    cleaner = subprocess.Popen(
        ["sh", "-c", CLEANER, "cleaner", *podman],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    host = Host(podman, env)
    try:
        host.podman(
            *["run", "--detach", "--name=host", "--hostname=nettune-test", "--network=none", "--systemd=always"],
            # Of what podman takes away, systemd needs mounts, and the tests the network.
            *[
                "--cap-add=SYS_ADMIN,NET_ADMIN",
                "--security-opt=seccomp=unconfined",
                "--security-opt=apparmor=unconfined",
            ],
            *["--cgroupns=private", "--ulimit=nofile=1024:1024", "--ulimit=nproc=32768:32768"],
            f"--volume={pathlib.Path(ansible.__file__).parent}:{PYTHONPATH}/ansible:ro",
            f"--volume={ROOT}/plugins:{PYTHONPATH}/ansible_collections/nettune/kernel/plugins:ro",
            *["--rootfs", f"{image}:O", "/sbin/boot"],
        )
        host.wait_until_booted()
        yield host
    finally:
        assert cleaner.stdin
        cleaner.stdin.close()
        cleaner.wait(timeout=30)


@pytest.fixture
def host(image: pathlib.Path) -> Iterator[Host]:
    with new_host(image) as host:
        yield host
