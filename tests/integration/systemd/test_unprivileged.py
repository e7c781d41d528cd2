# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container without CAP_NET_ADMIN: a trial works entirely, or one sentence says why not and nothing has changed."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import new_host

SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.tcp_tw_reuse": "1"}


@pytest.fixture
def host(image: pathlib.Path) -> Iterator[Any]:
    with new_host(image, capabilities="SYS_ADMIN") as host:
        yield host


def test_a_container_without_net_admin(host: Any) -> None:
    effective = int(host.output("sh", "-c", "sed -n 's/^CapEff://p' /proc/1/status"), 16)
    assert not effective & 1 << 12, "the container has the capability"
    old = host.whole()
    # Not through nsenter, which would bring the capabilities of this process.
    refused = host.module_inside("sysctl_trial", state="started", sysctl={**SET, "net.ipv4.ip_forward": "1"})
    assert refused["msg"] == (
        "net.ipv4.ip_forward: the kernel refuses '1': Operation not permitted"
        " (is this a container? It needs CAP_NET_ADMIN and a writable /proc/sys). Everything was put back"
    )
    assert host.whole() == old
    assert host.left_behind() == []
    assert host.module_inside("sysctl_trial", state="started", sysctl=SET, confirm_within=5)["changed"]
    host.wait_until_clean(seconds=15)
    assert host.whole() == old
    assert host.module_inside("sysctl_trial", state="started", sysctl=SET)["changed"]
    assert host.module_inside("sysctl_trial", state="confirmed")["changed"]
    assert all(host.value(key) == value for key, value in SET.items())
    assert host.module_inside("sysctl_trial", state="rolled_back")["drift"] == []
    assert host.whole() == old
