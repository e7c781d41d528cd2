# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person who is not root on the host, through Ansible and ssh: with become, and without."""

from __future__ import annotations

import pathlib
import shutil
import time
from collections.abc import Callable
from typing import Any

import controller
import pytest
import yaml

from .conftest import QUICK, SET

# Without a password, by key alone; `*` is none that could be entered, but does not lock the account.
USER = "somebody"
MAKE_USER = f"""
set -e
useradd --home-dir /tmp/{USER} --create-home --shell /bin/sh --password '*' {USER}
mkdir -p /etc/sudoers.d
echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER}
chmod 440 /etc/sudoers.d/{USER}
"""
KEY = "/proc/sys/net/ipv4/tcp_fin_timeout"


class Somebody:
    """Someone at the controller who reaches the host as a user of that name."""

    def __init__(self, lab: Any, folder: pathlib.Path) -> None:
        self.lab = lab
        lab.shell("host1", MAKE_USER)
        inventory = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))
        inventory["all"]["vars"]["ansible_user"] = USER
        self._inventories = {}
        for become in (False, True):
            inventory["all"]["vars"]["ansible_become"] = become
            self._inventories[become] = folder / f"become-{become}.yml"
            self._inventories[become].write_text(yaml.safe_dump(inventory), encoding="utf-8")

    def module(self, name: str, become: bool = True, **arguments: Any) -> dict[str, Any]:
        return controller.answer(controller.module(self._inventories[become], "host1", name, arguments))

    def trial(self, state: str, become: bool = True, **arguments: Any) -> dict[str, Any]:
        if state == "started":
            arguments = {"sysctl": SET, "rollout_id": "r1", "guard": QUICK, **arguments}
        return self.module("sysctl_trial", become, state=state, **arguments)

    def value(self) -> str:
        return str(self.lab.shell("host1", f"cat {KEY}").strip())

    def guards(self) -> list[str]:
        """Whose they are."""
        return str(self.lab.shell("host1", "pgrep -f guard[.]pyz | xargs -r ps -o user= -p", check=False)).split()


@pytest.fixture(scope="module")
def somebody(make_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Somebody:
    assert shutil.which("sudo"), "sudo is missing here: tools/setup test lab installs it"
    lab = make_lab("plain", "become")
    lab.up("--hosts", "1")
    return Somebody(lab, tmp_path_factory.mktemp("become"))


def test_with_become_a_trial_goes_its_whole_way_and_names_the_person(somebody: Somebody) -> None:
    started = somebody.trial("started")
    assert started["changed"]
    assert started["trial"]["by"] == USER
    # The guard is root's, and outlives the session of sudo as well as that of ssh.
    assert set(somebody.guards()) == {"root"}
    second = somebody.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": "30"}, rollout_id="r2")
    assert f"a trial is pending here: rollout r1 by {USER} with" in second["msg"]
    assert somebody.module("sysctl_trial_info")["pending"]["by"] == USER
    assert somebody.trial("confirmed")["changed"]
    assert somebody.value() == "20"
    assert somebody.guards() == []
    assert somebody.module("sysctl_trial_info")["confirmed"][0]["by"] == USER
    assert somebody.trial("rolled_back", to="original")["changed"]
    assert somebody.value() == "60"


def test_with_become_the_guard_ends_what_nobody_confirms(somebody: Somebody) -> None:
    somebody.trial("started", confirm_within=5)
    deadline = time.monotonic() + 30
    while somebody.guards():
        assert time.monotonic() < deadline, "the guard goes on"
        time.sleep(0.2)
    assert somebody.value() == "60"
    assert somebody.module("sysctl_trial_info")["history"][0]["reason"] == "nobody confirmed it in time"


def test_without_become_one_sentence_says_what_to_do_and_nothing_changes(somebody: Somebody) -> None:
    somebody.trial("started")
    for state in ("started", "confirmed", "rolled_back"):
        answer = somebody.trial(state, become=False)
        assert answer["msg"] == "changing sysctls needs root: use become"
        assert not answer["changed"]
    answer = somebody.module("sysctl_trial_info", become=False)
    assert answer["msg"] == "the journal of trials is readable by root only: use become"
    assert somebody.module("sysctl_trial_info")["pending"]["rollout_id"] == "r1"
    assert somebody.value() == "20"
    assert somebody.trial("rolled_back")["changed"]
    assert somebody.value() == "60"
