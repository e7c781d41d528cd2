# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benches still run, and what they measure of is still what they promise. Their full runs are for people."""

from __future__ import annotations

import pathlib
import re
import sys
from typing import Any

import pytest
from labs import lab_is_possible

__all__ = ["lab_is_possible"]  # a fixture


def test_the_evidence_finds_rises_and_gives_no_false_alarms(run: Any, root: pathlib.Path) -> None:
    # It fails by itself where there are too many alarms without a rise.
    printed = run(sys.executable, root / "bench" / "gate.py", "--quick").stdout
    for who in ("poisson, 5", "bursty, 5", "diurnal, 5"):
        ((found, look),) = re.findall(rf"^{who} +evidence +\S+ +(\S+) @(\d+)", printed, re.MULTILINE)
        assert (float(found), int(look) <= 6) == (1, True), f"{who}: a tenfold rise is found in {found} by look {look}"


@pytest.mark.usefixtures("lab_is_possible")
def test_a_guard_is_small_after_hours_too(run: Any, root: pathlib.Path) -> None:
    options = ["--seconds", "5", "--looks", "20000", "--bursts", "1"]
    printed = run(sys.executable, root / "bench" / "guard.py", *options).stdout
    ((share, both),) = re.findall(r"([\d.]+) % of a core; ([\d.]+) MiB in 2 processes", printed)
    ((early, late),) = re.findall(r"([\d.]+) MiB after a tenth, ([\d.]+) MiB at the end", printed)
    # Twice what is promised, for a slow or busy core.
    assert float(share) < 0.4
    assert float(both) < 20
    assert float(late) < float(early) + 0.5
    assert "old values" in printed


def test_facts_of_a_host(run: Any, root: pathlib.Path) -> None:
    assert "ms" in run(sys.executable, root / "bench" / "net_facts.py", "--rounds", "2", "--sockets", "0").stdout


def test_validation_of_many_hosts(run: Any, root: pathlib.Path) -> None:
    done = run(sys.executable, root / "bench" / "validate.py", "200")
    assert "ms" in done.stdout


def test_the_playbook_on_many_stored_hosts(run: Any, root: pathlib.Path) -> None:
    done = run(sys.executable, root / "bench" / "validate_playbook.py", "5")
    assert "5 hosts: " in done.stdout


@pytest.mark.usefixtures("lab_is_possible")
def test_noise_without_a_cause_is_promoted(run: Any, root: pathlib.Path) -> None:
    done = run(sys.executable, root / "bench" / "noise.py", "--runs", "2", "--quick")
    assert "promoted in 2 of 2 runs" in done.stdout
