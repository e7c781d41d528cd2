# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of namespaces with what tests of the trial ask of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.tcp_tw_reuse": "1"}
QUICK = {"baseline_seconds": 0}


class Host:
    """Calls the modules, and sees the host as a person would: /proc/sys, files, processes."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace
        # A folder that the machine has made there must not decide what a test sees.
        namespace.run(["sh", "-c", "rm -rf /etc/sysctl.d && mkdir /etc/sysctl.d"])

    def trial(self, state: str, **arguments: Any) -> dict[str, Any]:
        if state == "started":
            arguments = {"sysctl": SET, "rollout_id": "r1", "guard": QUICK, **arguments}
        answer: dict[str, Any] = self.namespace.module("sysctl_trial", state=state, **arguments)
        return answer

    def info(self, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.namespace.module("sysctl_trial_info", **arguments)
        return answer

    def value(self, key: str) -> str:
        return " ".join(self.namespace.read("/proc/sys/" + key.replace(".", "/")).split())

    def write(self, key: str, value: str) -> None:
        self.namespace.write("/proc/sys/" + key.replace(".", "/"), value)

    def whole(self) -> str:
        """Every readable net sysctl, and every file under the folders of sysctl.d, as text to compare."""
        script = """
            grep -rs . /proc/sys/net | sort
            ls -lnR --time-style=+ /etc/sysctl.d
            grep -r . /etc/sysctl.d
            ls -d /run/sysctl.d
        """
        return str(self.namespace.run(["sh", "-c", script], check=False).stdout)

    def left_behind(self) -> list[str]:
        """Guard processes and files outside of the state folder's memory."""
        processes = self.namespace.run(["ps", "-eo", "args"]).stdout
        files = self.namespace.run(
            ["find", "/run/sysctl.d", "/var/lib/nettune", "/etc/sysctl.d", "-type", "f"], check=False
        ).stdout
        words = ("guard.pyz", "/guard.json", "/trial.json", "/run/sysctl.d/", "/etc/sysctl.d/.")
        return [line for line in (processes + files).splitlines() if any(word in line for word in words)]

    def wait_until_over(self, seconds: float = 10) -> dict[str, Any]:
        """Until the guard has ended the trial; returns the outcome. Only looks at files: the guard alone did it."""
        deadline = time.monotonic() + seconds
        while self.namespace.run(["test", "-e", "/var/lib/nettune/trial.json"], check=False).returncode == 0:
            assert time.monotonic() < deadline, f"the trial is still pending after {seconds} s"
            time.sleep(0.05)
        while self.left_behind():
            assert time.monotonic() < deadline, self.left_behind()
            time.sleep(0.05)
        outcome: dict[str, Any] = self.info()["history"][0]
        return outcome


@pytest.fixture
def host(netns: Any) -> Host:
    return Host(netns)
