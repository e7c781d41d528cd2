# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import Validation, validate
from ansible_collections.nettune.kernel.plugins.plugin_utils.waivers import InvalidWaiver

TODAY = datetime.date(2026, 11, 21)
OFF = {"rule": "timewait.timestamps_off", "reason": "an appliance that chokes on options"}


def judged(*waivers: Any, host: str = "web1") -> Validation:
    return validate(
        host,
        {"kernel": {"release": "6.1.0"}},
        sysctl={"net.ipv4.tcp_timestamps": 0},
        raw_waivers=list(waivers),
        fail_on="warning",
        today=TODAY,
    )


def rules(result: Validation) -> list[str]:
    return [finding.rule for finding in result.findings]


def test_without() -> None:
    assert rules(judged()) == ["timewait.timestamps_off"]
    assert judged().rejected


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"keys": ["net/ipv4/tcp_timestamps"]},
        {"hosts": ["web1"]},
        {"hosts": ["db*", "web*"]},
        {"expires": "2026-11-21"},
        {"expires": TODAY},
    ],
)
def test_covers(scope: dict[str, Any]) -> None:
    result = judged({**OFF, **scope})
    assert rules(result) == []
    assert not result.rejected
    assert [item["waiver"] for item in result.as_dict()["waived"]] == [OFF["reason"]]


def test_other_keys() -> None:
    assert rules(judged({**OFF, "keys": ["net.ipv4.tcp_sack"]})) == ["timewait.timestamps_off", "waiver.unused"]


def test_other_hosts_are_no_concern() -> None:
    assert rules(judged({**OFF, "hosts": ["db*"]})) == ["timewait.timestamps_off"]


def test_expired() -> None:
    result = judged({**OFF, "expires": "2026-11-20"})
    assert rules(result) == ["timewait.timestamps_off", "waiver.expired"]
    assert result.rejected


def test_unused() -> None:
    (_finding, unused) = judged({"rule": "ports.parity", "reason": "once"}).findings
    assert (unused.rule, unused.severity) == ("waiver.unused", "info")


@pytest.mark.parametrize(
    ("waiver", "sentence"),
    [
        ({"rule": "timewait.timestamps_off"}, "has no reason"),
        ({"rule": "timewait.timestamps_off", "reason": "  "}, "has no reason"),
        ({"rule": "timewait.nothing", "reason": "x"}, "does not exist"),
        ({"rule": "form.invalid_key", "reason": "x"}, "cannot be waived"),
        ({**OFF, "expires": "soon"}, "is not a date"),
        ({**OFF, "hosts": {"a": 1}}, "must be a list of names"),
        ({**OFF, "keys": ["../x"]}, "key"),
        ({**OFF, "until": "2027-01-01"}, "has no field 'until'"),
        ("timewait.timestamps_off", "must be a dictionary"),
    ],
)
def test_one_clear_sentence(waiver: Any, sentence: str) -> None:
    with pytest.raises(InvalidWaiver) as caught:
        judged(waiver)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_list() -> None:
    with pytest.raises(InvalidWaiver):
        validate("a", {"kernel": {"release": "6.1"}}, sysctl={"a.b": 1}, raw_waivers={"rule": "x"})
