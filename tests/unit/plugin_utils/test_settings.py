# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets as they are written."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import settings


def test_order_and_spelling() -> None:
    given = settings.from_mapping({"net/ipv4/conf/eth0.100/rp_filter": 2, "net.core.somaxconn": " 4096 "})
    assert list(given.proposed.items()) == [("net.ipv4.conf.eth0/100.rp_filter", "2"), ("net.core.somaxconn", "4096")]


def test_whitespace_is_normalised() -> None:
    assert settings.from_mapping({"net.ipv4.tcp_rmem": "4096\t 131072  6291456"}).proposed == {
        "net.ipv4.tcp_rmem": "4096 131072 6291456"
    }


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, b"1", "a\nb", "a\0b", "\x1b[0m", "1\xa0", "\ud800", 10**400])
def test_what_is_no_value(value: Any) -> None:
    (setting,) = settings.from_mapping({"net.core.somaxconn": value}).settings
    assert setting.value is None
    assert settings.from_mapping({"net.core.somaxconn": value}).proposed == {}


def test_text_keeps_lines_and_the_last_wins() -> None:
    given = settings.from_text("# head\nnet.core.somaxconn = 1\nbroken\nnet/core/somaxconn=2\n")
    assert [(setting.line, setting.key) for setting in given.settings] == [
        (2, "net.core.somaxconn"),
        (3, None),
        (4, "net.core.somaxconn"),
    ]
    assert given.proposed == {"net.core.somaxconn": "2"}


LIVE = [
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.eth0.rp_filter",
    "net.ipv4.conf.eth1.rp_filter",
    "net.ipv4.conf.eth1/100.rp_filter",
    "net.ipv4.ip_forward",
]


def test_globs_leave_alone_what_is_named_or_excluded() -> None:
    text = "net.ipv4.conf.*.rp_filter = 2\nnet.ipv4.conf.eth0.rp_filter = 1\n-net.ipv4.conf.all.rp_filter\n"
    given = settings.expand(settings.from_text(text), LIVE)
    assert given.proposed == {
        "net.ipv4.conf.eth1.rp_filter": "2",
        "net.ipv4.conf.eth1/100.rp_filter": "2",
        "net.ipv4.conf.eth0.rp_filter": "1",
    }


def test_a_glob_stays_where_nothing_is_known() -> None:
    given = settings.from_text("net.ipv4.conf.*.rp_filter = 2\n")
    assert settings.expand(given, []) == given


@pytest.mark.parametrize(
    ("glob", "key", "matches"),
    [
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0.rp_filter", True),
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0/100.rp_filter", True),
        ("net.ipv4.*", "net.ipv4.conf.eth0.rp_filter", False),
        ("net.ipv4.conf.eth[01].rp_filter", "net.ipv4.conf.eth1.rp_filter", True),
        ("net.ipv4.conf.eth?.rp_filter", "net.ipv4.conf.eth10.rp_filter", False),
    ],
)
def test_globs_stop_at_separators(glob: str, key: str, matches: bool) -> None:
    assert settings.matches_glob(glob, key) is matches
