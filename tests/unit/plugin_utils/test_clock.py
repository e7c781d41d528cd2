# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments in text."""

from __future__ import annotations

import time

from ansible_collections.nettune.kernel.plugins.plugin_utils import clock
from hypothesis import given
from hypothesis import strategies as st

MOMENTS = st.integers(0, 253402300799)  # the last second of the year 9999


def test_a_moment_in_a_record_and_for_people() -> None:
    assert clock.stamp(1795251900.9) == "2026-11-21T09:05:00Z"
    assert clock.in_words("2026-11-21T09:05:00Z") == "2026-11-21 09:05:00 UTC"


@given(MOMENTS, MOMENTS)
def test_stamps_are_in_the_order_of_time(one: int, other: int) -> None:
    assert (clock.stamp(one) < clock.stamp(other)) == (one < other)


def test_without_a_moment_it_is_now() -> None:
    assert clock.stamp(time.time() - 1) < clock.stamp() < clock.stamp(time.time() + 5)
