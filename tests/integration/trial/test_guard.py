# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard does by itself, on the counters of a real kernel."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import Any

import pytest
import rejects
from trials import start_arguments

from .conftest import SET


def rejects_of(host: Any) -> int:
    counters = host.info(_ansible_check_mode=True)["sample"]["counters"]
    return int(counters["TcpExt.PAWSEstab"])


def make_rejects(host: Any, connections: int) -> None:
    before = rejects_of(host)
    host.namespace.run(["python3", rejects.__file__, str(connections)])
    assert rejects_of(host) - before >= connections, "this kernel did not reject what the test made up"


def test_nobody_confirms(host: Any) -> None:
    before = host.whole()
    deadline = host.trial("started", confirm_within=5)["trial"]["deadline_epoch"]
    outcome = host.wait_until_over(seconds=10)
    assert 0 <= outcome["ended"] - deadline < 2
    assert outcome["reason"] == "nobody confirmed it in time"
    assert host.whole() == before
    assert host.trial("confirmed", rollout_id="r1")["failed"]


def test_rejects_rise(host: Any) -> None:
    before = host.whole()
    host.trial("started", guard={"baseline_seconds": 0, "min_events": 10})
    make_rejects(host, 24)
    there = time.time()
    outcome = host.wait_until_over()
    assert outcome["ended"] - there < 2
    assert outcome["by_evidence"]
    assert "timestamp rejects in" in outcome["reason"]
    assert host.whole() == before


def test_a_set_that_was_rolled_back_by_evidence_is_remembered(host: Any) -> None:
    host.trial("started", guard={"baseline_seconds": 0, "min_events": 10})
    make_rejects(host, 24)
    host.wait_until_over()
    (refused,) = host.info()["refused"]
    assert refused["figures"]["group"]["events"] >= 10
    again = host.trial("started", rollout_id="r2")
    assert again["failed"]
    assert "timestamp rejects in" in again["msg"]
    assert time.strftime("on %Y-%m-%d %H:%M:%S UTC", time.gmtime(refused["ended"])) in again["msg"]
    assert host.trial("started", rollout_id="r2", force=True)["changed"]


def test_a_few_rejects_are_no_evidence(host: Any) -> None:
    host.trial("started", guard={"baseline_seconds": 0, "min_events": 10})
    make_rejects(host, 3)
    seen = len(host.info(samples=100)["samples"])
    host.namespace.wait_for(["sh", "-c", f"test $(wc -l </var/lib/nettune/samples.jsonl) -gt {seen + 1}"])
    assert host.trial("confirmed")["changed"]


def test_rejects_as_many_as_before_are_no_evidence(host: Any) -> None:
    noise = host.namespace.popen(["sh", "-c", f"while :; do python3 {rejects.__file__} 5; done"])
    try:
        host.namespace.wait_for(["sh", "-c", "grep -q '^TcpExt' /proc/net/netstat"])
        host.trial("started", guard={"baseline_seconds": 3, "min_events": 10})
        began = rejects_of(host)
        deadline = time.monotonic() + 10
        while rejects_of(host) - began < 20:
            assert time.monotonic() < deadline
        assert host.trial("confirmed")["changed"]
    finally:
        noise.kill()
        noise.wait()


# What makes the kernel count each of them on loopback.
DAMAGE = {
    "TcpExt.ListenDrops": """
server.listen(0)
clients = [socket.socket() for _ in range(7)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(server.getsockname())
""",
    "TcpExt.TCPTimeWaitOverflow": """
server.listen(7)
for _ in range(7):
    client = socket.create_connection(server.getsockname())
    server.accept()[0].close()
    client.close()
""",
    "Tcp.AttemptFails": """
for _ in range(7):
    socket.socket().connect_ex(server.getsockname())
""",
    "Tcp.EstabResets": """
server.listen(7)
for _ in range(7):
    client = socket.create_connection(server.getsockname())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
""",
    "Tcp.OutRsts": """
for _ in range(7):
    socket.socket().connect_ex(server.getsockname())
""",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_counter_with_a_limit_of_its_own(host: Any, name: str) -> None:
    host.write("net.ipv4.tcp_max_tw_buckets", "1")
    before = host.whole()
    host.trial("started", guard={"baseline_seconds": 0, "max_rise": {name: 3}})
    script = "import socket, struct\nserver = socket.socket()\nserver.bind(('127.0.0.1', 0))\n" + DAMAGE[name]
    host.namespace.run(["python3", "-c", script])
    there = time.time()
    outcome = host.wait_until_over()
    assert outcome["ended"] - there < 2
    assert outcome["by_evidence"]
    rise = int(re.fullmatch(rf"{re.escape(name)} rose by (\d+) \(limit 3\)", outcome["reason"]).group(1))
    assert rise > 3
    assert host.whole() == before


@pytest.mark.parametrize("limits", [{"TcpExt.Nonsense": 3}, {"Tcp.AttemptFails": "many"}, {"Tcp.AttemptFails": -1}])
def test_limits_that_mean_nothing_are_refused(host: Any, limits: dict[str, Any]) -> None:
    answer = host.trial("started", guard={"baseline_seconds": 0, "max_rise": limits})
    assert answer["failed"]
    assert "max_rise" in answer["msg"]


def test_without_judgement_there_is_still_the_deadline(host: Any) -> None:
    host.trial("started", confirm_within=5, guard={"baseline_seconds": 0, "enabled": False})
    make_rejects(host, 24)
    assert host.wait_until_over()["reason"] == "nobody confirmed it in time"


def test_the_time_before_is_sampled_before_the_first_write(host: Any) -> None:
    answer = host.trial("started", guard={"baseline_seconds": 2})
    first, *_between, last = answer["baseline"]
    assert last["time"] - first["time"] >= 1
    phases = [sample["phase"] for sample in host.info(samples=100)["samples"]]
    assert phases[:2] == ["armed", "armed"]
    assert phases == sorted(phases, key=["armed", "writing", "on_trial"].index)


def test_the_guard_takes_no_part_of_the_session_with_it(host: Any) -> None:
    host.trial("started")
    supervisor, guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    for pid in (supervisor, guard):
        links = host.namespace.run(
            ["sh", "-c", f"readlink /proc/{pid}/cwd /proc/{pid}/fd/0 /proc/{pid}/fd/1 /proc/{pid}/fd/2"]
        ).stdout
        assert links.split() == ["/", "/dev/null", "/dev/null", "/dev/null"]
        assert host.namespace.run(["ps", "-o", "sid=", "-p", pid]).stdout.strip() == supervisor


def test_the_supervisor_is_waited_for_too(host: Any) -> None:
    host.trial("started", confirm_within=60)
    supervisor, _guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    # One that comes to its end late, as on a busy machine.
    host.namespace.run(["kill", "-STOP", supervisor])
    with host.namespace.popen(["sh", "-c", f"sleep 1; kill -CONT {supervisor}"]):
        host.trial("rolled_back")
        assert not host.namespace.run(["pgrep", "-f", "guard.pyz"], check=False).stdout


def test_a_killed_guard_comes_back_with_the_same_deadline_and_the_same_time_before(host: Any) -> None:
    deadline = host.trial("started", confirm_within=6, guard={"baseline_seconds": 2})["trial"]["deadline_epoch"]
    for _attempt in range(3):
        supervisor, guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
        host.namespace.run(["kill", "-KILL", guard])
        host.namespace.wait_for(["sh", "-c", f"pgrep -P {supervisor} | grep -qvx {guard}"])
    armed = [sample for sample in host.info(samples=100)["samples"] if sample["phase"] == "armed"]
    assert len(armed) >= 2
    outcome = host.wait_until_over()
    assert outcome["reason"] == "nobody confirmed it in time"
    assert 0 <= outcome["ended"] - deadline < 2


@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGUSR1])
def test_signals_of_a_session_do_not_end_the_guard(host: Any, sign: signal.Signals) -> None:
    host.trial("started", confirm_within=5)
    host.namespace.run(["pkill", f"-{int(sign)}", "-f", "guard.pyz"])
    assert host.info()["pending"]
    assert len(host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()) == 2
    assert host.wait_until_over()["reason"] == "nobody confirmed it in time"


@pytest.mark.parametrize("sign", ["TERM", "INT"])
@pytest.mark.parametrize("whom", ["supervisor", "guard", "both"])
def test_a_guard_that_is_told_to_stop_rolls_back_first(host: Any, whom: str, sign: str) -> None:
    before = host.whole()
    host.trial("started")
    supervisor, guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    pids = {"supervisor": [supervisor], "guard": [guard], "both": [supervisor, guard]}[whom]
    host.namespace.run(["kill", f"-{sign}", *pids])
    assert host.wait_until_over()["reason"] == "its guard was told to stop"
    assert host.whole() == before


def test_without_its_guard_a_trial_ends_at_the_next_look(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.namespace.run(["pkill", "-KILL", "-f", "guard.pyz"])
    host.namespace.run(["sh", "-c", "while pgrep -f guard[.]pyz; do sleep 0.05; done"])
    on_trial = host.whole()
    predicted = host.info(_ansible_check_mode=True)
    assert host.whole() == on_trial
    look = host.info()
    assert look["changed"]
    for name in ("changed", "pending", "confirmed", "drift"):
        assert predicted[name] == look[name]
    assert [dict(entry, ended=None) for entry in predicted["history"]] == [
        dict(entry, ended=None) for entry in look["history"]
    ]
    assert look["pending"] is None
    assert "guard is gone" in look["history"][0]["reason"]
    assert host.whole() == before


# A trial whose guard, the real one, finds another day each time that it asks; and whose module lived in tomorrow.
CLOCK = """
import json, sys, time
from ansible_collections.nettune.kernel.plugins.module_utils import _guard_process, _trial
_guard_process._MAIN = (
    "import itertools, time\\n"
    "real, days = time.time, itertools.cycle((1, -1))\\n"
    "time.time = lambda: real() + 86400 * next(days)\\n" + _guard_process._MAIN
)
now = time.time
time.time = lambda: now() + 86400
_trial.Trials().start(**json.loads(sys.argv[1]))
"""
YESTERDAY = """
import time
from ansible_collections.nettune.kernel.plugins.module_utils import _trial
now = time.time
time.time = lambda: now() - 86400
_trial.Trials().confirm("r1")
"""


def test_a_clock_that_jumps_moves_no_deadline(host: Any) -> None:
    before = host.whole()
    arguments = start_arguments(SET, confirm_within=10)
    began = time.monotonic()
    host.namespace.run(["python3", "-c", CLOCK, json.dumps(arguments)], env=host.namespace.environment)
    assert 0 < host.info()["pending"]["seconds_left"] <= 10
    outcome = host.wait_until_over(seconds=20)
    assert time.monotonic() - began > 10
    assert outcome["reason"] == "nobody confirmed it in time"
    assert abs(outcome["ended"] - time.time()) > 80000, "the guard's clock did not jump"
    assert host.whole() == before


def test_a_confirmation_from_another_day_counts(host: Any) -> None:
    host.trial("started", confirm_within=60)
    host.namespace.run(["python3", "-c", YESTERDAY], env=host.namespace.environment)
    assert host.info()["history"][0]["state"] == "confirmed"


def test_a_limit_for_a_counter_that_the_kernel_does_not_have_is_warned_of(host: Any) -> None:
    counted = host.info()["sample"]["counters"]
    # Gone with tcp_tw_recycle in Linux 4.12; this kernel is no older than that.
    assert "TcpExt.PAWSPassive" not in counted
    limits = {"baseline_seconds": 0, "max_rise": {"TcpExt.PAWSPassive": 0, "TcpExt.ListenDrops": 0}}
    release = host.namespace.run(["uname", "-r"]).stdout.strip()
    for check_mode in (True, False):
        (warning,) = host.trial("started", guard=limits, _ansible_check_mode=check_mode)["warnings"]
        sentence = f"max_rise of TcpExt.PAWSPassive never ends a trial here: Linux {release} does not count it"
        assert sentence in json.dumps(warning)


def test_what_the_guard_has_not_seen_yet_counts_for_a_confirmation(host: Any) -> None:
    before = host.whole()
    host.trial("started", guard={"baseline_seconds": 0, "max_rise": {"Tcp.AttemptFails": 3}})
    host.namespace.wait_for(["grep", "-q", "on_trial", "/var/lib/nettune/samples.jsonl"])
    guards = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    for guard in guards:
        host.namespace.run(["kill", "-STOP", guard])
    fail = "import socket\nfor _ in range(5): socket.socket().connect_ex(('127.0.0.1', 1))"
    host.namespace.run(["python3", "-c", fail])
    on_trial = host.whole()
    predicted = host.trial("confirmed", _ansible_check_mode=True)
    assert host.whole() == on_trial
    answer = host.trial("confirmed")
    assert answer["msg"] == "not confirmed: Tcp.AttemptFails rose by 5 (limit 3). Everything was put back"
    assert (predicted["failed"], predicted["msg"]) == (True, answer["msg"])
    assert host.whole() == before
    for guard in guards:
        host.namespace.run(["kill", "-CONT", guard])
    host.namespace.wait_for(["sh", "-c", "! pgrep -f guard[.]pyz"])
    # By evidence, so it is refused from now on.
    assert "this very set was rolled back here" in host.trial("started", rollout_id="r2")["msg"]


def test_a_confirmation_behind_the_deadline_comes_too_late_though_no_guard_has_acted(host: Any) -> None:
    before = host.whole()
    begun = time.monotonic()
    host.trial("started", confirm_within=5)
    for guard in host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split():
        host.namespace.run(["kill", "-STOP", guard])
    while time.monotonic() < begun + 7:
        time.sleep(0.1)
    assert host.info(_ansible_check_mode=True)["history"][0]["reason"] == "nobody confirmed it in time"
    answer = host.trial("confirmed")
    assert answer["failed"]
    assert answer["msg"].endswith("nobody confirmed it in time")
    assert host.whole() == before
    # The guard sleeps on: it is not waited for for ever, and finds the trial over when it wakes up.
    for guard in host.namespace.run(["pgrep", "-f", "guard[.]pyz"]).stdout.split():
        host.namespace.run(["kill", "-CONT", guard])
    host.namespace.wait_for(["sh", "-c", "! pgrep -f guard[.]pyz"])
    assert host.whole() == before
    assert host.left_behind() == []
