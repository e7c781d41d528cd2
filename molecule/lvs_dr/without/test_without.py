# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Without the ARP settings a real server draws the traffic of the virtual address to itself."""

from __future__ import annotations

from clients import hardware_address, servers_reached, who_has_the_address
from hosts import group

testinfra_hosts = ["ansible://clients"]


def test_one_server_gets_everything(host):
    assert len(set(servers_reached(host))) == 1


def test_the_director_is_passed_by(host):
    servers_reached(host)
    (director,) = group("directors").values()
    assert who_has_the_address(host) != hardware_address(director)
