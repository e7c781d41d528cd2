# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else comes while a trial is being armed: he learns whose it is, and whoever rolls back gets through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from namespace_host import MODULES

from .conftest import SET

STATE = "/var/lib/nettune"
# Much longer than an impatient run waits, as tune_baseline is to one that is as patient as always.
BASELINE = 6
IMPATIENT = f"""
from ansible_collections.nettune.kernel.plugins.module_utils import _trial, _trial_module
_trial.LOCK_SECONDS = _trial_module._LOOK_SECONDS = 0.3
from {MODULES} import %s as module
module.main()
"""


class Arming:
    """A start that another controller is at, with its guard sampling the time before."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.process = host.namespace.popen(
            [sys.executable, "-m", f"{MODULES}.sysctl_trial"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **host.namespace.environment},
        )
        arguments = {"state": "started", "sysctl": SET, "rollout_id": "r1", "guard": {"baseline_seconds": BASELINE}}
        self.process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        self.process.stdin.close()
        host.namespace.wait_for(["grep", "-q", "watching", f"{STATE}/guard.json"])

    def meanwhile(self, module: str, **arguments: Any) -> dict[str, Any]:
        """What an impatient run of the module answers."""
        done = self.host.namespace.run(
            [sys.executable, "-c", IMPATIENT % module],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            env=self.host.namespace.environment,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def goes_on(self) -> bool:
        return self.process.poll() is None

    def answer(self) -> dict[str, Any]:
        with self.process.stdout as stream:
            answer: dict[str, Any] = json.loads(stream.read())
        self.process.wait(timeout=30)
        return answer


@pytest.fixture
def arming(host: Any) -> Arming:
    return Arming(host)


def names_it(sentence: str) -> None:
    for part in ("a trial begins here: rollout r1 by ", *SET, "until 20", "roll it back"):
        assert part in sentence


@pytest.mark.parametrize("check_mode", [False, True])
def test_another_start_is_told_whose_trial_it_is_and_until_when(arming: Arming, check_mode: bool) -> None:
    second = {"sysctl": {"net.ipv4.tcp_fin_timeout": 30}, "rollout_id": "r2", "_ansible_check_mode": check_mode}
    answer = arming.meanwhile("sysctl_trial", state="started", **second)
    assert arming.goes_on()
    assert answer["failed"]
    names_it(answer["msg"])
    assert arming.answer()["changed"]


def test_a_look_waits_for_nobody(arming: Arming) -> None:
    begun = time.monotonic()
    info = arming.meanwhile("sysctl_trial_info")
    assert arming.goes_on(), f"the look took {time.monotonic() - begun:.1f} s"
    names_it(info["at_work"])
    assert not info["changed"]
    assert (info["pending"]["rollout_id"], info["pending"]["state"]) == ("r1", "armed")
    # Nothing is written yet, so nobody else has written anything either.
    assert info["drift"] == []
    assert arming.answer()["trial"]["id"] == info["pending"]["id"]
    assert arming.host.info()["at_work"] is None


@pytest.mark.parametrize("arguments", [{}, {"to": "original"}])
def test_whoever_rolls_back_gets_through(host: Any, arguments: dict[str, Any]) -> None:
    before = host.whole()
    arming = Arming(host)
    answer = arming.meanwhile("sysctl_trial", state="rolled_back", **arguments)
    assert answer["changed"]
    assert answer["trial"]["rollout_id"] == "r1"
    assert arming.answer()["changed"]
    assert host.whole() == before
    assert host.left_behind() == []


def test_whoever_confirms_gets_through(arming: Arming) -> None:
    assert arming.meanwhile("sysctl_trial", state="confirmed", rollout_id="r1")["changed"]
    assert arming.answer()["changed"]
