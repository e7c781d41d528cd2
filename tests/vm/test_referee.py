# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kernel judges the catalogue of parameters, through tools/referee."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
from typing import Any

import pytest

from .conftest import CHECKOUT, ROOT


@pytest.fixture(scope="module")
def referee() -> Any:
    loader = importlib.machinery.SourceFileLoader("referee", str(ROOT / "tools" / "referee"))
    spec = importlib.util.spec_from_loader("referee", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module


def test_the_kernel_agrees(machine: Any, referee: Any, capfd: pytest.CaptureFixture[str]) -> None:
    # With the keys of what is a module here.
    machine.run("modprobe -a ip_vs nf_conntrack ipip || true")
    recorded = json.loads(machine.run(f"python3 {CHECKOUT}/tools/referee --record", timeout=600).stdout)
    verdict = referee.judge(recorded)
    # The rates are worth seeing, also where all is well.
    with capfd.disabled():
        print(f"\n{machine.release}\n{verdict}", file=sys.stderr)
    assert not verdict.wrong, str(verdict)
    assert not verdict.unused, str(verdict)
    assert verdict.asked["presence"] > 500
    assert verdict.asked["default"] > 300
    assert verdict.asked["answer"] > 10000
