# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kernel judges the catalogue of parameters, through tools/referee."""

from __future__ import annotations

import json
from typing import Any

import referee_tool

from .conftest import CHECKOUT

referee = referee_tool.referee  # a fixture


def test_the_kernel_agrees(machine: Any, referee: Any, tell: Any) -> None:
    # With the keys of what is a module here.
    machine.run("modprobe -a ip_vs nf_conntrack ipip || true")
    recorded = json.loads(machine.run(f"python3 {CHECKOUT}/tools/referee --record", timeout=600).stdout)
    verdict = referee.judge(recorded)
    tell(f"{machine.started}\n{verdict}")
    assert not verdict.wrong, str(verdict)
    assert not verdict.unused, str(verdict)
    assert verdict.asked["presence"] > 500
    assert verdict.asked["default"] > 300
    assert verdict.asked["answer"] > 10000
