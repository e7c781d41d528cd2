# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared and detected topology."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils.topology import InvalidTopology, resolve


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"front": "nit"}, "topology.front 'nit' is unknown: write one of none, nat, lvs_dr"),
        ({"front": ["nat"]}, "topology.front ['nat'] is unknown"),
        ({"role": ["proxy"]}, "topology.role 'proxy' is unknown: write one of server, client, l7_proxy"),
        ({"role": {"server": True}}, "topology.role must be a list of server"),
        ({"clients_behind_nat": "perhaps"}, "write true, false or unknown"),
        ({"clients_behind_nat": 1}, "write true, false or unknown"),
        ({"vips": [1]}, "topology.vips must be a list of addresses"),
        ({"fronts": "nat"}, "topology has no field 'fronts': it has role, front, clients_behind_nat, vips"),
        (["nat"], "topology must be a dictionary"),
        ("nat", "topology must be a dictionary"),
    ],
)
def test_one_clear_sentence(declared: Any, sentence: str) -> None:
    with pytest.raises(InvalidTopology) as caught:
        resolve(declared, {})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "shared"),
    [
        ({}, None),
        ({"front": "none"}, None),
        ({"front": "lvs_dr"}, None),
        ({"front": "nat"}, True),
        ({"front": "lvs_fullnat"}, True),
        ({"front": "nat", "clients_behind_nat": False}, True),
        ({"front": "lvs_dr", "clients_behind_nat": True}, True),
        ({"front": "lvs_dr", "clients_behind_nat": "false"}, False),
        ({"clients_behind_nat": "unknown"}, None),
    ],
)
def test_who_shares_addresses(declared: Any, shared: bool | None) -> None:
    assert resolve(declared, {}).clients_share_addresses is shared


def test_detected_fills_in_and_never_overrules() -> None:
    detected = {
        "front": {"value": "nat", "confidence": "high", "evidence": [{"fact": "dnat rule", "seen_at": "nft"}]},
        "role": [{"value": "nat_gateway", "confidence": "high", "evidence": []}],
        "vips": {"value": ["192.0.2.100"]},
    }
    picture = resolve({"front": "lvs_dr"}, detected)
    assert (picture.front, picture.source("front")) == ("lvs_dr", "declared")
    assert (picture.roles, picture.source("role")) == (("nat_gateway",), "detected")
    assert picture.vips == ("192.0.2.100",)
    (found,) = picture.contradictions
    assert (found.field, found.declared, found.detected, found.evidence) == (
        "front",
        "lvs_dr",
        "nat",
        "dnat rule (nft)",
    )


def test_shared_addresses_seen_against_a_declaration() -> None:
    seen = {"clients_behind_nat": {"value": True, "evidence": []}}
    assert resolve({"clients_behind_nat": False}, seen).contradictions
    assert not resolve({"clients_behind_nat": True}, seen).contradictions
    # A host cannot see that nobody does.
    assert not resolve({"clients_behind_nat": True}, {"clients_behind_nat": {"value": False}}).contradictions


@pytest.mark.parametrize(
    "detected", [{"front": 3}, {"front": {"value": "x"}}, {"role": "server"}, {"vips": {}}, {"role": [[]]}]
)
def test_odd_facts_are_unknown(detected: Any) -> None:
    picture = resolve({}, detected)
    assert picture.front is None


@pytest.mark.parametrize(
    ("declared", "contradicted"),
    [(["server"], True), (["server", "nat_gateway"], False), (["kubernetes_node"], False)],
)
def test_a_gateway_that_is_declared_as_something_else(declared: list[str], contradicted: bool) -> None:
    seen = {"role": [{"value": "nat_gateway", "evidence": []}, {"value": "server", "evidence": []}]}
    assert bool(resolve({"role": declared}, seen).contradictions) is contradicted
    assert not resolve({"role": declared}, {"role": [{"value": "client"}]}).contradictions


LVS = {
    "value": "lvs_dr",
    "confidence": "low",
    "evidence": [{"fact": "192.0.2.100/32 on lo", "seen_at": "address list"}],
}
CROWD = {"value": True, "confidence": "low", "evidence": [{"fact": "50 connections from 203.0.113.7"}]}


@pytest.mark.parametrize(("declared", "contradicts"), [("none", False), ("nat", False), ("lvs_dr", True)])
def test_a_director_may_have_something_in_front(declared: str, contradicts: bool) -> None:
    table = [{"fact": "2 real servers by Masq", "seen_at": "/proc/net/ip_vs"}]
    detected = {
        "role": [{"value": "lvs_director", "confidence": "high", "evidence": table}],
        "front": {"value": "lvs_nat", "confidence": "high", "evidence": table},
    }
    assert bool(resolve({"front": declared}, detected).contradictions) is contradicts


@pytest.mark.parametrize(
    ("declared", "detected"),
    [
        ({}, {"front": LVS, "clients_behind_nat": CROWD}),
        ({"front": "none", "clients_behind_nat": False}, {"front": LVS, "clients_behind_nat": CROWD}),
        ({"role": ["server"]}, {"role": [{"value": "nat_gateway", "confidence": "low"}]}),
    ],
)
def test_a_weak_sign_is_shown_and_never_acted_on(declared: Any, detected: Any) -> None:
    picture, without = resolve(declared, detected), resolve(declared, {})
    assert picture.hints
    assert (picture.front, picture.roles, picture.clients_behind_nat, picture.vips, picture.contradictions) == (
        without.front,
        without.roles,
        without.clients_behind_nat,
        without.vips,
        without.contradictions,
    )


def test_a_weak_sign_that_agrees_is_no_hint() -> None:
    assert (
        resolve({"front": "lvs_dr", "clients_behind_nat": True}, {"front": LVS, "clients_behind_nat": CROWD}).hints
        == ()
    )


def test_a_sign_that_is_used_says_what_was_seen() -> None:
    strong = {**LVS, "confidence": "medium"}
    picture = resolve({}, {"front": strong, "role": [{"value": "l7_proxy", "confidence": "low"}]})
    assert picture.front == "lvs_dr"
    assert picture.roles == ()
    assert picture.source("front") == "detected: 192.0.2.100/32 on lo (address list)"
    assert "192.0.2.100/32 on lo" in picture.describe()
