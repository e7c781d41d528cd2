# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fresh hosts for each test."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest
from fleet import Fleet
from labs import Lab


@pytest.fixture
def make_fleet(
    make_lab: Callable[..., Lab], tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[int], Fleet]]:
    made: list[Fleet] = []

    def make(number: int) -> Fleet:
        made.append(Fleet(make_lab("plain", f"f{abs(hash(request.node.name)) % 10**6}"), number, tmp_path))
        return made[-1]

    yield make
    for fleet in made:
        fleet.lab.down()
