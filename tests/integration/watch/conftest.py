# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts and single tasks over a lab."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import controller
import pytest
from labs import CHECKOUT, Lab

# Everything that a rollout may change on a host.
STATE = (CHECKOUT / "molecule" / "common" / "state.sh").read_text(encoding="utf-8")


@pytest.fixture
def task() -> Callable[..., dict[str, Any]]:
    """What a module returns on a host."""

    def task(lab: Lab, host: str, module: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        return controller.answer(controller.module(lab.inventory, host, module, arguments))

    return task


@pytest.fixture
def rollout_command(tmp_path: pathlib.Path) -> Callable[..., list[str]]:
    def rollout_command(lab: Lab, variables: dict[str, Any]) -> list[str]:
        settings = {"tune_report_dir": str(tmp_path / "reports"), **variables}
        return controller.command("tune", settings, "-i", str(lab.inventory))

    return rollout_command


@pytest.fixture
def rollout(rollout_command: Callable[..., list[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def rollout(lab: Lab, variables: dict[str, Any], **more: str) -> subprocess.CompletedProcess[str]:
        return controller.run(rollout_command(lab, variables), seconds=300, **more)

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
