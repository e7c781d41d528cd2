# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/referee, a program without the ending of a module, as a module."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import pathlib
import sys
from typing import Any

import pytest

PATH = pathlib.Path(__file__).resolve().parents[2] / "tools" / "referee"


@pytest.fixture(scope="module")
def referee() -> Any:
    loader = importlib.machinery.SourceFileLoader("referee", str(PATH))
    spec = importlib.util.spec_from_loader("referee", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module
