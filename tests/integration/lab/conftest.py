# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import sys

import pytest

LAB = pathlib.Path(__file__).resolve().parents[3] / "lab" / "lab.py"


@pytest.fixture(autouse=True)
def _lab_is_possible(lab_is_possible: None) -> None:
    """Every test here needs a lab."""


@pytest.fixture
def command() -> list[str]:
    """The lab's command line, for what is to be called without more ado."""
    return [sys.executable, str(LAB)]
