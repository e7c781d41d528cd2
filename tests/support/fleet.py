# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab hosts for rollouts, and what became of each."""

from __future__ import annotations

import pathlib
import subprocess
import time
from typing import Any

import controller
import yaml
from labs import Lab

FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
# One look at the end of a short soak, which silence does not fail; no control prolongs the deadline.
QUICK = {
    "tune_sysctl": {FIN_TIMEOUT: 30},
    "tune_soak": 1,
    "tune_soak_max": 1,
    "tune_look_every": 1,
    "tune_baseline": 0,
    "tune_confirm_grace": 12,
    "tune_controls": 0,
    "tune_on_inconclusive": "promote",
}
# A trial that ends goes from here last, so it is looked for first: what follows is then how it has ended.
STATE = """
    find /var/lib/nettune -type f 2>/dev/null
    find /etc/sysctl.d /run/sysctl.d -name '*nettune*'
    cat /proc/sys/net/ipv4/tcp_fin_timeout
"""
CONFIRMED = "/etc/sysctl.d/90-nettune.conf"
PENDING = "/var/lib/nettune/trial.json"


class Fleet:
    """Lab hosts host1, host2, ... of one test."""

    def __init__(self, lab: Lab, number: int, directory: pathlib.Path) -> None:
        self.lab = lab
        self.hosts = [f"host{n}" for n in range(1, number + 1)]
        self.directory = directory
        self.reports = directory / "reports"
        lab.up("--hosts", str(number))

    def with_variables(self, variables: dict[str, dict[str, Any]]) -> tuple[str, ...]:
        """Options for an inventory in which hosts have these variables too."""
        path = self.directory / "variables.yml"
        path.write_text(yaml.safe_dump({"servers": {"hosts": variables}}))
        return ("-i", str(self.lab.inventory), "-i", str(path))

    def command(self, playbook: str | pathlib.Path, variables: dict[str, Any], *options: str) -> list[str]:
        settings = {"tune_report_dir": str(self.reports), **QUICK, **variables}
        settings = {name: value for name, value in settings.items() if value is not None}
        if "-i" not in options:
            options = ("-i", str(self.lab.inventory), *options)
        return controller.command(playbook, settings, *options)

    def run(
        self, playbook: str | pathlib.Path, variables: dict[str, Any], *options: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return controller.run(self.command(playbook, variables, *options), **environment)

    def play(self, *plays: dict[str, Any]) -> pathlib.Path:
        """A playbook of somebody's own."""
        path = self.directory / "own.yml"
        path.write_text(yaml.safe_dump(list(plays), sort_keys=False))
        return path

    def state(self, host: str) -> list[str]:
        return self.lab.shell(host, STATE).split()

    def fates(self, old: str = "60", new: str = "30") -> dict[str, str]:
        """What became of each host, once none is on trial any more: new, old (again), or untouched."""
        give_up = time.monotonic() + 60
        fates = {}
        for host in self.hosts:
            while PENDING in (state := self.state(host)):
                assert time.monotonic() < give_up, f"{host} is on trial still"
                time.sleep(0.2)
            *files, value = state
            if value == new and CONFIRMED in files:
                fates[host] = "new"
            elif value == old and not any(path.startswith(("/etc", "/run")) for path in files):
                fates[host] = "old" if files else "untouched"
            else:
                fates[host] = f"neither: {state}"
        return fates
