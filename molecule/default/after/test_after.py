# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The set is live, persisted, and what the next boot sets; nothing else is left."""

from __future__ import annotations

import pytest
from hosts import state, state_before, sysctl

FILE = "/etc/sysctl.d/90-nettune.conf"
SET = {"net.ipv4.tcp_fin_timeout": "30", "net.ipv4.tcp_keepalive_time": "600"}


@pytest.mark.parametrize("key", SET)
def test_live(host, key):
    assert sysctl(host, key) == SET[key]


@pytest.mark.parametrize("key", SET)
def test_persisted(host, key):
    assert f"{key} = {SET[key]}" in host.file(FILE).content_string.splitlines()


def test_next_boot(host):
    host.check_output("echo 61 > /proc/sys/net/ipv4/tcp_fin_timeout")
    host.check_output("sysctl --system")
    assert sysctl(host, "net.ipv4.tcp_fin_timeout") == "30"


def test_nothing_else_changed(host):
    changed = set(state(host)) ^ set(state_before(host))
    expected = (FILE, "/proc/sys/net/ipv4/tcp_fin_timeout:", "/proc/sys/net/ipv4/tcp_keepalive_time:")
    assert not [line for line in changed if not line.startswith(expected)]


def test_no_process_is_left(host):
    assert "nettune" not in host.check_output("ps -eo args")
