# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tests are shared out among the processes that run them side by side."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling


class ByFunction(LoadScopeScheduling):  # type: ignore[misc]
    """The cases of a test in one process, where they share what is made for them; a check, which takes minutes, alone.

    In their order, so that the longest start first and nobody is left with a long one at the end.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith("tests/checks/") else nodeid.partition("[")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return ByFunction(config, log)
