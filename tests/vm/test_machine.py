# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That a virtual machine is what these tests believe it to be, and leaves nothing behind."""

from __future__ import annotations

from typing import Any


def test_a_reboot_loses_what_was_not_synced(machine: Any) -> None:
    machine.run("echo kept >/root/synced; sync; echo lost >/root/not-synced; echo 1 >/proc/sys/net/ipv4/ip_forward")
    boot = machine.boot_id()
    machine.reboot_hard()
    assert machine.boot_id() not in ("", boot)
    assert machine.output("cat /root/synced") == "kept"
    assert machine.output("cat /root/not-synced") == ""
    assert machine.output("cat /proc/sys/net/ipv4/ip_forward") == "0"


def test_it_has_what_other_tests_need(machine: Any) -> None:
    machine.run("modprobe ip_vs && ip netns add try && ip netns delete try")
    assert machine.output("cat /proc/net/ip_vs").startswith("IP Virtual Server")
    # What is built in, as it may be in a kernel that was brought, has no number of users, and stays.
    machine.run("[ ! -e /sys/module/ip_vs/refcnt ] || modprobe -r ip_vs")
    facts = machine.module("net_facts")["ansible_facts"]["nettune"]
    assert facts["kernel"]["release"] == machine.release
    assert machine.output("systemctl is-system-running") == "running"
