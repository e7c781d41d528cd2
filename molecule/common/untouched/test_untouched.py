# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing of a host differs from what it was before the scenario."""

from __future__ import annotations

from hosts import state, state_before


def test_untouched(host):
    assert state(host) == state_before(host)
