# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host with systemd of tests/support/systemd_host.py, and what these tests ask of it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ansible
import pytest
import systemd_host
from trials import PATH

MODULES = "ansible_collections.nettune.kernel.plugins.modules"
PYTHONPATH = "/opt/controller"
SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.ip_forward": "1"}
UNIT = "nettune-guard.service"


class Host:
    """A running container; sees the host as a person would: units, /proc/sys, files, processes."""

    def __init__(self, container: systemd_host.Container) -> None:
        self._container = container
        self.pid = container.pid

    def reboot(self) -> None:
        self._container.reboot()
        self.pid = self._container.pid

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
        command = [*self._container.command, "exec", systemd_host.NAME, "env", *_ENVIRONMENT]
        command += ["runuser", "--login", "root", "--whitelist-environment=PYTHONPATH", "--command", script]
        return subprocess.Popen(command, env=self._container.env, stdin=subprocess.DEVNULL, text=True)

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

    def module_inside(self, name: str, **args: Any) -> dict[str, Any]:
        """The same with no more than the container's own capabilities."""
        if args["state"] == "started":
            args = {"rollout_id": "r1", "guard": {"baseline_seconds": 0}, **args}
        command = [*self._container.command, "exec", "--interactive", systemd_host.NAME, "env", *_ENVIRONMENT]
        done = subprocess.run(
            [*command, "python3", "-m", f"{MODULES}.{name}"],
            env=self._container.env,
            input=json.dumps({"ANSIBLE_MODULE_ARGS": args}),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        answer: dict[str, Any] = json.loads(done.stdout or done.stderr)
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
            *self.output("find", "/run", "-name", "*nettune*", "-o", "-path", "/run/sysctl.d*").splitlines(),
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
    missing = systemd_host.missing_programs()
    if missing:
        pytest.skip(f"needs {', '.join(missing)} to run a host with systemd: install the Debian package of that name")
    try:
        return systemd_host.make_image()
    except systemd_host.ImageError as problem:
        pytest.fail(str(problem), pytrace=False)


@contextlib.contextmanager
def new_host(image: pathlib.Path, **options: str) -> Iterator[Host]:
    controller = [
        f"{pathlib.Path(ansible.__file__).parent}:{PYTHONPATH}/ansible:ro",
        f"{systemd_host.ROOT}/plugins:{PYTHONPATH}/ansible_collections/nettune/kernel/plugins:ro",
    ]
    with systemd_host.new_container(image, controller, **options) as container:
        yield Host(container)


@pytest.fixture
def host(image: pathlib.Path) -> Iterator[Host]:
    with new_host(image) as host:
        yield host
