# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts and single tasks over a lab."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from labs import CHECKOUT, Lab

BIN = pathlib.Path(sys.executable).parent
# Everything that a rollout may change on a host.
STATE = (CHECKOUT / "molecule" / "common" / "state.sh").read_text(encoding="utf-8")


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_STDOUT_CALLBACK": "nettune.kernel.rollout"}


@pytest.fixture
def task(environment: dict[str, str]) -> Callable[..., dict[str, Any]]:
    """What a module returns on a host."""

    def task(lab: Lab, host: str, module: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        command = [BIN / "ansible", host, "-i", lab.directory / "inventory.yml"]
        command += ["-m", f"nettune.kernel.{module}", *(["-a", json.dumps(arguments)] if arguments else [])]
        settings = {**environment, "ANSIBLE_STDOUT_CALLBACK": "minimal"}
        done = subprocess.run(
            command, cwd=CHECKOUT, env=settings, capture_output=True, text=True, timeout=60, check=False
        )
        assert "=>" in done.stdout, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
        return found

    return task


@pytest.fixture
def rollout_command(tmp_path: pathlib.Path) -> Callable[..., list[str]]:
    def rollout_command(lab: Lab, variables: dict[str, Any]) -> list[str]:
        settings = {"tune_report_dir": str(tmp_path / "reports"), **variables}
        playbook, inventory = CHECKOUT / "playbooks" / "tune.yml", lab.directory / "inventory.yml"
        return [str(BIN / "ansible-playbook"), str(playbook), "-i", str(inventory), "-e", json.dumps(settings)]

    return rollout_command


@pytest.fixture
def rollout(
    rollout_command: Callable[..., list[str]], environment: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    def rollout(lab: Lab, variables: dict[str, Any], **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            rollout_command(lab, variables),
            cwd=CHECKOUT,
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        # Seen where the test fails.
        print(done.stdout)
        return done

    return rollout


@pytest.fixture
def record(tmp_path: pathlib.Path) -> Callable[[], dict[str, Any]]:
    """The JSON of the one rollout."""

    def record() -> dict[str, Any]:
        (path,) = (path for path in (tmp_path / "reports").glob("*.json") if "plan" not in path.name)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    return record


@pytest.fixture
def states() -> Callable[[Lab, list[str]], dict[str, str]]:
    """Everything that a rollout may change, of each host: equal text is equality byte for byte."""

    def states(lab: Lab, hosts: list[str]) -> dict[str, str]:
        return {host: lab.shell(host, STATE) for host in hosts}

    return states
