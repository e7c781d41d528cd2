# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of the collection, run over virtual machines."""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any

import controller
import yaml

from .conftest import Machine

# One look at the end of a short soak. Where the processor is emulated everything takes its time, and the role waits.
QUICK = {
    "tune_baseline": 0,
    "tune_soak": 1,
    "tune_soak_max": 1,
    "tune_look_every": 1,
    "tune_confirm_grace": 240,
    "tune__patience": 120,
    "tune_controls": 0,
}


class Rollouts:
    """All runs over the same machines; their reports are in `directory`."""

    def __init__(self, machines: list[Machine], directory: pathlib.Path, variables: dict[str, Any]) -> None:
        inventories = [machine.inventory for machine in machines]
        self._directory = directory
        # What the hosts have in the inventory, where anything overrides it.
        own = directory / "variables.yml"
        own.write_text(yaml.safe_dump({"servers": variables}))
        self._inventories = [word for path in (*inventories, own) for word in ("-i", str(path))]

    def run(self, playbook: str, variables: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        settings = {"tune_report_dir": str(self._directory), **QUICK, **variables}
        return controller.run(
            controller.command(playbook, settings, *self._inventories),
            seconds=600,
            # A connection that Ansible kept would not survive a reboot of the machine.
            ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=5",
            ANSIBLE_TIMEOUT="60",
        )

    def record(self, rollout_id: str) -> dict[str, Any]:
        """What the rollout has left to read, as data."""
        assert (self._directory / f"{rollout_id}.html").stat().st_size
        found: dict[str, Any] = json.loads((self._directory / f"{rollout_id}.json").read_text())
        return found
