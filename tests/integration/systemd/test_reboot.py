# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss of power at each phase of a trial: the host boots entirely old or entirely new, and the next run works."""

from __future__ import annotations

import json
from typing import Any

import pytest

SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.ip_forward": "1"}

# The module, which stops for ever, with the lock held, before or after it calls the named function.
FROZEN = """
import importlib, signal, sys
from ansible_collections.nettune.kernel.plugins.modules import sysctl_trial
owner, name, when = sys.argv[1:]
sys.argv[1:] = []
package = "ansible_collections.nettune.kernel.plugins.module_utils."
module = importlib.import_module(package + owner)
trials = importlib.import_module(package + "_trial").Trials()
function = getattr(module, name)

def call(*args, **kwargs):
    if when == "after":
        function(*args, **kwargs)
    print(trials.pending()["phase"], flush=True)
    signal.pause()

setattr(module, name, call)
sysctl_trial.main()
"""


def check_next_run(host: Any) -> None:
    """After a reboot: nothing is left, and a whole trial works."""
    host.info()
    assert host.left_behind() == []
    host.trial("started", rollout_id="r2", sysctl={"net.ipv4.tcp_fin_timeout": "25"}, force=True)
    host.trial("confirmed", rollout_id="r2")
    assert host.value("net.ipv4.tcp_fin_timeout") == "25"
    assert host.left_behind() == []


@pytest.mark.parametrize(
    ("phase", "former", "state", "function", "when", "boots"),
    [
        ("armed", [], "started", "_guard_process.start", "before", "old"),
        ("armed", [], "started", "_guard_process.start", "after", "old"),
        ("writing", [], "started", "_trial.enforce", "before", "old"),
        ("writing", [], "started", "_trial.enforce", "after", "old"),
        ("writing", [], "started", "_sysctl_file.write", "after", "old"),
        ("confirming", ["started"], "confirmed", "_sysctl_file.write", "before", "old"),
        ("confirming", ["started"], "confirmed", "_sysctl_file.write", "after", "new"),
        ("restoring", ["started"], "rolled_back", "_trial.restore", "before", "old"),
        ("restoring", ["started"], "rolled_back", "_trial.restore", "after", "old"),
        ("undoing", ["started", "confirmed"], "rolled_back", "_trial.restore", "before", "old"),
        ("undoing", ["started", "confirmed"], "rolled_back", "_sysctl_file.restore", "after", "old"),
    ],
)
def test_in_the_middle(
    host: Any, phase: str, former: list[str], state: str, function: str, when: str, boots: str
) -> None:
    old = host.whole()
    for step in former:
        host.trial(step)
    arguments = {
        "state": state,
        "sysctl": SET,
        "rollout_id": "r1",
        "confirm_within": 60,
        "guard": {"baseline_seconds": 0},
    }
    frozen = host.popen(["python3", "-c", FROZEN, *function.split("."), when])
    frozen.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    frozen.stdin.close()
    assert frozen.stdout.readline() == phase + "\n"
    host.reboot()
    frozen.wait()
    if phase == "undoing":
        # The file is restored after the values: the first look after the boot finishes what was undone.
        assert host.is_new() or host.whole() == old
    else:
        assert host.is_new() if boots == "new" else host.whole() == old
    outcome = host.info()
    assert outcome["changed"]
    assert outcome["history"][0]["state"] == ("confirmed" if boots == "new" else "rolled_back")
    assert host.is_new() if boots == "new" else host.whole() == old
    check_next_run(host)


def test_before_any_trial(host: Any) -> None:
    old = host.whole()
    host.reboot()
    assert host.whole() == old
    check_next_run(host)


def test_on_trial(host: Any) -> None:
    old = host.whole()
    host.trial("started")
    assert host.value("net.ipv4.ip_forward") == "1"
    host.reboot()
    assert host.whole() == old
    outcome = host.info()
    assert outcome["pending"] is None
    assert "rebooted" in outcome["history"][0]["reason"]
    check_next_run(host)


def test_on_trial_the_late_confirmation_is_refused(host: Any) -> None:
    old = host.whole()
    host.trial("started")
    host.reboot()
    answer = host.module("sysctl_trial", state="confirmed", rollout_id="r1")
    assert "rebooted" in answer["msg"]
    assert host.whole() == old


def test_confirmed(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    new = host.whole()
    host.reboot()
    assert host.whole() == new
    assert host.info()["drift"] == []
    assert not host.trial("started")["changed"]
    check_next_run(host)


def test_confirmed_and_undone_after_the_boot(host: Any) -> None:
    old = host.whole()
    host.trial("started")
    host.trial("confirmed")
    host.reboot()
    assert host.trial("rolled_back")["drift"] == []
    assert host.whole() == old


def test_rolled_back(host: Any) -> None:
    old = host.whole()
    host.trial("started")
    host.trial("rolled_back")
    host.reboot()
    assert host.whole() == old
    check_next_run(host)
