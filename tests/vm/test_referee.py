# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kernel judges the catalogue of parameters, through tools/referee."""

from __future__ import annotations

import json
from typing import Any

import referee_tool
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import catalogue

from .conftest import CHECKOUT

referee = referee_tool.referee  # a fixture


def test_the_kernel_agrees(machine: Any, referee: Any, tell: Any) -> None:
    # With the keys of whatever is a module here, and a tunnel's.
    needs = {catalogue().find(name).needs for name in catalogue()}
    modules = ["ipip", *sorted(name for name in needs if name and not name.startswith("CONFIG_"))]
    machine.run(["modprobe", "--all", *modules], check=False)
    there = machine.output(f"cd /sys/module && ls -d {' '.join(modules)} 2>/dev/null").split()
    recorded = json.loads(machine.run(f"python3 {CHECKOUT}/tools/referee --record", timeout=600).stdout)
    verdict = referee.judge(recorded)
    absent = [name for name in modules if name not in there]
    tell(f"{machine.started}\nwith {', '.join(there)}; without {', '.join(absent) or 'none'}\n{verdict}")
    assert not verdict.wrong, str(verdict)
    assert not verdict.unused, str(verdict)
    assert verdict.asked["presence"] > 500
    assert verdict.asked["default"] > 300
    assert verdict.asked["answer"] > 10000
