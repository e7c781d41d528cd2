# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root without CAP_NET_ADMIN, as in many a container: most keys can be written, some cannot."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from .conftest import SET

WITHOUT = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
CAP_NET_ADMIN = 1 << 12


def test_keys_that_need_no_capability_work_entirely(host: Any) -> None:
    before = host.whole()
    assert host.trial("started", through=WITHOUT)["changed"]
    for pid in host.namespace.run(["pgrep", "-f", "guard.pyz"]).stdout.split():
        status = host.namespace.read(f"/proc/{pid}/status")
        assert not int(status.partition("CapEff:")[2].split()[0], 16) & CAP_NET_ADMIN, "the test lets it keep too much"
    assert host.trial("rolled_back", through=WITHOUT)["changed"]
    assert host.whole() == before
    host.trial("started", through=WITHOUT, confirm_within=5)
    assert host.wait_until_over()["reason"] == "nobody confirmed it in time"
    assert host.whole() == before
    host.trial("started", through=WITHOUT)
    assert host.trial("confirmed", through=WITHOUT)["changed"]
    assert all(host.value(key) == value for key, value in SET.items())
    assert host.trial("rolled_back", through=WITHOUT)["drift"] == []
    assert host.whole() == before


def test_a_key_that_needs_it_changes_nothing_and_is_named_in_one_sentence(host: Any) -> None:
    before = host.whole()
    answer = host.trial("started", sysctl={**SET, "net.ipv4.ip_forward": "1"}, through=WITHOUT)
    assert answer["msg"] == (
        "net.ipv4.ip_forward: the kernel refuses '1': Operation not permitted"
        " (is this a container? It needs CAP_NET_ADMIN and a writable /proc/sys). Everything was put back"
    )
    assert host.whole() == before
    assert host.left_behind() == []


def test_who_may_not_put_it_back_leaves_it_to_the_guard(host: Any) -> None:
    before = host.whole()
    host.trial("started", sysctl={**SET, "net.ipv4.ip_forward": "1"})
    answer = host.trial("rolled_back", reason="a test", through=WITHOUT)
    assert "net.ipv4.ip_forward: the kernel refuses '0': Operation not permitted" in answer["msg"]
    assert "The guard and the next run try again" in answer["msg"]
    assert host.wait_until_over()["reason"] == "a test"
    assert host.whole() == before


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
def test_rules_that_cannot_be_listed_are_unknown_and_not_absent(host: Any) -> None:
    rules = "table ip t { chain c { type nat hook postrouting priority 0; masquerade ; } ; }"
    host.namespace.run(["nft", "-f", "-"], input=rules)
    host.write("net.ipv4.ip_forward", "1")
    (role,) = host.namespace.module("net_facts")["ansible_facts"]["nettune"]["topology"]["role"]
    assert role["value"] == "nat_gateway"
    facts = host.namespace.module("net_facts", through=WITHOUT)["ansible_facts"]["nettune"]
    assert "role" not in facts["topology"]
    assert {"what": "rules of nf_tables", "reason": "Operation not permitted"} in facts["unreadable"]
