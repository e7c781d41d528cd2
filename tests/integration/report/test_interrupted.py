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
from datetime import datetime
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
# Nobody comes to undo this one.
SOON_OVER = {**VARIABLES, "tune_soak": 15, "tune_soak_max": 15, "tune_confirm_grace": 5, "tune_controls": 0}


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab("plain", "cut")
    lab.up("--hosts", "2")
    return lab


def leave_in_the_middle(lab: Lab, directory: pathlib.Path, variables: dict[str, Any], number: signal.Signals) -> float:
    """A controller that this signal ends while the first wave soaks. Until when the record says that it is on trial."""
    path = directory / "cut-short.json"
    states = []
    with (directory / "log").open("w+") as log:
        command = controller.command("tune", {**variables, "tune_report_dir": str(directory)}, "-i", str(lab.inventory))
        rollout = subprocess.Popen(
            # What a shell starts in the background, such as these tests, inherits that SIGINT is ignored.
            ["env", "--default-signal=INT", *command],
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
                assert rollout.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < give_up, (directory / "log").read_text()
                time.sleep(0.1)
                if path.exists():
                    # Readable at any moment.
                    record = json.loads(path.read_text())
                    states += [record["state"]] if [record["state"]] != states[-1:] else []
            # To the whole group, as from a terminal.
            os.killpg(rollout.pid, number)
            assert rollout.wait(timeout=10) != 0
        finally:
            if rollout.poll() is None:
                os.killpg(rollout.pid, signal.SIGKILL)
                rollout.wait(timeout=30)
    assert states == ["planned", "running"]
    record = json.loads(path.read_text())
    assert record["state"] == "running"
    (wave,) = record["waves"]
    assert (wave["outcome"], wave["hosts"]["host1"]["outcome"]) == ("on_trial", "on_trial")
    assert wave["hosts"]["host1"]["values"] == {FIN_TIMEOUT: {"before": "60", "after": "30"}}
    assert "data-deadline" in path.with_suffix(".html").read_text()
    return datetime.fromisoformat(record["deadline"].replace("Z", "+00:00")).timestamp()


def test_after_a_kill_another_controller_undoes_it(lab: Lab, tmp_path: pathlib.Path) -> None:
    deadline = leave_in_the_middle(lab, tmp_path, VARIABLES, signal.SIGKILL)
    assert 0 < deadline - time.time() < 600

    # Without the files of the first.
    command = controller.command("rollback", {}, "-i", str(lab.inventory))
    undone = controller.run(command, seconds=120)
    assert undone.returncode == 0, undone.stdout
    assert "Rollout cut-short: on trial on host1\n" in undone.stdout
    assert f"host1: undone: rollout cut-short, {FIN_TIMEOUT}\n" in undone.stdout
    assert lab.shell("host1", "cat /proc/sys/net/ipv4/tcp_fin_timeout").strip() == "60"


def test_after_ctrl_c_the_hosts_come_back_by_themselves(lab: Lab, tmp_path: pathlib.Path) -> None:
    deadline = leave_in_the_middle(lab, tmp_path, SOON_OVER, signal.SIGINT)
    assert "User interrupted execution" in (tmp_path / "log").read_text()
    while lab.shell("host1", "ls /var/lib/nettune/trial.json 2>/dev/null", check=False):
        assert time.time() < deadline + 10
        time.sleep(0.2)
    # It ran on until then: neither the guard nor the controller took the signal for a wish to undo.
    assert time.time() > deadline - 2
    for host in ("host1", "host2"):
        found = lab.shell(
            host, "cat /proc/sys/net/ipv4/tcp_fin_timeout; ls /etc/sysctl.d /run/sysctl.d 2>/dev/null; true"
        )
        assert found.startswith("60\n")
        assert "nettune" not in found
