# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a controller that dies in the middle of a wave leaves behind, and what another one makes of it."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import controller
import pytest
from labs import CHECKOUT, Lab

FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
VARIABLES = {
    "tune_sysctl": {FIN_TIMEOUT: 30},
    "tune_rollout_id": "cut-short",
    "tune_waves": [1, "100%"],
    "tune_baseline": 2,
    "tune_soak": 120,
    "tune_look_every": 1,
}


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab("plain", "cut")
    lab.up("--hosts", "2")
    return lab


def test_a_killed_controller_leaves_a_record_and_needs_no_one_to_undo_it(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "cut-short.json"
    inventory = ("-i", str(lab.inventory))
    states = []
    with (tmp_path / "log").open("w+") as log:
        rollout = subprocess.Popen(
            controller.command("tune", {**VARIABLES, "tune_report_dir": str(tmp_path)}, *inventory),
            cwd=CHECKOUT,
            env=controller.ENVIRONMENT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            give_up = time.monotonic() + 120
            record: dict[str, Any] = {}
            while not (record.get("waves") and len(record["waves"][0]["observations"]["looks"]) >= 2):
                assert rollout.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < give_up, (tmp_path / "log").read_text()
                time.sleep(0.1)
                if path.exists():
                    # Readable at any moment.
                    record = json.loads(path.read_text())
                    states += [record["state"]] if [record["state"]] != states[-1:] else []
        finally:
            os.killpg(rollout.pid, signal.SIGKILL)
            rollout.wait(timeout=30)
    assert states == ["planned", "running"]
    record = json.loads(path.read_text())
    assert record["state"] == "running"
    deadline = datetime.fromisoformat(record["deadline"].replace("Z", "+00:00"))
    assert 0 < (deadline - datetime.now(timezone.utc)).total_seconds() < 600
    (wave,) = record["waves"]
    assert (wave["outcome"], wave["hosts"]["host1"]["outcome"]) == ("on_trial", "on_trial")
    assert wave["hosts"]["host1"]["values"] == {FIN_TIMEOUT: {"before": "60", "after": "30"}}
    assert "data-deadline" in path.with_suffix(".html").read_text()

    # Another controller, without these files.
    undone = controller.run(controller.command("rollback", {}, *inventory), seconds=120)
    assert undone.returncode == 0, undone.stdout
    assert "Rollout cut-short: on trial on host1\n" in undone.stdout
    assert f"host1: undone: rollout cut-short, {FIN_TIMEOUT}\n" in undone.stdout
    assert lab.shell("host1", "cat /proc/sys/net/ipv4/tcp_fin_timeout").strip() == "60"
