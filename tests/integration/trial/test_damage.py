# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of what is remembered change on the disk: never a wrong value, always a sentence."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from trials import start_arguments

from .conftest import SET

STATE = "/var/lib/nettune"

# In one process on a real host: a trial whose guard looks, then a byte of its journal changes, then it looks again.
# Prints how many times, and what went wrong.
EVERY_BYTE = """
import json, os, signal, subprocess, sys, time
from ansible_collections.nettune.kernel.plugins.module_utils import _enforce, _guard, _live, _state, _trial
from ansible_collections.nettune.kernel.plugins.module_utils._trial_memory import HISTORY

arguments, places = json.loads(sys.argv[1]), int(sys.argv[2])
trials = _trial.Trials()
trials.start(**arguments)
for pid in subprocess.check_output(["pgrep", "-f", "guard[.]pyz"]).split():
    os.kill(int(pid), signal.SIGKILL)
record = trials.pending()
path = trials.state.path(_state.PENDING)
with open(path, "rb") as stream:
    journal = stream.read()

wrong = []
step = max(1, len(journal) // places)
for number, place in enumerate(range(0, len(journal), step)):
    with open(path, "wb") as stream:
        stream.write(journal)
    _enforce.enforce(record["applied"])
    guard = _guard.Guard(trials, record["id"])
    if not guard.step():
        wrong.append((place, "the guard ends a sound trial"))
    # By turns a flipped bit, another figure, a byte less, nothing from there on.
    byte = journal[place]
    bad = [bytes([byte ^ 1]), b"7" if byte != ord("7") else b"8", b"", None][number % 4]
    with open(path, "wb") as stream:
        stream.write(journal[:place] if bad is None else journal[:place] + bad + journal[place + 1 :])
    try:
        trials.pending()
        wrong.append((place, "believed"))
    except _state.Damaged:
        pass
    if guard.step():
        wrong.append((place, "the guard goes on"))
    if _live.values_of(record["before"]) != record["before"]:
        wrong.append((place, "the old values are not back"))
    outcome = trials.memory.history()[0]
    if (outcome["state"], outcome["reason"]) != ("rolled_back", "its journal was lost or damaged"):
        wrong.append((place, outcome["reason"]))
    trials.state.remove(HISTORY)
print(json.dumps([number + 1, wrong]))
"""
START = start_arguments(SET, confirm_within=600)

FLIP = """
import sys
with open(sys.argv[1], "r+b") as stream:
    data = bytearray(stream.read())
    data[len(data) * int(sys.argv[2]) // 100] ^= 1
    stream.seek(0)
    stream.write(data)
"""


def flip(host: Any, name: str, percent: int = 50) -> None:
    host.namespace.run(["python3", "-c", FLIP, f"{STATE}/{name}", str(percent)])


def wait_until_no_guard(host: Any) -> None:
    deadline = time.monotonic() + 8
    while host.namespace.run(["pgrep", "-f", "guard.pyz"], check=False).returncode == 0:
        assert time.monotonic() < deadline, "a guard goes on"
        time.sleep(0.05)


def test_a_journal_with_any_byte_damaged_leads_to_the_old_values(host: Any) -> None:
    before = host.whole()
    words = ["python3", "-c", EVERY_BYTE, json.dumps(START), "250"]
    times, wrong = json.loads(host.namespace.run(words, env=host.namespace.environment, timeout=150).stdout)
    assert times >= 250
    assert wrong == []
    assert host.info()["pending"] is None
    assert host.whole() == before
    assert host.left_behind() == []


@pytest.mark.parametrize("percent", [0, 3, 50, 99])
def test_the_guard_on_duty_ends_a_trial_whose_journal_is_damaged(host: Any, percent: int) -> None:
    before = host.whole()
    host.trial("started")
    flip(host, "trial.json", percent)
    # Whoever asks waits for it, and hears how it ended.
    answer = host.trial("confirmed")
    assert "was rolled back here" in answer["msg"]
    assert "its journal was lost or damaged" in answer["msg"]
    assert host.whole() == before
    assert host.left_behind() == []
    assert host.trial("started", rollout_id="r2")["changed"]


def test_a_damaged_journal_without_a_guard_is_told_with_what_to_do(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.namespace.run(["sh", "-c", "pkill -STOP -f guard[.]pyz"])
    flip(host, "trial.json")
    host.namespace.run(["sh", "-c", "pkill -KILL -f guard[.]pyz; while pgrep -f guard[.]pyz; do sleep 0.05; done"])
    on_trial = host.whole()
    for answer in (
        host.info(),
        host.info(_ansible_check_mode=True),
        host.trial("started", rollout_id="r2"),
        host.trial("confirmed"),
        host.trial("rolled_back"),
        host.trial("rolled_back", to="original"),
    ):
        assert answer["failed"]
        assert "trial.json is damaged" in answer["msg"]
        assert "compare the values in /proc/sys with the files in /etc/sysctl.d, then move" in answer["msg"]
        assert host.whole() == on_trial
    # As it says: the values of the trial are to be seen, and everything works again.
    host.write("net.ipv4.tcp_fin_timeout", "60")
    host.write("net.ipv4.tcp_tw_reuse", "2")
    host.namespace.run(["sh", "-c", f"rm {STATE}/trial.json; rm -r /run/sysctl.d"])
    assert host.info()["pending"] is None
    assert host.whole() == before
    assert host.trial("started", rollout_id="r2")["changed"]


def test_a_guard_that_cannot_read_its_journal_any_more_says_so_and_goes(host: Any) -> None:
    host.trial("started")
    supervisor, guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    host.namespace.run(["sh", "-c", f"kill -STOP {guard}"])
    flip(host, "trial.json")
    host.namespace.run(["kill", "-KILL", guard])
    wait_until_no_guard(host)
    assert supervisor
    assert "trial.json is damaged" in host.info()["msg"]


@pytest.mark.parametrize("name", ["confirmed.json", "originals.json"])
def test_what_is_needed_to_undo_is_checked_before_anything_happens(host: Any, name: str) -> None:
    host.trial("started")
    host.trial("confirmed")
    confirmed = host.whole()
    flip(host, name)
    for arguments in ({}, {"to": "original"}):
        answer = host.trial("rolled_back", **arguments)
        assert f"{name} is damaged" in answer["msg"]
        assert host.whole() == confirmed
    assert host.left_behind() == []
    # A trial can still begin where it needs nothing of it, and then ends as it began.
    host.trial("started", sysctl={"net.core.somaxconn": 99}, path="/etc/sysctl.d/50-other.conf", rollout_id="r2")
    host.trial("rolled_back", rollout_id="r2")
    assert host.whole() == confirmed
    host.namespace.run(["rm", f"{STATE}/{name}"])
    assert not host.info().get("failed")


def test_a_damaged_history_is_told_kept_and_begun_anew(host: Any) -> None:
    host.trial("started")
    host.trial("rolled_back")
    flip(host, "history.json")
    damaged = host.namespace.read(f"{STATE}/history.json")
    look = host.info()
    assert look["history"] == []
    assert f"{STATE}/history.json is damaged and counts as empty" in json.dumps(look["warnings"])
    assert host.namespace.read(f"{STATE}/history.json") == damaged
    host.trial("started", rollout_id="r2")
    host.trial("rolled_back")
    assert [entry["rollout_id"] for entry in host.info()["history"]] == ["r2"]
    assert host.namespace.read(f"{STATE}/history.json.damaged") == damaged


def test_without_a_history_a_confirmed_rollout_can_still_be_undone(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.trial("confirmed")
    flip(host, "history.json")
    assert not host.trial("rolled_back", rollout_id="nonsense")["changed"]
    assert host.trial("rolled_back", rollout_id="r1", _ansible_check_mode=True)["changed"]
    assert host.trial("rolled_back", rollout_id="r1")["changed"]
    assert host.whole() == before


@pytest.mark.parametrize("how", ["damaged", "lost"])
def test_without_a_history_a_confirmed_rollout_is_still_known_to_be(host: Any, how: str) -> None:
    host.trial("started")
    name = host.trial("confirmed")["trial"]["id"]
    confirmed = host.whole()
    if how == "damaged":
        flip(host, "history.json")
    else:
        host.namespace.run(["rm", f"{STATE}/history.json"])
    for arguments in ({"rollout_id": "r1"}, {}):
        again = host.trial("confirmed", **arguments)
        assert again["changed"] is False
        assert (again["trial"]["id"], again["trial"]["state"]) == (name, "confirmed")
    answer = host.trial("confirmed", rollout_id="nonsense")
    assert answer["msg"] == "nothing is on trial here, so nothing can be confirmed"
    assert host.whole() == confirmed


def test_a_folder_in_place_of_the_journal_does_not_keep_the_old_values_away(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.namespace.run(["sh", "-c", f"rm {STATE}/trial.json && mkdir {STATE}/trial.json"])
    wait_until_no_guard(host)
    assert host.whole() == before
    assert "cannot read /var/lib/nettune/trial.json: Is a directory" in host.info()["msg"]
    host.namespace.run(["rmdir", f"{STATE}/trial.json"])
    assert host.info()["history"][0]["state"] == "rolled_back"
    assert host.trial("started", rollout_id="r2")["changed"]
