# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who looks on, and which connections are opened from where."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import watch

GROUPS = {"all": ["web1", "web2", "proxy1", "proxy2", "client"], "proxies": ["proxy1", "proxy2"], "nobody": []}
TARGETS = [
    {"host": "web1", "address": "192.0.2.11", "port": 80, "rate": 2.0},
    {"host": "web2", "address": "2001:db8::12", "port": 0, "rate": 2.0},
]


def planned(
    *specs: dict[str, Any], watching: tuple[str, ...] = ("proxy1", "proxy2")
) -> dict[str, list[dict[str, Any]]]:
    return watch.probes([{"from": ["controller"], **spec} for spec in specs], TARGETS, watching, GROUPS)


def test_observers_are_hosts_and_groups() -> None:
    assert watch.observers(["client", "proxies", "proxy1"], GROUPS, ["web1"]) == ["client", "proxy1", "proxy2"]


@pytest.mark.parametrize(
    ("names", "sentence"), [(["prxies"], "names 'prxies', and the inventory"), (["web1"], "web1 is to be changed")]
)
def test_an_observer_must_exist_and_stay_as_it_is(names: list[str], sentence: str) -> None:
    with pytest.raises(watch.BadWatch, match=sentence):
        watch.observers(names, GROUPS, ["web1", "web2"])


def test_each_host_has_its_own_port_and_rate() -> None:
    (probe,) = planned({"each": True})["controller"]
    assert (probe["host"], probe["address"], probe["port"], probe["rate"]) == ("web1", "192.0.2.11", 80, 2.0)
    both = planned({"each": True, "port": 443, "rate": 5.0, "name": "shop"})["controller"]
    assert [(probe["name"], probe["port"], probe["rate"]) for probe in both] == [
        ("shop web1", 443, 5.0),
        ("shop web2", 443, 5.0),
    ]


def test_what_nobody_wrote_is_as_rollout_probe_has_it() -> None:
    more = {"type": "tcp", "path": "/", "status": [200], "timeout": 3.0, "slow_ms": 500.0}
    assert planned({"each": True})["controller"] == [{**TARGETS[0], **more}]
    service = {"address": "192.0.2.100", "host": None, "port": 80, "rate": 1.0}
    assert planned({"host": "192.0.2.100", "port": 80})["controller"] == [{**service, **more}]


def test_a_service_belongs_to_no_host() -> None:
    plan = planned({"host": "192.0.2.100", "port": 80, "type": "http", "from": ["controller", "observers"]})
    assert set(plan) == {"controller", "proxy1", "proxy2"}
    assert plan["proxy1"][0]["host"] is None
    assert plan["proxy1"][0]["status"] == [200]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({}, "give host.* or each: true"),
        ({"host": "192.0.2.100", "each": True}, "give host.* or each: true"),
        ({"host": "192.0.2.100"}, "give the port of 192.0.2.100"),
        ({"host": "192.0.2.100", "port": 99999}, "99999 is not within"),
        ({"each": True, "rate": 0}, "rate must be above 0"),
        ({"each": True, "from": ["web1"]}, "from names 'web1': it must be controller, observers"),
        ({"each": True, "from": ["nobody"]}, "from names 'nobody'"),
    ],
)
def test_what_cannot_be_opened_is_refused(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(watch.BadWatch, match=rf"tune_probes\[1\]: .*{sentence}"):
        planned({"each": True}, spec)


def test_observers_that_nobody_named_cannot_open_any() -> None:
    with pytest.raises(watch.BadWatch, match="from names 'observers'"):
        planned({"each": True, "from": ["observers"]}, watching=())


def test_what_was_dead_before_is_left_out_where_it_was() -> None:
    plan = planned({"host": "192.0.2.100", "port": 80, "from": ["controller", "proxy1"]})
    tallies = [
        {"source": "controller", "probe": "tcp 192.0.2.100:80", "ok": 3},
        {"source": "proxy1", "probe": "tcp 192.0.2.100:80", "ok": 0},
    ]
    alive, silent = watch.without_silent(plan, tallies)
    assert set(alive) == {"controller"}
    assert silent == ["tcp 192.0.2.100:80 (from proxy1)"]
