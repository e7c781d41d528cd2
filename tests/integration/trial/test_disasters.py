# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen to the host's files during a trial. The host ends old or new, and says why."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

STATE = "/var/lib/nettune"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (f"rm {STATE}/trial.json", "journal was lost"),
        (f"rm -rf {STATE}", "journal was lost"),
        (f"truncate -s 100 {STATE}/trial.json", "journal was lost or damaged"),
        (f"echo garbage >{STATE}/trial.json", "journal was lost or damaged"),
    ],
)
def test_a_lost_or_damaged_journal_ends_the_trial_with_the_old_values(host: Any, damage: str, reason: str) -> None:
    before = host.whole()
    host.trial("started")
    host.namespace.run(["sh", "-c", damage])
    deadline = time.monotonic() + 5
    while host.namespace.run(["pgrep", "-f", "guard.pyz"], check=False).returncode == 0:
        assert time.monotonic() < deadline, "the guard goes on"
        time.sleep(0.05)
    assert host.whole() == before
    assert reason in host.info()["history"][0]["reason"]
    assert host.trial("started", rollout_id="r2")["changed"]


def test_a_full_disk_before_the_start_changes_nothing(host: Any) -> None:
    host.namespace.run(["sh", "-c", f"mkdir -m 700 {STATE} && mount -t tmpfs -o size=16k,mode=700 small {STATE}"])
    before = host.whole()
    answer = host.trial("started")
    assert answer["failed"]
    assert "No space left on device" in answer["msg"]
    assert host.whole() == before


def test_a_disk_that_fills_up_during_the_trial_does_not_keep_the_old_values_away(host: Any) -> None:
    host.namespace.run(["sh", "-c", f"mkdir -m 700 {STATE} && mount -t tmpfs -o size=1m,mode=700 small {STATE}"])
    before = host.whole()
    host.trial("started", confirm_within=5)
    host.namespace.run(["sh", "-c", f"cat /dev/zero >{STATE}/filler"], check=False)
    deadline = time.monotonic() + 10
    while host.whole() != before:
        assert time.monotonic() < deadline, "the values did not come back"
        time.sleep(0.2)
    host.namespace.run(["rm", f"{STATE}/filler"])
    assert host.wait_until_over()["reason"] == "nobody confirmed it in time"


def wait_until_old(host: Any, before: str) -> None:
    """No module is run: the guard alone has put the values back."""
    deadline = time.monotonic() + 15
    while host.whole() != before:
        assert time.monotonic() < deadline, "the values did not come back"
        time.sleep(0.2)


FILL = f"cat /dev/zero >{STATE}/filler || :"
READ_ONLY = f"mount --bind {STATE} {STATE} && mount -o remount,bind,ro {STATE}"
# What happens to the state folder, and what repairs it.
UNUSABLE = {
    "read-only": (READ_ONLY, f"umount {STATE}"),
    "read-only, without its lock": (f"rm {STATE}/lock && {READ_ONLY}", f"umount {STATE}"),
    "full, and somebody else writes": (
        f"{FILL}; echo 44 >/proc/sys/net/ipv4/tcp_keepalive_time",
        f"rm {STATE}/filler",
    ),
    "of somebody else": (f"chown 65534 {STATE}", f"chown 0 {STATE}"),
    "a link to nothing": (
        f"mkdir /run/aside && mount --move {STATE} /run/aside && rmdir {STATE} && ln -s /run/nothing {STATE}",
        f"rm {STATE} && mkdir {STATE} && mount --move /run/aside {STATE}",
    ),
    "a link to itself elsewhere": (
        f"mkdir /run/aside && mount --move {STATE} /run/aside && rmdir {STATE} && ln -s /run/aside {STATE}",
        f"rm {STATE} && mkdir {STATE} && mount --move /run/aside {STATE}",
    ),
    "a file": (
        f"mkdir /run/aside && mount --move {STATE} /run/aside && rmdir {STATE} && touch {STATE}",
        f"rm {STATE} && mkdir {STATE} && mount --move /run/aside {STATE}",
    ),
}
KEEPALIVE = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.tcp_keepalive_time": "600"}


def start_with_a_small_disk(host: Any, **arguments: Any) -> str:
    """The trial begins with a state folder of its own disk; returns the host as it was before."""
    host.namespace.run(["mount", "--make-rprivate", "/"])
    host.namespace.run(["sh", "-c", f"mkdir -m 700 {STATE} && mount -t tmpfs -o size=1m,mode=700 small {STATE}"])
    before = str(host.whole())
    assert host.trial("started", sysctl=KEEPALIVE, **arguments)["changed"]
    return before


@pytest.mark.parametrize("what", UNUSABLE)
def test_whatever_becomes_of_the_state_folder_nobody_has_to_come_back(host: Any, what: str) -> None:
    before = start_with_a_small_disk(host, confirm_within=5)
    breaks, repairs = UNUSABLE[what]
    host.namespace.run(["sh", "-ec", breaks])
    if "somebody else writes" in what:
        before = before.replace("tcp_keepalive_time:7200", "tcp_keepalive_time:44")
    wait_until_old(host, before)
    host.namespace.run(["sh", "-ec", repairs])
    reason = host.wait_until_over()["reason"]
    assert reason in ("nobody confirmed it in time", "its journal was lost or damaged")
    assert host.whole() == before


@pytest.mark.parametrize("what", ["read-only", "full, and somebody else writes"])
def test_evidence_counts_whatever_becomes_of_the_state_folder(host: Any, what: str) -> None:
    limits = {"baseline_seconds": 0, "max_rise": {"Tcp.AttemptFails": 3}}
    before = start_with_a_small_disk(host, confirm_within=600, guard=limits)
    breaks, repairs = UNUSABLE[what]
    host.namespace.run(["sh", "-ec", breaks])
    fail = "import socket\nfor _ in range(5): socket.socket().connect_ex(('127.0.0.1', 1))"
    host.namespace.run(["python3", "-c", fail])
    if "somebody else writes" in what:
        before = before.replace("tcp_keepalive_time:7200", "tcp_keepalive_time:44")
    wait_until_old(host, before)
    host.namespace.run(["sh", "-ec", repairs])
    assert host.wait_until_over()["by_evidence"]


@pytest.mark.parametrize(
    ("breaks", "repairs"), [UNUSABLE["read-only"], (FILL, f"rm {STATE}/filler")], ids=["read-only", "full"]
)
def test_a_guard_that_was_killed_comes_back_whatever_became_of_its_disk(host: Any, breaks: str, repairs: str) -> None:
    before = start_with_a_small_disk(host, confirm_within=8)
    host.namespace.run(["sh", "-ec", breaks])
    supervisor, guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    host.namespace.run(["kill", "-KILL", guard])
    host.namespace.wait_for(["sh", "-c", f"pgrep -P {supervisor} | grep -qvx {guard}"])
    again = host.namespace.run(["pgrep", "-P", supervisor]).stdout
    wait_until_old(host, before)
    assert host.namespace.run(["pgrep", "-P", supervisor]).stdout == again, "it dies again and again"
    host.namespace.run(["sh", "-ec", repairs])
    assert host.wait_until_over()["reason"] == "nobody confirmed it in time"


def test_a_rollback_does_what_it_can_where_the_state_is_read_only(host: Any) -> None:
    before = start_with_a_small_disk(host)
    host.namespace.run(["sh", "-ec", READ_ONLY])
    answer = host.trial("rolled_back", reason="a test")
    assert answer["msg"] == (f"the old values are back, but cannot write {STATE}/history.json: Read-only file system")
    assert host.whole() == before


@pytest.mark.parametrize("folder", ["/etc/sysctl.d", "/etc"])
def test_where_etc_is_read_only_nothing_is_confirmed(host: Any, folder: str) -> None:
    before = host.whole()
    host.trial("started")
    host.namespace.run(["sh", "-c", f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"])
    answer = host.trial("confirmed")
    assert answer["failed"]
    assert "Read-only file system" in answer["msg"]
    assert host.whole() == before
    assert host.left_behind() == []


def test_where_proc_sys_is_read_only_nothing_is_started(host: Any) -> None:
    host.namespace.run(["sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"])
    before = host.whole()
    answer = host.trial("started")
    assert answer["failed"]
    assert "Read-only file system (is this a container? It needs CAP_NET_ADMIN and" in answer["msg"]
    assert host.whole() == before
    assert host.left_behind() == []


def test_where_proc_sys_becomes_read_only_the_guard_goes_on_until_the_old_values_are_back(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    on_trial = host.whole()
    host.namespace.run(["sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"])
    answer = host.trial("rolled_back", reason="a test")
    assert "the old values cannot be put back" in answer["msg"]
    assert "net.ipv4.tcp_fin_timeout: the kernel refuses '60': Read-only file system" in answer["msg"]
    assert "cannot be put back" in host.info()["msg"]
    assert host.whole() == on_trial
    host.namespace.run(["umount", "/proc/sys"])
    assert host.wait_until_over()["reason"] == "a test"
    assert host.whole() == before


def test_values_that_cannot_be_put_back_can_be_settled_by_hand(host: Any) -> None:
    host.trial("started")
    host.namespace.run(["sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"])
    assert host.trial("rolled_back")["failed"]
    host.namespace.run(["sh", "-c", "pkill -KILL -f guard[.]pyz; while pgrep -f guard[.]pyz; do sleep 0.05; done"])
    host.namespace.run(["umount", "/proc/sys"])
    host.write("net.ipv4.tcp_fin_timeout", "44")
    assert [entry["found"] for entry in host.info()["history"][0]["drift"]] == ["44"]
    assert host.value("net.ipv4.tcp_tw_reuse") == "2"


def test_a_confirmed_trial_is_undone_once_proc_sys_can_be_written_again(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.trial("confirmed")
    host.namespace.run(["sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"])
    assert "cannot be put back" in host.trial("rolled_back")["msg"]
    host.namespace.run(["umount", "/proc/sys"])
    host.wait_until_over()
    assert host.whole() == before


def test_where_var_lib_is_read_only_nothing_is_started(host: Any) -> None:
    host.namespace.run(["mount", "-o", "remount,ro", "/var/lib"])
    before = host.whole()
    answer = host.trial("started")
    assert answer["msg"] == "cannot use the state folder /var/lib/nettune: Read-only file system"
    assert host.whole() == before
    assert host.left_behind() == []


def test_a_state_folder_of_somebody_else_is_refused(host: Any) -> None:
    host.namespace.run(["sh", "-c", f"mkdir {STATE} && chown 65534 {STATE}"])
    before = host.whole()
    assert "belongs to uid 65534: it must belong to root" in host.trial("started")["msg"]
    assert host.whole() == before


def test_a_link_planted_in_place_of_the_state_is_refused(host: Any) -> None:
    host.namespace.run(["sh", "-c", f"mkdir /run/elsewhere && ln -s /run/elsewhere {STATE}"])
    answer = host.trial("started")
    assert answer["failed"]
    assert "is not a folder" in answer["msg"]
    assert host.namespace.run(["ls", "-A", "/run/elsewhere"]).stdout == ""


def test_a_link_planted_in_place_of_the_file_is_refused(host: Any) -> None:
    host.namespace.run(["ln", "-s", "/etc/hosts", "/etc/sysctl.d/90-nettune.conf"])
    before = host.whole()
    answer = host.trial("started")
    assert answer["failed"]
    assert "not a plain file" in answer["msg"]
    assert host.whole() == before


def test_an_interface_that_leaves_takes_its_key_and_nothing_else(host: Any) -> None:
    host.namespace.run(["ip", "link", "add", "gone0", "type", "veth", "peer", "name", "gone1"])
    host.trial("started", sysctl={"net.ipv4.conf.gone0.rp_filter": "1", "net.ipv4.tcp_fin_timeout": "20"})
    host.namespace.run(["ip", "link", "del", "gone0"])
    answer = host.trial("rolled_back")
    assert [entry["key"] for entry in answer["drift"]] == ["net.ipv4.conf.gone0.rp_filter"]
    assert host.value("net.ipv4.tcp_fin_timeout") == "60"


def test_where_the_state_is_read_only_there_is_one_sentence(host: Any) -> None:
    host.trial("started", confirm_within=5)
    host.namespace.run(["sh", "-c", READ_ONLY])
    assert host.info()["pending"]
    answer = host.trial("confirmed")
    assert answer["failed"]
    assert "Read-only file system" in answer["msg"]
    host.namespace.run(["umount", STATE])
    assert host.wait_until_over()["reason"] == "nobody confirmed it in time"


# As if it had watched for hours: so many more of the last sample that the file is about to be cut.
HOURS = f"""
with open("{STATE}/samples.jsonl", "rb") as stream:
    lines = stream.readlines()
with open("{STATE}/samples.jsonl", "ab") as stream:
    stream.write(lines[-1] * ((4 * 1024 * 1024 - stream.tell()) // len(lines[-1])))
"""
TWO_FAIL = "import socket\nfor _ in range(2): socket.socket().connect_ex(('127.0.0.1', 1))"


def test_after_hours_a_guard_that_is_started_anew_still_knows_the_time_before(host: Any) -> None:
    def phases() -> list[str]:
        return [sample["phase"] for sample in host.info(samples=86400)["samples"]]

    host.trial("started", guard={"baseline_seconds": 2, "max_rise": {"Tcp.AttemptFails": 3}})
    armed = phases().count("armed")
    assert armed >= 2
    host.namespace.run(["python3", "-c", TWO_FAIL])
    seen = len(phases())
    host.namespace.wait_for(["sh", "-c", f"test $(wc -l <{STATE}/samples.jsonl) -gt {seen + 1}"])
    host.namespace.run(["python3", "-c", HOURS])
    host.namespace.wait_for(["sh", "-c", f"test $(stat -c %s {STATE}/samples.jsonl) -lt 3000000"])
    assert phases().count("armed") == armed
    supervisor, guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    host.namespace.run(["kill", "-KILL", guard])
    host.namespace.wait_for(["sh", "-c", f"pgrep -P {supervisor} | grep -qvx {guard}"])
    # Two more than the last guard saw are four more than before the trial.
    host.namespace.run(["python3", "-c", TWO_FAIL])
    assert host.wait_until_over()["reason"] == "Tcp.AttemptFails rose by 4 (limit 3)"


def test_what_a_guard_that_died_while_cutting_its_samples_leaves_goes_with_the_trial(host: Any) -> None:
    host.trial("started")
    host.namespace.write(f"{STATE}/samples.jsonl.cut", "{}")
    host.trial("rolled_back")
    assert "samples.jsonl.cut" not in host.namespace.run(["ls", STATE]).stdout


def test_hours_of_samples_are_no_burden_to_a_guard_that_is_started_anew(host: Any) -> None:
    host.trial("started")
    supervisor, guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    host.namespace.wait_for(["grep", "-q", "on_trial", f"{STATE}/samples.jsonl"])
    host.namespace.run(["kill", "-STOP", guard])
    host.namespace.run(["python3", "-c", HOURS])
    host.namespace.run(["kill", "-KILL", guard])
    # Its first look comes after it has read them.
    host.namespace.wait_for(["sh", "-c", f"test $(stat -c %s {STATE}/samples.jsonl) -lt 3000000"])
    again = host.namespace.run(["pgrep", "-P", supervisor]).stdout.strip()
    status = host.namespace.read(f"/proc/{again}/status")
    peak = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])
    assert peak < 20 * 1024
    assert host.info()["pending"]


@pytest.mark.parametrize("line", ["{}", "5", '{"phase": 3, "boot_id": 1, "counters": []}'])
def test_samples_that_are_none_do_not_cost_the_deadline(host: Any, line: str) -> None:
    host.trial("started", confirm_within=5)
    host.namespace.run(["sh", "-c", f"echo '{line}' >>{STATE}/samples.jsonl"])
    _supervisor, guard = host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split()
    host.namespace.run(["kill", "-KILL", guard])
    assert host.wait_until_over()["reason"] == "nobody confirmed it in time"


def test_what_cannot_be_removed_is_not_said_to_be(host: Any) -> None:
    host.trial("started")
    host.trial("rolled_back")
    host.namespace.run(["sh", "-ec", f"mount --make-rprivate /; {READ_ONLY}"])
    answer = host.trial("rolled_back", to="original")
    sentence = f"the old values are back, but the state folder {STATE} cannot be removed: Read-only file system"
    assert (answer["failed"], answer["msg"]) == (True, sentence)
    host.namespace.run(["umount", STATE])
    assert host.trial("rolled_back", to="original")["changed"]
    assert host.namespace.run(["ls", "-A", "/var/lib"]).stdout == ""


def test_a_disk_of_the_state_folder_stays_and_is_empty(host: Any) -> None:
    start_with_a_small_disk(host)
    assert host.trial("rolled_back", to="original")["changed"]
    assert host.namespace.run(["ls", "-A", STATE]).stdout == ""
    assert not host.trial("rolled_back", to="original")["changed"]


@pytest.mark.parametrize("state", ["confirmed", "rolled_back", "info"])
@pytest.mark.parametrize("planted", [f"ln -s /run {STATE}", f"touch {STATE}", f"mkdir {STATE}; chown 65534 {STATE}"])
def test_what_stands_in_place_of_the_state_is_refused_whatever_is_asked(host: Any, state: str, planted: str) -> None:
    host.namespace.run(["sh", "-ec", planted])
    answer = host.info() if state == "info" else host.trial(state)
    assert answer["failed"]
    assert "is not a folder" in answer["msg"] or "must belong to root" in answer["msg"]
