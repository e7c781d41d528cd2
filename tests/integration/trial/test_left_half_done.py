# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What once left a host half old and half new, found by random failures (make chaos)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from trials import PATH, content_of

from .conftest import SET

STATE = "/var/lib/nettune"
FORWARDING = {"net.ipv6.conf.all.forwarding": "1"}  # changes the same key of default and of every interface

# One step of a trial while the disk below /etc/sysctl.d takes new names, but does not say that they are safe there.
NO_FSYNC = """
import errno, json, os, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _trial

real = os.fsync

def failing(descriptor):
    if os.readlink("/proc/self/fd/%d" % descriptor) == "/etc/sysctl.d":
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    real(descriptor)

os.fsync = failing
trials = _trial.Trials()
getattr(trials, sys.argv[1])(sys.argv[2])
print(json.dumps(trials.state.warnings))
"""


def wait_until_no_guard(host: Any) -> None:
    deadline = time.monotonic() + 8
    while host.namespace.run(["pgrep", "-f", "guard.pyz"], check=False).returncode == 0:
        assert time.monotonic() < deadline, "a guard goes on"
        time.sleep(0.05)


def test_side_effects_go_back_where_a_later_key_is_refused(host: Any) -> None:
    before = host.whole()
    answer = host.trial("started", sysctl={**FORWARDING, "net.ipv4.tcp_fin_timeout": "never"})
    assert answer["failed"]
    assert host.whole() == before


def test_side_effects_of_a_key_that_stays_in_the_set_stay(host: Any) -> None:
    host.trial("started", sysctl={**FORWARDING, "net.ipv4.tcp_fin_timeout": "20"})
    host.trial("confirmed")
    host.trial("started", sysctl=FORWARDING, rollout_id="r2")
    host.trial("confirmed")
    assert host.value("net.ipv4.tcp_fin_timeout") == "60"
    assert host.value("net.ipv6.conf.default.forwarding") == "1"


def test_a_dropped_key_that_left_with_its_interface_does_not_matter(host: Any) -> None:
    host.namespace.run(["ip", "link", "add", "gone0", "type", "veth", "peer", "name", "gone1"])
    host.trial("started", sysctl={"net.ipv4.conf.gone0.rp_filter": "1", "net.ipv4.tcp_fin_timeout": "20"})
    host.trial("confirmed")
    host.namespace.run(["ip", "link", "del", "gone0"])
    answer = host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": "20"}, rollout_id="r2")
    assert answer.get("changed"), answer


def test_where_the_file_cannot_be_put_back_nothing_is_undone(host: Any) -> None:
    host.trial("started")
    host.trial("confirmed")
    new = host.whole()
    folder = "/etc/sysctl.d"
    host.namespace.run(["sh", "-c", f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"])
    answer = host.trial("rolled_back")
    assert "Read-only file system. Nothing was undone" in answer["msg"]
    assert host.whole() == new
    assert host.left_behind() == []
    host.namespace.run(["umount", folder])
    assert host.trial("rolled_back")["changed"]


@pytest.mark.parametrize("file_before", [None, "# by hand\n"])
def test_an_error_behind_the_rename_leaves_values_and_file_alike(host: Any, file_before: str | None) -> None:
    if file_before:
        host.namespace.write(PATH, file_before)

    def step(name: str, argument: str) -> None:
        words = ["python3", "-c", NO_FSYNC, name, argument]
        (warning,) = json.loads(host.namespace.run(words, env=host.namespace.environment).stdout)
        assert warning.startswith(f"{PATH} is changed, but its folder cannot be synced (Input/output error)")

    before = host.whole()
    host.trial("started")
    step("confirm", "r1")
    assert host.info()["history"][0]["state"] == "confirmed"
    assert host.info()["drift"] == []
    assert host.namespace.read(PATH) == content_of(SET)
    step("roll_back", "a test")
    assert host.info()["history"][0]["state"] == "rolled_back"
    assert host.whole() == before
    assert host.left_behind() == []


def test_a_damaged_history_holds_nothing_up(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.namespace.write(f"{STATE}/history.json", '[{"id": "')
    assert host.trial("rolled_back")["changed"]
    assert host.whole() == before
    assert len(host.info()["history"]) == 1
    assert host.namespace.read(f"{STATE}/history.json.damaged") == '[{"id": "'


def test_damaged_originals_are_found_before_the_point_of_no_return(host: Any) -> None:
    before = host.whole()
    host.trial("started", confirm_within=5)
    host.namespace.write(f"{STATE}/originals.json", "{")
    assert "originals.json is damaged" in host.trial("confirmed")["msg"]
    host.trial("rolled_back")
    assert host.whole() == before


def test_a_supervisor_does_not_outlive_the_state_folder(host: Any) -> None:
    host.trial("started")
    host.namespace.run(["sh", "-c", f"pkill -STOP -f guard[.]pyz; rm -rf {STATE}; pkill -KILL -n -f guard[.]pyz"])
    host.namespace.run(["pkill", "-CONT", "-f", "guard.pyz"], check=False)
    wait_until_no_guard(host)


def test_a_new_trial_does_not_take_one_without_a_journal_for_the_old_values(host: Any) -> None:
    host.trial("started")
    host.namespace.run(["rm", f"{STATE}/trial.json"])
    host.trial("started", sysctl={"net.ipv4.tcp_syn_retries": "4"}, rollout_id="r2")
    assert host.value("net.ipv4.tcp_fin_timeout") == "60"
    host.trial("rolled_back")
    assert host.namespace.run(["test", "-e", "/run/sysctl.d"], check=False).returncode == 1


def test_an_undo_does_not_begin_before_a_trial_without_a_journal_is_restored(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.trial("confirmed")
    host.trial("started", sysctl={"net.ipv4.tcp_syn_retries": "4"}, rollout_id="r2")
    host.namespace.run(["rm", f"{STATE}/trial.json"])
    host.trial("rolled_back", to="original")
    wait_until_no_guard(host)
    assert host.whole() == before
