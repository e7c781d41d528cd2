# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The good set went through all waves."""

from __future__ import annotations

import json

import pytest
from hosts import EPHEMERAL, state, state_before, sysctl

testinfra_hosts = ["ansible://servers"]

SET = {"net.core.somaxconn": "8192", "net.ipv4.tcp_fin_timeout": "30"}
FILE = "/etc/sysctl.d/90-nettune.conf"


@pytest.mark.parametrize("key", SET)
def test_live_and_persisted(host, key):
    assert sysctl(host, key) == SET[key]
    assert f"{key} = {SET[key]}" in host.file(FILE).content_string.splitlines()


def test_nothing_else_changed(host):
    changed = set(state(host)) ^ set(state_before(host))
    expected = (FILE, *(f"/proc/sys/{key.replace('.', '/')}:" for key in SET))
    assert not [line for line in changed if not line.startswith(expected)]


def test_it_went_in_waves():
    record = json.loads(min(EPHEMERAL.glob("reports/*.json")).read_text(encoding="utf-8"))
    assert len(record["waves"]) > 1
