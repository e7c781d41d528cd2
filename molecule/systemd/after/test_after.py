# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The confirmed set is live and persisted, and nothing else of any trial is there."""

from __future__ import annotations

import pytest
from hosts import sysctl

FILE = "/etc/sysctl.d/90-nettune.conf"
SET = {"net.ipv4.ip_forward": "1", "net.ipv4.tcp_fin_timeout": "30", "net.ipv4.tcp_keepalive_time": "600"}


@pytest.mark.parametrize("key", SET)
def test_live(host, key):
    assert sysctl(host, key) == SET[key]


@pytest.mark.parametrize("key", SET)
def test_persisted(host, key):
    assert f"{key} = {SET[key]}" in host.file(FILE).content_string.splitlines()


def test_no_other_file_sets_sysctls(host):
    assert host.check_output("find /etc/sysctl.d /run/sysctl.d -type f -name '*.conf' 2> /dev/null || true") == FILE


def test_no_unit_is_left(host):
    assert host.check_output("systemctl list-units --all --plain --no-legend 'nettune*'") == ""
    assert host.check_output("systemctl --failed --plain --no-legend") == ""


def test_no_process_is_left(host):
    assert "nettune" not in host.check_output("ps -eo args")


def test_no_file_is_left_in_run(host):
    assert host.check_output("find /run -name '*nettune*' -o -path '/run/sysctl.d*'") == ""
