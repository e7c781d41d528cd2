# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a trial when nothing goes wrong, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from trials import PATH, start_arguments


def test_on_trial_the_set_is_live_but_not_persisted(host: Any) -> None:
    answer = host.trial("started")
    assert answer["changed"]
    assert answer["trial"]["state"] == "on_trial"
    assert answer["values"]["net.ipv4.tcp_fin_timeout"] == {"before": "60", "after": "20"}
    assert host.value("net.ipv4.tcp_fin_timeout") == "20"
    assert host.namespace.run(["ls", "-A", "/etc/sysctl.d"]).stdout == ""
    assert "net.ipv4.tcp_fin_timeout = 20" in host.namespace.read("/run/sysctl.d/90-nettune.trial.conf")


def test_confirmed_it_is_persisted_and_nothing_else_is_left(host: Any) -> None:
    host.trial("started")
    assert host.trial("confirmed", rollout_id="r1")["changed"]
    assert host.value("net.ipv4.tcp_fin_timeout") == "20"
    assert host.namespace.read(PATH) == "net.ipv4.tcp_fin_timeout = 20\nnet.ipv4.tcp_tw_reuse = 1\n"
    assert host.left_behind() == []
    assert host.info()["originals"]["net.ipv4.tcp_fin_timeout"] == "60"


def test_the_content_given_is_what_is_persisted(host: Any) -> None:
    content = "# why\nnet/ipv4/tcp_fin_timeout=20\n\nnet.ipv4.tcp_tw_reuse = 1\n"
    host.trial("started", content=content)
    host.trial("confirmed")
    assert host.namespace.read(PATH) == content


def test_rolled_back_everything_is_as_before(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    assert host.whole() != before
    answer = host.trial("rolled_back", reason="a test")
    assert answer["changed"]
    assert answer["drift"] == []
    assert host.whole() == before
    assert host.left_behind() == []
    assert host.info()["history"][0]["reason"] == "a test"


def test_a_confirmed_trial_is_undone_with_its_file(host: Any) -> None:
    host.namespace.write(PATH, "# by hand\n")
    host.namespace.run(["chmod", "640", PATH])
    before = host.whole()
    host.trial("started")
    host.trial("confirmed")
    assert "640" not in before or host.whole() != before
    host.trial("rolled_back")
    assert host.whole() == before
    assert not host.trial("rolled_back")["changed"]


def test_a_set_that_is_settled_needs_no_trial(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    again = host.trial("started", rollout_id="r2")
    assert not again["changed"]
    assert again["trial"]["state"] == "confirmed"
    assert host.info()["pending"] is None
    assert not host.trial("confirmed", rollout_id="r1")["changed"]


def test_side_effects_are_reported_and_undone(host: Any) -> None:
    before = host.whole()
    answer = host.trial("started", sysctl={"net.ipv4.ip_forward": 1})
    assert answer["side_effects"]["net.ipv4.conf.default.forwarding"] == {"before": "0", "after": "1"}
    host.trial("rolled_back")
    assert host.whole() == before


def test_side_effects_of_a_confirmed_trial_are_undone_too(host: Any) -> None:
    before = host.whole()
    host.trial("started", sysctl={"net.ipv4.ip_forward": 1})
    host.trial("confirmed")
    host.trial("rolled_back")
    assert host.whole() == before


@pytest.mark.parametrize(
    "names",
    [("ip_local_port_range", "ip_unprivileged_port_start"), ("ip_unprivileged_port_start", "ip_local_port_range")],
)
def test_keys_that_depend_on_each_other_go_in_any_order(host: Any, names: tuple[str, str]) -> None:
    values = {"ip_local_port_range": "500 60001", "ip_unprivileged_port_start": "400"}
    before = host.whole()
    answer = host.trial("started", sysctl={"net.ipv4." + name: values[name] for name in names})
    assert answer["changed"], answer
    assert host.value("net.ipv4.ip_local_port_range") == "500 60001"
    host.trial("rolled_back")
    assert host.whole() == before


# Neither may pass the other; up from what the kernel begins with, or down.
THRESHOLDS = {
    "up": {"net.ipv4.ipfrag_low_thresh": "8000000", "net.ipv4.ipfrag_high_thresh": "9000000"},
    "down": {"net.ipv4.ipfrag_high_thresh": "20000", "net.ipv4.ipfrag_low_thresh": "10000"},
}


@pytest.mark.parametrize("order", [1, -1], ids=["refused first", "refused last"])
def test_limits_of_each_other_go_up_and_down_in_any_order(host: Any, order: int) -> None:
    before = host.whole()
    low, high = (int(host.value(f"net.ipv4.ipfrag_{name}_thresh")) for name in ("low", "high"))
    assert 20000 < low <= high < 8000000, "the first of each pair would not be refused"
    up, down = (dict(list(THRESHOLDS[way].items())[::order]) for way in ("up", "down"))
    for values in (up, down):
        assert host.trial("started", sysctl=values)["side_effects"] == {}
        assert {key: host.value(key) for key in values} == values
        assert host.trial("rolled_back")["drift"] == []
        assert host.whole() == before
    for rollout, values in (("r1", up), ("r2", down)):
        host.trial("started", sysctl=values, rollout_id=rollout)
        assert host.trial("confirmed")["changed"]
        assert {key: host.value(key) for key in values} == values
    assert host.trial("rolled_back")["drift"] == []
    assert {key: host.value(key) for key in up} == up
    assert host.trial("rolled_back", to="original")["drift"] == []
    assert host.whole() == before


def test_keys_that_a_later_set_drops_go_back_to_their_original(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": 30}, rollout_id="r2")
    host.trial("confirmed")
    assert host.value("net.ipv4.tcp_fin_timeout") == "30"
    assert host.value("net.ipv4.tcp_tw_reuse") == "2"


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_dropping_forwarding_leaves_an_interface_that_forwarded_before(host: Any, family: str) -> None:
    own = f"net.{family}.conf.lo.forwarding"
    host.write(own, "1")
    before = host.whole()
    host.trial("started", sysctl={f"net.{family}.conf.all.forwarding": "1", "net.ipv4.tcp_fin_timeout": "20"})
    host.trial("confirmed")
    answer = host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": "20"}, rollout_id="r2")
    assert own not in answer["side_effects"]
    assert host.value(own) == "1"
    assert host.value(f"net.{family}.conf.default.forwarding") == "0"
    host.trial("confirmed")
    host.trial("rolled_back", to="original")
    assert host.whole() == before


def test_trials_are_undone_in_order(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.trial("confirmed")
    host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": 30}, rollout_id="r2")
    host.trial("confirmed")
    refused = host.trial("rolled_back", rollout_id="r1")
    assert refused["failed"]
    assert "undo the later one first" in refused["msg"]
    host.trial("rolled_back")
    assert host.value("net.ipv4.tcp_fin_timeout") == "20"
    host.trial("rolled_back")
    assert host.whole() == before


def test_a_former_trial_is_confirmed_already_or_never_again(host: Any) -> None:
    def try_to_confirm(rollout: str) -> dict[str, Any]:
        before = host.whole()
        answer = host.trial("confirmed", rollout_id=rollout)
        assert not answer.get("changed")
        assert host.whole() == before
        return answer

    first = host.trial("started")["trial"]["id"]
    host.trial("confirmed")
    # While a later one is on trial, that one is meant by nobody who names the former.
    host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": 30}, rollout_id="r2")
    assert try_to_confirm("r1")["msg"] == "the pending trial belongs to rollout r2, not to r1"
    host.trial("confirmed", rollout_id="r2")
    host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": 40}, rollout_id="r3")
    host.trial("rolled_back", rollout_id="r3", reason="a test")
    # It is below a later one, and one was rolled back since: confirmed it is all the same.
    again = try_to_confirm("r1")
    assert not again.get("failed")
    assert (again["trial"]["id"], again["trial"]["state"]) == (first, "confirmed")
    assert re.fullmatch(r"rollout r3 was rolled back here on [-0-9]+ [:0-9]+ UTC: a test", try_to_confirm("r3")["msg"])
    host.namespace.run(["rm", "/var/lib/nettune/history.json"])
    forgotten = try_to_confirm("r1")["trial"]
    assert dict(forgotten, ended=None) == dict(again["trial"], ended=None)
    assert abs(forgotten["ended"] - again["trial"]["ended"]) < 5
    assert try_to_confirm("r4")["msg"] == "nothing is on trial here, so nothing can be confirmed"
    # Undone, it is as if it had been rolled back in the first place.
    for rollout in ("r2", "r1"):
        host.trial("rolled_back", rollout_id=rollout, reason="undone")
        assert "was rolled back here on" in try_to_confirm(rollout)["msg"]
    assert host.value("net.ipv4.tcp_fin_timeout") == "60"


@pytest.mark.parametrize("confirmed", [False, True], ids=["on trial", "confirmed"])
@pytest.mark.parametrize("name", ["rollout_id", "trial_id"])
def test_rolled_back_twice_it_is_the_same_trial_and_no_other(host: Any, name: str, confirmed: bool) -> None:
    host.trial("started", sysctl={"net.core.somaxconn": "77"}, rollout_id="r0")
    host.trial("confirmed")
    before = host.whole()
    trial = host.trial("started", rollout_id="r1")["trial"]["id"]
    if confirmed:
        host.trial("confirmed")
    arguments = {name: {"rollout_id": "r1", "trial_id": trial}[name]}
    first = host.trial("rolled_back", reason="the first time", **arguments)
    assert first["changed"]
    assert host.whole() == before
    predicted = host.trial("rolled_back", reason="the second time", _ansible_check_mode=True, **arguments)
    second = host.trial("rolled_back", reason="the second time", **arguments)
    for answer in (predicted, second):
        assert not answer["changed"]
        assert not answer.get("failed")
        assert answer["trial"] == first["trial"]
    assert host.whole() == before
    assert [(entry["rollout_id"], entry["state"]) for entry in host.info()["confirmed"]] == [("r0", "confirmed")]


def test_check_mode_predicts_and_changes_nothing(host: Any) -> None:
    before = host.whole()
    predicted = host.trial("started", _ansible_check_mode=True)
    assert host.whole() == before
    assert host.namespace.run(["ls", "-A", "/var/lib"]).stdout == ""
    real = host.trial("started")
    assert predicted["values"] == real["values"]
    assert predicted["diff"][0] == real["diff"][0]
    confirmed = host.trial("confirmed")
    assert predicted["diff"][1] == confirmed["diff"][0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"sysctl": {}}, "empty"),
        ({"sysctl": {"net.ipv4.tcp_fin_timeout": {"a": 1}}}, "must be text or a whole number, not dict"),
        ({"sysctl": {"net.ipv4.tcp_fin_timeout": "20\nnet.ipv4.ip_forward = 1"}}, "line break"),
        ({"sysctl": {"net.ipv4.../../etc/passwd": "1"}}, "stays below /proc/sys"),
        ({"sysctl": {"net.ipv4.tcp_tw_recycle": "1"}}, "does not exist on this host"),
        ({"sysctl": {"net.ipv4.tcp_fin_timeout": 1, "net/ipv4/tcp_fin_timeout": 2}}, "given twice"),
        ({"sysctl": {"net.ipv4.tcp_available_congestion_control": "cubic"}}, "read-only"),
        ({"sysctl": {"net.ipv4.route.flush": "1"}}, "cannot be read"),
        ({"content": "net.ipv4.tcp_fin_timeout = 21\n"}, "does not say the same"),
        ({"path": "/etc/passwd"}, "/etc/sysctl.d"),
        ({"confirm_within": 1}, "confirm_within must be between"),
    ],
)
def test_bad_input_gets_one_sentence_and_nothing_changes(host: Any, arguments: dict[str, Any], sentence: str) -> None:
    before = host.whole()
    answer = host.trial("started", **arguments)
    assert answer["failed"]
    assert sentence in answer["msg"]
    assert host.whole() == before
    assert host.left_behind() == []


@pytest.mark.parametrize("value", ["99999999999", "words"])
def test_a_value_that_the_kernel_refuses_undoes_the_whole_set(host: Any, value: str) -> None:
    before = host.whole()
    answer = host.trial(
        "started", sysctl={"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_fin_timeout": value, "net.ipv4.ip_forward": "1"}
    )
    assert answer["failed"]
    assert "net.ipv4.tcp_fin_timeout: the kernel refuses" in answer["msg"]
    assert host.whole() == before
    assert host.left_behind() == []


def test_a_value_that_the_kernel_rounds_is_refused(host: Any) -> None:
    before = host.whole()
    answer = host.trial("started", sysctl={"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.neigh.lo.retrans_time_ms": "3"})
    # In ticks of the kernel's clock, which nowhere last 3 ms.
    assert re.match(r"net\.ipv4\.neigh\.lo\.retrans_time_ms: '3' was written and '\d+' read back", answer["msg"])
    assert host.whole() == before
    assert host.left_behind() == []


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        # Each number of a list is in place before the next one is looked at.
        ("net.ipv4.tcp_rmem", "8192 0 6291456", "the kernel refuses '8192 0 6291456': Invalid argument"),
        ("net.ipv4.tcp_rmem", "8192 many", "the kernel refuses '8192 many': Invalid argument"),
        ("net.ipv4.tcp_rmem", "8192", "'8192' was written and '8192 131072 "),
        ("net.ipv4.tcp_fin_timeout", "20 30", "'20 30' was written and '20' read back"),
        # The kernel reads these as people who write C do.
        ("net.ipv4.tcp_fin_timeout", "0x14", "'0x14' was written and '20' read back"),
        ("net.ipv4.tcp_fin_timeout", "024", "'024' was written and '20' read back"),
        ("net.ipv4.ip_local_reserved_ports", "5,4,3", "'5,4,3' was written and '3-5' read back"),
    ],
)
def test_a_value_that_the_kernel_takes_for_another_undoes_the_whole_set(
    host: Any, key: str, value: str, answer: str
) -> None:
    before = host.whole()
    said = host.trial("started", sysctl={"net.ipv4.tcp_tw_reuse": "1", key: value, "net.ipv4.ip_forward": "1"})["msg"]
    assert said.startswith(f"{key}: {answer}")
    assert said.endswith("Everything was put back")
    assert host.whole() == before
    assert host.info()["history"][0]["drift"] == []
    assert host.left_behind() == []


def test_of_two_controllers_at_the_same_time_one_comes_through(host: Any) -> None:
    processes = []
    for number in (1, 2):
        arguments = {
            "state": "started",
            "sysctl": {"net.ipv4.tcp_fin_timeout": 20 + number},
            "rollout_id": f"r{number}",
        }
        process = host.namespace.popen(
            [sys.executable, "-m", "ansible_collections.nettune.kernel.plugins.modules.sysctl_trial"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **host.namespace.environment},
        )
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "guard": {"baseline_seconds": 2}}}))
        process.stdin.close()
        processes.append(process)
    answers = []
    for process in processes:
        answers.append(json.loads(process.stdout.read()))
        process.wait()
    (won,) = (number for number, answer in enumerate(answers, 1) if answer.get("changed"))
    lost = answers[2 - won]
    assert f"a trial is pending here: rollout r{won}" in lost["msg"]
    assert host.info()["pending"]["rollout_id"] == f"r{won}"
    assert host.value("net.ipv4.tcp_fin_timeout") == str(20 + won)


def test_sysctl_system_leaves_a_trial_alone_and_another_file_is_drift(host: Any) -> None:
    host.trial("started")
    host.namespace.run(["sysctl", "--system"], check=False)
    assert host.info()["drift"] == []
    host.namespace.write("/etc/sysctl.d/99-other.conf", "net.ipv4.tcp_fin_timeout = 33\n")
    host.namespace.run(["sysctl", "--system"], check=False)
    (drift,) = host.info()["drift"]
    assert (drift["key"], drift["expected"], drift["found"]) == ("net.ipv4.tcp_fin_timeout", "20", "33")
    assert "'33'" in host.trial("confirmed")["msg"]


def test_confirmed_and_rolled_back_bring_what_the_guard_saw(host: Any) -> None:
    host.trial("started", guard={"baseline_seconds": 1})
    assert host.trial("rolled_back", _ansible_check_mode=True)["samples"] == []
    give_up = time.monotonic() + 20
    while host.info(samples=1)["samples"][-1]["phase"] == "armed":
        assert time.monotonic() < give_up, "the guard takes no sample"
        time.sleep(0.1)
    series = host.trial("confirmed", samples=100)["samples"]
    assert series[0]["phase"] == "armed"
    assert series[-1]["phase"] in ("on_trial", "confirming")
    assert host.trial("rolled_back", to="original", samples=2, _ansible_check_mode=True)["samples"] == series[-2:]
    assert len(host.trial("rolled_back", to="original", samples=2)["samples"]) == 2
    assert "samples must be between" in host.trial("rolled_back", samples=-1)["msg"]


def test_check_mode_predicts_a_confirmation_and_a_rollback(host: Any) -> None:
    host.trial("started", sysctl={"net.ipv4.ip_forward": 1, "net.ipv4.tcp_fin_timeout": 20})
    predicted = host.trial("confirmed", _ansible_check_mode=True)
    undone = host.trial("rolled_back", _ansible_check_mode=True)
    assert host.info()["pending"]
    real = host.trial("rolled_back")
    assert undone["diff"] == real["diff"]
    assert "net.ipv4.conf.default.forwarding = 1" in real["diff"][0]["before"]
    host.trial("started", sysctl={"net.ipv4.ip_forward": 1, "net.ipv4.tcp_fin_timeout": 20})
    confirmed = host.trial("confirmed")
    assert predicted["diff"] == confirmed["diff"]
    assert predicted["values"] == confirmed["values"]
    assert predicted["trial"]["state"] == confirmed["trial"]["state"] == "confirmed"


def test_check_mode_and_diff_leave_out_what_a_rollback_leaves_alone(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": 30, "net.core.somaxconn": 99}, rollout_id="r2")
    host.write("net.core.somaxconn", "77")
    for arguments in ({}, {"to": "original"}):
        predicted = host.trial("rolled_back", _ansible_check_mode=True, **arguments)
        if arguments:
            host.write("net.ipv4.tcp_tw_reuse", "0")
            predicted = host.trial("rolled_back", _ansible_check_mode=True, **arguments)
        real = host.trial("rolled_back", **arguments)
        assert predicted["diff"] == real["diff"]
        assert "somaxconn" not in json.dumps(real["diff"])
    assert [entry["key"] for entry in real["drift"]] == ["net.ipv4.tcp_tw_reuse"]
    assert host.value("net.ipv4.tcp_fin_timeout") == "60"


def test_a_trial_that_this_look_ended_was_the_one_to_roll_back(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    confirmed = host.whole()
    host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": 30}, rollout_id="r2")
    host.namespace.run(["sh", "-c", "pkill -KILL -f guard[.]pyz; while pgrep -f guard[.]pyz; do sleep 0.05; done"])
    predicted = host.trial("rolled_back", _ansible_check_mode=True)
    real = host.trial("rolled_back")
    assert real["trial"]["rollout_id"] == "r2"
    assert (predicted["changed"], predicted["diff"]) == (real["changed"], real["diff"])
    assert host.whole() == confirmed


def test_one_pending_trial_a_host(host: Any) -> None:
    host.trial("started")
    second = host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": 30}, rollout_id="r2")
    assert second["failed"]
    for word in ("r1", "net.ipv4.tcp_fin_timeout", "root", "until"):
        assert word in second["msg"]
    assert host.trial("confirmed", rollout_id="r2")["failed"]
    assert host.trial("rolled_back", rollout_id="r2")["failed"]
    assert host.value("net.ipv4.tcp_fin_timeout") == "20"


def test_what_somebody_else_wrote_is_left_alone_and_reported(host: Any) -> None:
    host.trial("started")
    began = time.time()
    host.write("net.ipv4.tcp_fin_timeout", "33")
    host.namespace.wait_for(["test", "-e", "/var/lib/nettune/drift.json"])
    expected = host.info()["drift"]
    assert 0 <= expected[0]["since"] - began < 3
    values = {"key": "net.ipv4.tcp_fin_timeout", "expected": "20", "found": "33"}
    assert expected == [{**values, "since": expected[0]["since"]}]
    refused = host.trial("confirmed")
    assert refused["failed"]
    assert "'33'" in refused["msg"]
    assert host.trial("rolled_back")["drift"] == expected
    assert host.value("net.ipv4.tcp_fin_timeout") == "33"
    assert host.value("net.ipv4.tcp_tw_reuse") == "2"


def test_back_to_the_original_and_nothing_remains(host: Any) -> None:
    host.namespace.write(PATH, "# by hand\n")
    before = host.whole()
    for number, values in enumerate(
        ({"net.ipv4.tcp_fin_timeout": 30}, {"net.ipv4.ip_forward": 1}, {"net.core.somaxconn": 99})
    ):
        host.trial("started", sysctl=values, rollout_id=f"r{number}")
        host.trial("confirmed")
    predicted = host.trial("rolled_back", to="original", _ansible_check_mode=True)
    answer = host.trial("rolled_back", to="original")
    assert answer["changed"]
    assert answer["diff"] == predicted["diff"]
    assert host.whole() == before
    assert host.namespace.run(["ls", "-A", "/var/lib"]).stdout == ""
    assert host.left_behind() == []
    assert not host.trial("rolled_back", to="original")["changed"]


def test_back_to_the_original_in_the_middle_of_a_trial(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.trial("confirmed")
    host.trial("started", sysctl={"net.core.somaxconn": 99}, rollout_id="r2")
    assert host.trial("rolled_back", to="original")["changed"]
    assert host.whole() == before
    assert host.namespace.run(["ls", "-A", "/var/lib"]).stdout == ""


# Removes everything; another controller starts a trial as soon as the first one removes the folder.
REMOVES_WHILE_ANOTHER_STARTS = """
import json, sys, threading
from ansible_collections.nettune.kernel.plugins.module_utils import _state, _trial

remove_folder, try_flock = _state.State.remove_folder, _state.try_flock
waits = threading.Event()

def asked(path):
    descriptor = try_flock(path)
    if descriptor is None and threading.current_thread() is other:
        waits.set()
    return descriptor

def remove(state):
    other.start()
    waits.wait(20)
    remove_folder(state)

_state.try_flock, _state.State.remove_folder = asked, remove
other = threading.Thread(target=lambda: _trial.Trials().start(**json.loads(sys.argv[1])))
_trial.Trials().remove("a test")
other.join()
"""


def test_who_starts_while_everything_is_removed_keeps_the_journal(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    before = host.value("net.core.somaxconn")
    arguments = json.dumps(start_arguments({"net.core.somaxconn": "99"}, confirm_within=60, rollout_id="r2"))
    script = ["python3", "-c", REMOVES_WHILE_ANOTHER_STARTS, arguments]
    host.namespace.run(script, env=host.namespace.environment)
    assert host.value("net.core.somaxconn") == "99"
    assert host.value("net.ipv4.tcp_fin_timeout") == "60"
    assert host.info()["pending"]["rollout_id"] == "r2"
    host.trial("rolled_back")
    assert host.value("net.core.somaxconn") == before


def test_without_root_one_sentence_says_what_to_do(host: Any) -> None:
    answer = host.trial("started", through=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert answer["msg"] == "changing sysctls needs root: use become"


def test_an_empty_value_is_a_value(host: Any) -> None:
    key = "net.ipv4.ip_local_reserved_ports"
    before = host.whole()
    answer = host.trial("started", sysctl={key: "8080"})
    assert answer["values"] == {key: {"before": "", "after": "8080"}}
    host.trial("confirmed")
    assert host.trial("started", sysctl={key: ""}, rollout_id="r2")["values"] == {key: {"before": "8080", "after": ""}}
    host.trial("rolled_back")
    assert host.value(key) == "8080"
    host.trial("rolled_back")
    assert host.whole() == before


def test_what_appears_during_the_trial_stays(host: Any) -> None:
    host.trial("started")
    host.namespace.run(["ip", "link", "add", "new0", "type", "veth", "peer", "name", "new1"])
    before = host.value("net.ipv4.conf.new0.rp_filter")
    assert host.trial("rolled_back")["drift"] == []
    assert host.value("net.ipv4.conf.new0.rp_filter") == before


def test_an_interface_that_takes_a_default_of_the_trial_keeps_it_and_is_reported(host: Any) -> None:
    defaults = {"net.ipv4.conf.default.rp_filter": "1", "net.ipv6.conf.default.hop_limit": "33"}
    old = {key: host.value(key) for key in defaults}
    host.trial("started", sysctl={**defaults, "net.ipv4.ip_forward": "1"})
    host.namespace.run(["ip", "link", "add", "new0", "type", "veth", "peer", "name", "eth0.7"])
    host.write("net.ipv6.conf.new0.hop_limit", "77")
    # It is no reason not to confirm: this is what the set asked for.
    assert host.info()["drift"] == []
    assert not host.trial("confirmed", _ansible_check_mode=True).get("failed")
    drift = host.trial("rolled_back")["drift"]
    rp_filter, hop_limit = old.values()
    assert [(entry["key"], entry["expected"], entry["found"]) for entry in drift] == [
        ("net.ipv4.conf.eth0/7.rp_filter", rp_filter, "1"),
        ("net.ipv4.conf.new0.rp_filter", rp_filter, "1"),
        ("net.ipv6.conf.eth0/7.hop_limit", hop_limit, "33"),
    ]
    assert host.info()["history"][0]["drift"] == drift
    assert {key: host.value(key) for key in defaults} == old
    assert host.value("net.ipv4.conf.new0.rp_filter") == "1"
    assert host.value("net.ipv4.conf.new0.forwarding") == "0"


def test_what_somebody_wrote_before_the_first_write_is_theirs(host: Any) -> None:
    writer = "sleep 1; echo 44 >/proc/sys/net/ipv4/tcp_fin_timeout; echo 7000 >/proc/sys/net/ipv4/tcp_keepalive_time"
    host.namespace.run(["setsid", "-f", "sh", "-c", writer])
    answer = host.trial("started", guard={"baseline_seconds": 3})
    assert answer["values"]["net.ipv4.tcp_fin_timeout"] == {"before": "44", "after": "20"}
    assert answer["side_effects"] == {}
    host.trial("rolled_back")
    assert host.value("net.ipv4.tcp_fin_timeout") == "44"
    assert host.value("net.ipv4.tcp_keepalive_time") == "7000"


def test_a_file_that_somebody_edited_meanwhile_is_not_overwritten(host: Any) -> None:
    host.trial("started")
    host.namespace.write(PATH, "# an edit\n")
    refused = host.trial("confirmed")
    assert refused["failed"]
    assert PATH in refused["msg"]
    host.trial("rolled_back")
    assert host.namespace.read(PATH) == "# an edit\n"


def test_a_file_that_was_masked_is_left_alone_and_reported(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    host.namespace.run(["ln", "-sf", "/dev/null", PATH])
    answer = host.trial("rolled_back")
    assert [entry["key"] for entry in answer["drift"]] == [PATH]
    assert host.value("net.ipv4.tcp_fin_timeout") == "60"
    assert host.namespace.run(["readlink", PATH]).stdout == "/dev/null\n"
    assert host.left_behind() == []
    assert host.info()["pending"] is None


def test_the_original_outlives_many_trials_of_another_file(host: Any) -> None:
    before = host.whole()
    first = {"sysctl": {"net.core.somaxconn": 77}, "path": "/etc/sysctl.d/50-first.conf"}
    host.trial("started", rollout_id="first", **first)
    host.trial("confirmed")
    for number in range(21):
        host.trial("started", rollout_id=f"r{number}", sysctl={"net.ipv4.tcp_fin_timeout": 20 + number})
        host.trial("confirmed")
    host.trial("rolled_back", to="original")
    assert host.whole() == before


# Confirms one trial after another, and then removes everything.
MANY_TRIALS = """
import json, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _trial

trials = _trial.Trials()
for arguments in json.loads(sys.argv[1]):
    trials.start(**arguments)
    trials.confirm(arguments["rollout_id"])
print([outcome["drift"] for _record, outcome in trials.remove("a test")])
"""


def test_the_original_outlives_many_trials_of_its_file(host: Any) -> None:
    """What only the first one changed besides is remembered with those that are kept."""
    before = host.whole()
    forwarding = {"net.ipv6.conf.all.forwarding": "1"}
    many = [
        start_arguments({**forwarding, "net.ipv4.tcp_fin_timeout": str(20 + number)}, 60, rollout_id=f"r{number}")
        for number in range(23)
    ]
    words = ["python3", "-c", MANY_TRIALS, json.dumps(many)]
    assert host.namespace.run(words, env=host.namespace.environment).stdout == "[[]]\n"
    assert host.whole() == before


def test_a_key_of_another_file_is_not_dropped(host: Any) -> None:
    host.trial("started", sysctl={"net.core.somaxconn": 77}, path="/etc/sysctl.d/50-first.conf")
    host.trial("confirmed")
    host.trial("started", sysctl={"net.core.somaxconn": 77, "net.ipv4.tcp_fin_timeout": 20}, rollout_id="r2")
    host.trial("confirmed")
    host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": 30}, rollout_id="r3")
    assert host.value("net.core.somaxconn") == "77"


@pytest.mark.parametrize("rollout_id", ["r1", "nonsense", None])
def test_check_mode_predicts_which_trial_is_undone(host: Any, rollout_id: str | None) -> None:
    host.trial("started")
    host.trial("confirmed")
    arguments = {"rollout_id": rollout_id} if rollout_id else {}
    predicted = host.trial("rolled_back", _ansible_check_mode=True, **arguments)
    real = host.trial("rolled_back", **arguments)
    assert predicted["changed"] == real["changed"]
    assert predicted.get("diff") == real.get("diff")


def test_check_mode_knows_a_trial_that_is_over(host: Any) -> None:
    host.trial("started")
    host.namespace.run(["pkill", "-KILL", "-f", "guard.pyz"])
    host.namespace.run(["sh", "-c", "while pgrep -f guard[.]pyz; do sleep 0.05; done"])
    again = {"sysctl": {"net.ipv4.tcp_fin_timeout": 30}, "rollout_id": "r2"}
    predicted = host.trial("started", _ansible_check_mode=True, **again)
    real = host.trial("started", **again)
    assert predicted["values"] == real["values"] == {"net.ipv4.tcp_fin_timeout": {"before": "60", "after": "30"}}
