# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`/run` or `/etc` is full when a trial begins or is confirmed: one sentence, the old values, and nothing is left."""

from __future__ import annotations

from typing import Any

import pytest
from trials import PATH

RUN_PATH = "/run/sysctl.d/90-nettune.trial.conf"
# A small disk of its own: full of bytes, or of files.
DISKS = {"bytes": "size=16k", "files": "size=1m,nr_inodes=8"}
FILL = 'cat /dev/zero >"$0/filler"; for n in 1 2 3 4 5 6 7 8; do : >"$0/filler$n"; done'


def mount_small(host: Any, folder: str, full_of: str) -> None:
    options = f"{DISKS[full_of]},mode=755"
    host.namespace.run(["sh", "-ec", f"mkdir -p {folder}; mount -t tmpfs -o {options} small {folder}"])
    # What trials write to is there before, as it is on a host, apart from the folder that a trial makes itself.
    host.namespace.run(["mkdir", "-p", "/etc/sysctl.d"])


def fill(host: Any, folder: str) -> None:
    host.namespace.run(["sh", "-c", FILL, folder], check=False)


def make_room(host: Any, folder: str) -> None:
    host.namespace.run(["sh", "-c", 'rm -f "$0"/filler*', folder])


def next_run_works(host: Any, before: str) -> None:
    assert host.trial("started", rollout_id="next")["changed"]
    assert host.trial("confirmed", rollout_id="next")["changed"]
    assert host.trial("rolled_back", rollout_id="next")["changed"]
    assert host.whole() == before
    assert host.left_behind() == []


@pytest.mark.parametrize("full_of", DISKS)
@pytest.mark.parametrize("folder", ["/run", "/run/sysctl.d"])
def test_where_run_is_full_nothing_is_started(host: Any, folder: str, full_of: str) -> None:
    mount_small(host, folder, full_of)
    fill(host, folder)
    before = host.whole()
    answer = host.trial("started")
    assert answer["failed"]
    assert answer["msg"] == f"{RUN_PATH} cannot be written: No space left on device. Everything was put back"
    assert host.whole() == before
    assert host.info()["history"][0]["state"] == "rolled_back"
    make_room(host, folder)
    assert host.left_behind() == []
    next_run_works(host, host.whole())


@pytest.mark.parametrize("full_of", DISKS)
@pytest.mark.parametrize("folder", ["/etc", "/etc/sysctl.d"])
@pytest.mark.parametrize("file_before", [None, "# by hand\n"], ids=["no file", "a file"])
def test_where_etc_is_full_nothing_is_confirmed(host: Any, folder: str, full_of: str, file_before: str | None) -> None:
    mount_small(host, folder, full_of)
    if file_before:
        host.namespace.write(PATH, file_before)
    before = host.whole()
    host.trial("started")
    fill(host, folder)
    full = host.whole()
    answer = host.trial("confirmed")
    assert answer["msg"] == f"{PATH} cannot be written: No space left on device. Everything was put back"
    assert host.value("net.ipv4.tcp_fin_timeout") == "60"
    assert host.left_behind() == []
    outcome = host.info()["history"][0]
    assert (outcome["state"], outcome["drift"]) == ("rolled_back", [])
    assert host.namespace.run(["cat", PATH], check=False).stdout == (file_before or "")
    assert host.whole() != full
    make_room(host, folder)
    assert host.whole() == before
    next_run_works(host, before)
