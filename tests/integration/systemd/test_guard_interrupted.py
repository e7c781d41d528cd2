# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL of the guard after every step of what it does: systemd starts another one, which finishes it."""

from __future__ import annotations

from typing import Any

import dying_guard
import pytest


def play(host: Any, fatal: int) -> int:
    """One trial whose guard dies; returns how many points it had, 0 where it died."""
    host.run(["rm", "-f", "/run/died", "/run/points"])
    host.run(["python3", "-c", dying_guard.SCRIPT, "evidence", str(fatal), "after", "guard"])
    host.wait_until_clean(seconds=20)
    outcome = host.info()["history"][0]
    assert (outcome["by_evidence"], outcome["reason"]) == (True, dying_guard.REASON), f"killed after point {fatal}"
    # So that the next one is not refused.
    host.run(["rm", "-r", "/var/lib/nettune"])
    died = host.run(["test", "-e", "/run/died"], check=False).returncode == 0
    return 0 if died else int(host.output("cat", "/run/points"))


@pytest.mark.minutes
def test_killed_after_every_point(host: Any) -> None:
    host.run(["ip", "link", "set", "lo", "up"])
    old = host.whole()
    points = play(host, 0)
    assert points >= 10
    for fatal in range(1, points + 1):
        assert play(host, fatal) == 0, f"it should have died after point {fatal}"
        assert host.whole() == old, f"not old after dying after point {fatal}"
