# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard as a transient service: what it is, what ends it, and what does not."""

from __future__ import annotations

import inspect
import json
import re
import time
from typing import Any

import rejects

UNIT = "nettune-guard.service"


def make_rejects(host: Any) -> None:
    host.run(["ip", "link", "set", "lo", "up"])
    host.run(["python3", "-c", inspect.getsource(rejects), "24"])


def kill_guard(host: Any) -> int:
    """SIGKILL to the guard; returns its process id once another one watches."""
    pid = host.guard_pid()
    assert pid
    host.run(["kill", "-KILL", str(pid)])
    host.wait_for_another_guard(pid)
    return int(pid)


def test_it_is_one_transient_service_and_goes_with_the_confirmation(host: Any) -> None:
    host.trial("started")
    units = host.output("systemctl", "list-units", "--all", "--plain", "--no-legend", "nettune*").splitlines()
    assert [line.split()[:4] for line in units] == [[UNIT, "loaded", "active", "running"]]
    assert host.output("pgrep", "--full", "guard[.]pyz").split() == [str(host.guard_pid())]
    assert host.output("systemctl", "show", "--property=Transient", "--value", UNIT) == "yes"
    host.trial("confirmed")
    host.wait_until_clean(seconds=5)
    assert host.is_new()


def test_it_goes_with_the_rollback(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.trial("rolled_back")
    host.wait_until_clean(seconds=5)
    assert host.whole() == before


def test_nobody_confirms(host: Any) -> None:
    before = host.whole()
    host.trial("started", confirm_within=5)
    host.wait_until_clean(seconds=15)
    assert host.whole() == before
    assert host.info()["history"][0]["reason"] == "nobody confirmed it in time"


def test_rejects_rise(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    make_rejects(host)
    host.wait_until_clean(seconds=5)
    assert host.whole() == before
    assert host.info()["history"][0]["by_evidence"]


def test_stopped_by_hand_it_ends_the_trial(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.run(["systemctl", "stop", UNIT])
    assert host.whole() == before
    host.wait_until_clean(seconds=5)
    assert host.info()["history"][0]["reason"] == "its guard was told to stop"


def test_stopped_by_hand_it_takes_the_time_that_it_needs(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    with host.popen(["flock", "/var/lib/nettune/lock", "sh", "-c", "echo held; exec sleep 5"]) as holder:
        assert holder.stdout.readline() == "held\n"
        host.run(["systemctl", "stop", UNIT])
    assert host.whole() == before
    host.wait_until_clean(seconds=5)
    assert host.info()["history"][0]["reason"] == "its guard was told to stop"


def test_each_turn_is_in_the_log(host: Any) -> None:
    def logged() -> list[str]:
        return str(host.output("journalctl", "--identifier=nettune", "--output=cat")).splitlines()

    host.trial("started")
    make_rejects(host)
    host.wait_until_clean(seconds=5)
    reason = host.info()["history"][0]["reason"]
    assert re.match(r"\d+ timestamp rejects in \d+ new connections: ", reason)
    armed, on_trial, tripped, rolled_back = logged()
    assert armed == "rollout r1 is armed: its guard watches, nothing is written yet"
    assert on_trial.startswith("rollout r1 is on trial: net.ipv4.ip_forward=1, net.ipv4.tcp_fin_timeout=20; ")
    assert tripped == f"the guard of rollout r1 tripped: {reason}"
    assert rolled_back.startswith(f"rollout r1 is rolled back: {reason}; ")

    host.trial("started", rollout_id="r2", force=True)
    host.run(["sysctl", "-w", "net.ipv4.tcp_fin_timeout=44"])
    drift = "rollout r2: net.ipv4.tcp_fin_timeout is 44, and the trial gave it 20: somebody else writes it"
    host.wait_for(["sh", "-c", f"journalctl --identifier=nettune --output=cat | grep -qxF '{drift}'"])
    host.run(["sysctl", "-w", "net.ipv4.tcp_fin_timeout=20"])
    host.trial("confirmed")
    assert [line.split(":")[0] for line in logged()[4:]] == [
        "rollout r2 is armed",
        "rollout r2 is on trial",
        "rollout r2",
        "rollout r2 is confirmed",
    ]


def test_killed_it_continues_with_the_deadline_and_the_baseline(host: Any) -> None:
    before = host.whole()
    deadline = host.trial("started", confirm_within=8, guard={"baseline_seconds": 2})["trial"]["deadline_epoch"]
    armed = [sample for sample in host.info(samples=100)["samples"] if sample["phase"] == "armed"]
    kill_guard(host)
    assert host.info()["pending"]["deadline_epoch"] == deadline
    assert [sample for sample in host.info(samples=100)["samples"] if sample["phase"] == "armed"] == armed
    host.wait_until_clean(seconds=20)
    assert host.whole() == before
    outcome = host.info()["history"][0]
    assert outcome["reason"] == "nobody confirmed it in time"
    assert 0 <= outcome["ended"] - deadline < 3


def test_killed_it_still_sees_rejects(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    kill_guard(host)
    make_rejects(host)
    host.wait_until_clean(seconds=5)
    assert host.whole() == before
    assert host.info()["history"][0]["by_evidence"]


def test_killed_again_and_again_it_always_comes_back(host: Any) -> None:
    before = host.whole()
    host.trial("started", confirm_within=60)
    for _time in range(7):  # systemd gives up after 5 starts in 10 seconds, unless told otherwise.
        kill_guard(host)
    assert host.info()["pending"]
    host.trial("rolled_back")
    host.wait_until_clean(seconds=5)
    assert host.whole() == before


def test_confirmed_between_death_and_restart(host: Any) -> None:
    host.trial("started")
    host.run(["kill", "-KILL", str(host.guard_pid())])
    # Whichever comes first, the look that ends a trial without a guard or the new guard: never half of it.
    answer = host.module("sysctl_trial", state="confirmed")
    host.wait_until_clean(seconds=5)
    assert host.is_new() is not bool(answer.get("failed"))


def test_daemon_reload_does_not_move_the_deadline(host: Any) -> None:
    before = host.whole()
    deadline = host.trial("started", confirm_within=6)["trial"]["deadline_epoch"]
    pid = host.guard_pid()
    reloads = 0
    while time.time() < deadline - 1:
        host.run(["systemctl", "daemon-reload"])
        reloads += 1
        assert host.guard_pid() == pid
    assert reloads >= 5
    host.wait_until_clean(seconds=15)
    assert host.whole() == before
    assert 0 <= host.info()["history"][0]["ended"] - deadline < 3


def test_the_end_of_the_login_session_does_not_end_it(host: Any) -> None:
    module = "python3 -m ansible_collections.nettune.kernel.plugins.modules.sysctl_trial"
    arguments = {
        "state": "started",
        "sysctl": {"net.ipv4.tcp_fin_timeout": "20"},
        "rollout_id": "r1",
        "guard": {"baseline_seconds": 0},
    }
    host.run(["sh", "-c", "cat >/root/arguments"], input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    # What else the session leaves behind must die with it, or the guard's survival would prove nothing.
    script = f"{module} </root/arguments >/root/answer; echo $XDG_SESSION_ID >/root/session; setsid sleep 100 & wait"
    login = host.log_in(script)
    try:
        host.wait_for(["test", "-s", "/root/session"])
        pid = host.guard_pid()
        assert pid, host.output("cat", "/root/answer")
        host.wait_for(["pgrep", "-x", "sleep"])
        host.run(["loginctl", "terminate-session", host.output("cat", "/root/session")])
        host.wait_for(["sh", "-c", "! pgrep -x sleep"])
    finally:
        login.kill()
        login.wait()
    assert host.guard_pid() == pid
    host.trial("confirmed")
    assert host.value("net.ipv4.tcp_fin_timeout") == "20"


def test_under_an_old_systemd_the_guard_restarts_itself(host: Any) -> None:
    # Up to 231 systemd-run knows next to no property of a service, Restart among them, and says so like this.
    old = """#!/bin/sh
    for word; do case $word in --property=*) echo "Unknown assignment ${word#*=}."; exit 1 ;; esac; done
    exec /usr/bin/systemd-run "$@"
    """
    host.run(["sh", "-c", "cat >/usr/local/sbin/systemd-run; chmod +x /usr/local/sbin/systemd-run"], input=old)
    before = host.whole()
    host.trial("started", confirm_within=6)
    supervisor = str(host.guard_pid())
    host.run(["pkill", "-KILL", "--parent", supervisor])
    host.wait_for(["pgrep", "--parent", supervisor])
    assert host.output("systemctl", "is-active", UNIT) == "active"
    host.wait_until_clean(seconds=15)
    assert host.whole() == before
    assert host.info()["history"][0]["reason"] == "nobody confirmed it in time"
