# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set that was rolled back by evidence is refused on its host, whatever happens there afterwards."""

from __future__ import annotations

import json
from typing import Any

STATE = "/var/lib/nettune"
REASON = "30 rejects in 10 s"
BLAMED = {"reason": REASON, "evidence": True}

# Ends as many trials as it is told, one after the other.
OUTCOMES = """
import sys
from ansible_collections.nettune.kernel.plugins.module_utils import _trial

trials = _trial.Trials()
with trials.locked():
    for number in range(int(sys.argv[1])):
        name = "%s-%d" % (sys.argv[3], number)
        record = {"id": name, "rollout_id": name, "set_hash": name, "set": {}, "path": "/etc/sysctl.d/50-later.conf"}
        trials._end(record, "rolled_back", "a test", by_evidence=sys.argv[2] == "refused")
"""


def is_refused(host: Any) -> bool:
    answer = host.trial("started", rollout_id="again", _ansible_check_mode=True)
    if answer.get("failed"):
        assert "this very set was rolled back here on 20" in answer["msg"]
        assert REASON in answer["msg"]
    return bool(answer.get("failed"))


def end_trials(host: Any, number: int, how: str, prefix: str = "later") -> None:
    words = ["python3", "-c", OUTCOMES, str(number), how, prefix]
    host.namespace.run(words, env=host.namespace.environment)


def kill_guards(host: Any) -> None:
    host.namespace.run(["sh", "-c", "pkill -KILL -f guard[.]pyz; while pgrep -f guard[.]pyz; do sleep 0.05; done"])


def test_until_it_is_forced_and_confirmed(host: Any) -> None:
    host.trial("started")
    host.trial("rolled_back", **BLAMED)
    assert is_refused(host)
    assert not host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": "21"}, _ansible_check_mode=True).get("failed")
    # Neither a trial that ends for another reason nor one that cannot begin tells anything in its favour.
    host.trial("started", rollout_id="r2", force=True)
    host.trial("rolled_back", reason="nobody was there")
    assert is_refused(host)
    host.trial("started", rollout_id="r3", force=True)
    host.trial("confirmed")
    host.trial("rolled_back")
    assert not is_refused(host)
    assert host.info()["refused"] == []


def test_however_many_outcomes_follow(host: Any) -> None:
    host.trial("started")
    host.trial("rolled_back", **BLAMED)
    for number, how in ((60, "accepted"), (199, "refused")):
        end_trials(host, number, how)
        assert len(host.info()["history"]) == 50
        assert is_refused(host)
    assert len(host.info()["refused"]) == 200
    end_trials(host, 1, "refused", prefix="last")
    refused = host.info()["refused"]
    assert (len(refused), refused[0]["rollout_id"]) == (200, "last-0")
    assert not is_refused(host)


def test_where_it_had_been_confirmed(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    assert host.trial("rolled_back", **BLAMED)["trial"]["by_evidence"]
    assert is_refused(host)


def test_where_somebody_else_had_to_finish_the_undo(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    host.namespace.run(["sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"])
    assert "cannot be put back" in host.trial("rolled_back", **BLAMED)["msg"]
    host.namespace.run(["umount", "/proc/sys"])
    outcome = host.wait_until_over()
    assert (outcome["reason"], outcome["by_evidence"]) == (REASON, True)
    assert is_refused(host)


def test_where_the_trial_had_ended_for_another_reason(host: Any) -> None:
    host.trial("started")
    kill_guards(host)
    # This very call ends it, because its guard is gone.
    assert "its guard is gone" in host.trial("rolled_back", **BLAMED)["trial"]["reason"]
    assert is_refused(host)
    host.namespace.run(["rm", f"{STATE}/refused.json"])
    # It had been over before.
    assert not host.trial("rolled_back", rollout_id="r1", **BLAMED)["changed"]
    assert is_refused(host)


def test_a_damaged_memory_is_told_and_set_aside(host: Any) -> None:
    host.namespace.run(["mkdir", "-m", "700", STATE])
    host.namespace.write(f"{STATE}/refused.json", "garbage")
    assert f"{STATE}/refused.json is damaged and counts as empty" in json.dumps(host.trial("started")["warnings"])
    host.trial("rolled_back", **BLAMED)
    assert is_refused(host)
    assert host.namespace.read(f"{STATE}/refused.json.damaged") == "garbage"
