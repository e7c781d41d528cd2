# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL of the guard at every step of what it does: whoever comes next finishes it, for the same reason."""

from __future__ import annotations

import concurrent.futures
import time
from typing import Any

import dying_guard
import pytest
from trials import PATH, SET_OWN_VALUES

from .conftest import Host

AT_ONCE = 4


def play(new_netns: Any, trigger: str, fatal: int, when: str, whom: str) -> int:
    """One trial whose guard dies; returns how many points it had, 0 where it died."""
    with new_netns() as namespace:
        host = Host(namespace)
        namespace.run(["sh", "-c", SET_OWN_VALUES])
        old = host.whole()
        words = ["python3", "-c", dying_guard.SCRIPT, trigger, str(fatal), when, whom]
        namespace.run(words, check=False, env=namespace.environment)
        where = f"{trigger}: {whom} killed {when} point {fatal}"
        deadline = time.monotonic() + 20
        while namespace.run(["pgrep", "-f", "guard.pyz"], check=False).returncode == 0:
            assert time.monotonic() < deadline, f"{where}: the guard does not end"
            time.sleep(0.05)
        died = namespace.run(["test", "-e", "/run/died"], check=False).returncode == 0
        # With its parent dead, too, the next look finishes what the guard began.
        outcome = host.info()["history"][0]
        assert host.left_behind() == [], where
        if trigger == "confirm" and outcome["state"] == "confirmed":
            assert outcome["reason"] == "confirmed", where
            assert all(host.value(key) == value for key, value in dying_guard.SET.items()), where
            assert namespace.read(PATH) != "", where
            host.trial("rolled_back")
        assert host.whole() == old, where
        # Killed with its parent before it acted, there was nobody to see it.
        if trigger == "evidence" and (whom == "guard" or outcome["by_evidence"]):
            assert (outcome["by_evidence"], outcome["reason"]) == (True, dying_guard.REASON), where
            assert outcome["figures"], where
            assert dying_guard.REASON in host.trial("started", sysctl=dying_guard.SET, rollout_id="r2")["msg"], where
        assert host.trial("started", rollout_id="r2", force=True)["changed"], where
        return 0 if died else int(namespace.read("/run/points"))


@pytest.mark.parametrize(
    ("trigger", "whom"), [("evidence", "guard"), ("evidence", "both"), ("confirm", "guard"), ("undo", "guard")]
)
def test_killed_at_every_point(new_netns: Any, trigger: str, whom: str) -> None:
    points = play(new_netns, trigger, 0, "before", whom)
    assert points >= 10
    moments = [*((fatal, "before") for fatal in range(1, points + 1)), (points, "after")]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda moment: play(new_netns, trigger, *moment, whom), moments))
    assert done == [0] * len(moments), "it should have died at each of them"
