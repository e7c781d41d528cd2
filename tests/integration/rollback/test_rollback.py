# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/rollback.yml on real hosts, which know what is to be undone from their own journals."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import controller
import pytest
from labs import Lab

HOSTS = ("host1", "host2", "host3")
FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
SOMAXCONN = "net.core.somaxconn"
STATE = (
    "cat /proc/sys/net/ipv4/tcp_fin_timeout /proc/sys/net/core/somaxconn;"
    " find /etc/sysctl.d /run/sysctl.d -type f -exec grep -H '' {} + 2>/dev/null"
)


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab("plain", "rollback")
    lab.up("--hosts", str(len(HOSTS)))
    return lab


def state(lab: Lab) -> dict[str, str]:
    return {host: lab.shell(host, STATE, check=False) for host in HOSTS}


@pytest.fixture(autouse=True)
def _untouched(lab: Lab) -> Iterator[None]:
    """At the end of each test every host is as it was, and remembers nothing."""
    before = state(lab)
    yield
    rollback(lab, "-e", "tune_rollback_to=original")
    assert state(lab) == before
    for host in HOSTS:
        assert lab.shell(host, "ls -d /var/lib/nettune 2>/dev/null", check=False) == ""


def trial(lab: Lab, hosts: str, rollout: str, confirm: bool = True, **values: Any) -> None:
    """A set on trial on these hosts, as a rollout would leave it."""
    sysctl = {key.replace("__", "."): value for key, value in values.items()}
    start = {"state": "started", "rollout_id": rollout, "guard": {"baseline_seconds": 0}, "sysctl": sysctl}
    for arguments in [start, {"state": "confirmed", "rollout_id": rollout}][: 2 if confirm else 1]:
        done = controller.module(lab.inventory, hosts, "sysctl_trial", arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def fin_timeout(lab: Lab, hosts: str, rollout: str, value: int, confirm: bool = True) -> None:
    trial(lab, hosts, rollout, confirm, **{FIN_TIMEOUT: value})


def rollback(lab: Lab, *options: str) -> subprocess.CompletedProcess[str]:
    return controller.run(controller.command("rollback", {}, "-i", str(lab.inventory), *options))


def values(lab: Lab) -> list[str]:
    return [lab.shell(host, "cat /proc/sys/net/ipv4/tcp_fin_timeout").strip() for host in HOSTS]


def test_the_last_rollout_is_undone_where_it_came_and_nothing_else_is(lab: Lab) -> None:
    fin_timeout(lab, "all", "older", 40)
    fin_timeout(lab, "host1:host2", "newer", 30)
    fin_timeout(lab, "host3", "newer", 30, confirm=False)
    done = rollback(lab, "--check")
    assert done.returncode == 0, done.stdout
    assert values(lab) == ["30", "30", "30"]
    assert "Rollout newer: on trial on host3, confirmed on host1, host2\n" in done.stdout
    assert f"host1, host2, host3: would undo: rollout newer, {FIN_TIMEOUT}\n" in done.stdout

    done = rollback(lab)
    assert done.returncode == 0, done.stdout
    assert f"host1, host2, host3: undone: rollout newer, {FIN_TIMEOUT}\n" in done.stdout
    assert values(lab) == ["40", "40", "40"]
    # The next one in line.
    assert "Rollout older: confirmed on host1, host2, host3\n" in rollback(lab).stdout
    assert values(lab) == ["60", "60", "60"]
    done = rollback(lab)
    assert done.returncode == 0
    assert "No rollout is in force" in done.stdout
    assert "host1, host2, host3: nothing to undo\n" in done.stdout
    assert "WARNING" not in done.stdout + done.stderr


def test_hosts_that_the_last_rollout_did_not_reach_keep_the_one_before(lab: Lab) -> None:
    fin_timeout(lab, "all", "older", 40)
    fin_timeout(lab, "host1", "newer", 30)
    done = rollback(lab)
    assert f"host1: undone: rollout newer, {FIN_TIMEOUT}\n" in done.stdout
    assert "host2, host3: nothing to undo\n" in done.stdout
    assert values(lab) == ["40", "40", "40"]


def test_a_named_rollout_that_another_one_covers(lab: Lab) -> None:
    fin_timeout(lab, "all", "older", 40)
    fin_timeout(lab, "host1", "newer", 30)
    done = rollback(lab, "-e", "tune_rollout_id=older")
    assert done.returncode == 2
    assert "host1: NOT undone: rollout newer came after it; undo that first" in done.stdout
    assert f"host2, host3: undone: rollout older, {FIN_TIMEOUT}\n" in done.stdout
    assert values(lab) == ["30", "60", "60"]


def test_a_name_that_nobody_knows(lab: Lab) -> None:
    fin_timeout(lab, "all", "known", 40)
    done = rollback(lab, "-e", "tune_rollout_id=unknown")
    assert done.returncode == 2
    known = r"There is no rollout unknown on any host that answers, and nothing is undone.* newest first: known \(2"
    assert len(re.findall(known, done.stdout)) == 1
    assert "Done" not in done.stdout
    assert values(lab) == ["40", "40", "40"]


def test_a_rollout_that_is_undone_already(lab: Lab) -> None:
    fin_timeout(lab, "host1", "some", 40)
    assert rollback(lab, "-e", "tune_rollout_id=some").returncode == 0
    done = rollback(lab, "-e", "tune_rollout_id=some")
    assert done.returncode == 0
    assert "Rollout some is in force on no host that answers any more\n" in done.stdout
    assert "  host1: undone already: rolled back on request\n" in done.stdout
    assert "  host2, host3: nothing to undo\n" in done.stdout


def test_back_to_the_original_undoes_all_and_forgets_it(lab: Lab) -> None:
    before = state(lab)
    fin_timeout(lab, "host1:host2", "older", 40)
    trial(lab, "host1", "newer", **{SOMAXCONN: 2048})
    done = rollback(lab, "-e", "tune_rollback_to=original")
    assert done.returncode == 0, done.stdout
    assert "Back to the original: 2 hosts\n" in done.stdout
    assert f"host1: undone: everything, {SOMAXCONN}, {FIN_TIMEOUT}\n" in done.stdout
    assert "host3: nothing to undo\n" in done.stdout
    assert state(lab) == before


def test_in_batches(lab: Lab) -> None:
    fin_timeout(lab, "all", "some", 40)
    done = rollback(lab, "-vv", "-e", json.dumps({"tune_rollback_serial": [1, "100%"]}))
    assert done.returncode == 0, done.stdout
    plays = re.split(r"^PLAY \[", done.stdout, flags=re.MULTILINE)
    batches = [set(re.findall(r"^changed: \[(host\d)\]", play, flags=re.MULTILINE)) for play in plays]
    assert [batch for batch in batches if batch] == [{"host1"}, {"host2", "host3"}]
    assert values(lab) == ["60", "60", "60"]


def test_a_lost_host_is_named_and_keeps_nobody_from_being_undone(lab: Lab, tmp_path: pathlib.Path) -> None:
    fin_timeout(lab, "all", "some", 40)
    more = tmp_path / "more.yml"
    more.write_text("servers: {hosts: {host2: {ansible_port: 1}}}")
    done = rollback(lab, "-i", str(more))
    assert done.returncode == 2
    assert re.search(r"  host2: LOST, so nobody knows what it has; undo it when it is back: .*refused", done.stdout)
    assert f"  host1, host3: undone: rollout some, {FIN_TIMEOUT}\n" in done.stdout
    assert values(lab) == ["60", "40", "60"]
    # It is back.
    done = rollback(lab)
    assert done.returncode == 0
    assert f"  host2: undone: rollout some, {FIN_TIMEOUT}\n" in done.stdout
    assert "  host1, host3: undone already: rolled back on request\n" in done.stdout


def test_what_somebody_else_wrote_is_left_alone_and_named(lab: Lab) -> None:
    fin_timeout(lab, "all", "some", 40)
    lab.shell("host3", "echo 55 > /proc/sys/net/ipv4/tcp_fin_timeout")
    try:
        done = rollback(lab)
        assert done.returncode == 0, done.stdout
        assert f"host3: {FIN_TIMEOUT} is left alone: somebody else changed it since (it is 55, not 40)" in done.stdout
        assert values(lab) == ["60", "60", "55"]
    finally:
        lab.shell("host3", "echo 60 > /proc/sys/net/ipv4/tcp_fin_timeout")


def test_hosts_that_cannot_be_undone_are_named(lab: Lab) -> None:
    fin_timeout(lab, "all", "some", 40)
    lab.shell("host1", "mount --bind /etc/sysctl.d /etc/sysctl.d && mount -o remount,bind,ro /etc/sysctl.d")
    lab.shell("host2", "cd /var/lib/nettune && cp confirmed.json kept && echo nonsense > confirmed.json")
    try:
        done = rollback(lab)
        assert done.returncode == 2
        assert re.search(r"  host1: NOT undone: /etc/sysctl.d/90-nettune.conf cannot be put back", done.stdout)
        assert re.search(r"  host2: NOT undone: /var/lib/nettune/confirmed.json is damaged", done.stdout)
        assert f"  host3: undone: rollout some, {FIN_TIMEOUT}\n" in done.stdout
        assert values(lab) == ["40", "40", "60"]
    finally:
        lab.shell("host1", "umount /etc/sysctl.d")
        lab.shell("host2", "cd /var/lib/nettune && mv kept confirmed.json")


def test_a_journal_that_lost_its_history_is_enough(lab: Lab) -> None:
    fin_timeout(lab, "all", "some", 40)
    lab.shell("host1", "echo nonsense > /var/lib/nettune/history.json")
    done = rollback(lab, "-e", "tune_rollout_id=some")
    assert done.returncode == 0, done.stdout
    assert f"host1, host2, host3: undone: rollout some, {FIN_TIMEOUT}\n" in done.stdout
    assert values(lab) == ["60", "60", "60"]
