# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With the set all traffic goes by the director; a set that would end that is refused."""

from __future__ import annotations

import json

import pytest
from clients import hardware_address, servers_reached, who_has_the_address
from hosts import group, start_rollout, state

testinfra_hosts = ["ansible://clients"]


def test_all_servers_get_their_share(host):
    assert set(servers_reached(host)) == set(group("servers"))


def test_the_director_has_the_address(host):
    servers_reached(host)
    (director,) = group("directors").values()
    assert who_has_the_address(host) == hardware_address(director)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("net.ipv4.conf.all.arp_ignore", 0, "lvs.arp_unfit"),
        ("net.ipv4.conf.all.arp_announce", 1, "lvs.arp_unfit"),
    ],
)
def test_a_set_that_ends_it_is_refused(key, value, rule):
    servers = group("servers")
    before = {name: state(server) for name, server in servers.items()}
    proposed = {"tune_hosts": "servers", "tune_sysctl": {key: value}}
    rollout = start_rollout("--extra-vars", json.dumps(proposed))
    told, _nothing = rollout.communicate(timeout=60)
    assert rollout.returncode != 0, told
    assert rule in told
    assert {name: state(server) for name, server in servers.items()} == before
