# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of all tests."""

from __future__ import annotations

import itertools

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes minutes comes first in each process, which at the start is given an equal part of all in this order.

    Otherwise one process would begin with all of it, one behind the other, and the end would wait for that.
    """
    processes = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    long = [item for item in items if item.get_closest_marker("minutes")]
    short = iter([item for item in items if item not in long])
    ordered: list[pytest.Item] = []
    for process in range(processes):
        first = long[process::processes]
        size = (len(items) - len(ordered)) // (processes - process)
        ordered += [*first, *itertools.islice(short, max(0, size - len(first)))]
    items[:] = [*ordered, *short]
