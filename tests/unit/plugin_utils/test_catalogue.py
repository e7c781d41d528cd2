# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue: its schema, and what it says of kernels."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils._sysctl_key import canonical
from ansible_collections.nettune.kernel.plugins.plugin_utils import parameters
from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import kernel

ENTRIES = parameters.read()
CATALOGUE = parameters.catalogue()

TYPES = {"int", "uint", "long", "ulong", "text", "ranges", "trigger"}
VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
UNITS = {
    "bytes", "KiB", "pages", "packets", "connections", "percent",
    "seconds", "centiseconds", "milliseconds", "microseconds", "nanoseconds",
}  # fmt: skip

ORIGINS = {"memory", "memory layout", "architecture", "build", "clock", "interface"}


def is_range(value: Any) -> bool:
    low, high = value
    return all(end is None or isinstance(end, int) for end in value) and (low is None or high is None or low <= high)


def is_span(value: Any, names: set[str]) -> bool:
    return set(value) <= names and all(isinstance(text, str) and VERSION.fullmatch(text) for text in value.values())


SCHEMA = {
    "type": lambda value: value in TYPES,
    "values": lambda value: isinstance(value, int) and value >= 1,
    "value_names": lambda value: all(isinstance(name, str) for name in value),
    "unit": lambda value: value in UNITS,
    "range": is_range,
    "range_before": lambda value: is_range(value["range"]) and is_span(
        {name: text for name, text in value.items() if name != "range"}, {"last", "first_new"}
    ),
    "sensible": is_range,
    "unordered": lambda value: isinstance(value, str),
    "not_below": lambda value: value in ENTRIES,
    "not_above": lambda value: value in ENTRIES,
    "stored": lambda value: value in ("jiffies", "milliseconds", "clock_ticks", "boolean"),
    "default": lambda value: isinstance(value, str),
    "default_before": lambda value: isinstance(value["default"], str | None) and is_span(
        {name: text for name, text in value.items() if name != "default"}, {"last", "first_new"}
    ),
    "default_of": lambda value: all(isinstance(text, str) for text in value.values()),
    "default_from": lambda value: value in ORIGINS,
    "needs": lambda value: isinstance(value, str),
    "read_only": lambda value: value is True,
    "kernels": lambda value: is_span(value, {"first", "not_in", "last", "gone_in"}),
    "el": lambda value: set(value) <= {6, 7},
    "netns": lambda value: value in ("always", "never") or is_span(value, {"first", "not_in"}),
    "visible": lambda value: value in ("always", "never") or is_span(value, {"first", "not_in"}),
    "no_effect": lambda value: is_span(value, {"first"}),
    "vendor": bool,
    "renamed_to": lambda value: value in ENTRIES,
    "capped_by": lambda value: all(name in ENTRIES for name in value),
    "resets": lambda value: all(name in ENTRIES for name in value),
    "summary": lambda value: value.endswith("."),
    "hazards": lambda value: all(text.endswith(".") for text in value),
    "unsure": lambda value: value.endswith("."),
    "source": lambda value: all(isinstance(text, str) for text in value),
}  # fmt: skip


def test_schema() -> None:
    wrong = [
        f"{name}.{field}: {value!r}"
        for name, entry in ENTRIES.items()
        for field, value in entry.items()
        if field not in SCHEMA or not SCHEMA[field](value)
    ]
    assert wrong == []


def test_names_are_keys() -> None:
    assert [name for name in ENTRIES if canonical(name) != name] == []
    assert len(ENTRIES) > 550


def test_files_are_sorted() -> None:
    for path in (parameters._FOLDER).glob("*.yml"):
        names = re.findall(r'^"?([a-z][^\s":]*)"?:', path.read_text(), re.MULTILINE)
        assert names == sorted(names), path.name


def test_entries_agree_with_themselves() -> None:
    for name in ENTRIES:
        parameter = CATALOGUE.find(name)
        assert parameter is not None
        if parameter.value_names:
            assert len(parameter.value_names) == parameter.values, name
        assert parameter.summary, name
        assert parameter.source, name
        # One of the two is what a host has without a setting; where neither is known, it is said.
        if parameter.numeric and not parameter.read_only and not parameter.renamed_to:
            known = (parameter.default, parameter.default_from, parameter.unsure)
            assert any(text is not None for text in known), name
        if parameter.default is not None and parameter.numeric:
            numbers = [int(word) for word in parameter.default.split()]
            low, high = parameter.accepted(kernel("6.19.0"))
            assert len(numbers) == parameter.values, name
            assert all(low <= number <= high for number in numbers), name


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("net.ipv4.conf.eth0/100.rp_filter", "net.ipv4.conf.*.rp_filter"),
        ("net.ipv6.conf.all.forwarding", "net.ipv6.conf.*.forwarding"),
        ("net.ipv6.neigh.default.gc_thresh3", "net.*.neigh.*.gc_thresh3"),
        ("net.netfilter.nf_log.10", "net.netfilter.nf_log.*"),
        ("net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_tw_reuse"),
    ],
)
def test_find(key: str, name: str) -> None:
    found = CATALOGUE.find(key)
    assert found is not None
    assert found.name == name


def test_find_nothing() -> None:
    assert CATALOGUE.find("net.ipv4.conf.eth0.100.rp_filter") is None
    assert CATALOGUE.find("net.ipv4.tcp_tw_reus") is None


@pytest.mark.parametrize(
    ("key", "release", "vendor", "exists"),
    [
        ("net.ipv4.tcp_tw_recycle", "3.10.0-1160.el7.x86_64", None, True),
        ("net.ipv4.tcp_tw_recycle", "2.6.32-754.el6.x86_64", None, True),
        ("net.ipv4.tcp_tw_recycle", "3.10.108", None, True),
        ("net.ipv4.tcp_tw_recycle", "4.11.12", None, True),
        ("net.ipv4.tcp_tw_recycle", "4.12.0", None, False),
        ("net.ipv4.tcp_tw_recycle", "6.18.44", None, False),
        ("net.ipv4.tcp_tw_reuse_delay", "6.13.2", None, False),
        ("net.ipv4.tcp_tw_reuse_delay", "6.14.0", None, True),
        # A kernel with backports may have it.
        ("net.ipv4.tcp_tw_reuse_delay", "5.14.0-503.el9.x86_64", "rocky", None),
        # Seen in EL7 and 4.9; whether mainline 3.10 had it, nothing says.
        ("net.ipv4.tcp_autocorking", "3.10.0-1160.el7.x86_64", None, True),
        ("net.ipv4.tcp_autocorking", "3.10.108", None, None),
        ("net.ipv4.tcp_tw_timeout", "4.19.91", "debian", False),
        ("net.ipv4.tcp_tw_timeout", "4.19.91", "alinux", None),
    ],
)
def test_exists(key: str, release: str, vendor: str | None, exists: bool | None) -> None:
    parameter = CATALOGUE.find(key)
    assert parameter is not None
    assert parameter.exists(kernel(release, vendor)) is exists


@pytest.mark.parametrize(
    ("release", "accepted"),
    [
        ("4.9.229", (-(2**31), 2**31 - 1)),
        # Between the two trees the wider one.
        ("4.15.0", (-(2**31), 2**31 - 1)),
        ("4.18.0", (0, 2)),
        ("6.18.44", (0, 2)),
    ],
)
def test_range_by_version(release: str, accepted: tuple[int, int]) -> None:
    parameter = CATALOGUE.find("net.ipv4.tcp_tw_reuse")
    assert parameter is not None
    assert parameter.accepted(kernel(release)) == accepted


@pytest.mark.parametrize(("release", "most"), [("6.12.0", 2), ("6.18.44", 2), ("6.19.0", 5)])
def test_a_range_that_grew(release: str, most: int) -> None:
    parameter = CATALOGUE.find("net.ipv4.tcp_ecn")
    assert parameter is not None
    assert parameter.accepted(kernel(release)) == (0, most)


@pytest.mark.parametrize(
    ("key", "release", "own"),
    [
        ("net.ipv4.tcp_timestamps", "3.10.0", False),
        ("net.ipv4.tcp_timestamps", "4.12.0", False),
        ("net.ipv4.tcp_timestamps", "4.13.0", True),
        ("net.ipv4.tcp_timestamps", "6.18.44", True),
        # Its own in every kernel whose namespaces were looked into.
        ("net.ipv4.ip_forward", "3.10.0", None),
        ("net.ipv4.ip_forward", "4.8.17", None),
        ("net.ipv4.ip_forward", "4.9.0", True),
        ("net.core.netdev_max_backlog", "3.10.0", False),
    ],
)
def test_namespace_by_version(key: str, release: str, own: bool | None) -> None:
    parameter = CATALOGUE.find(key)
    assert parameter is not None
    assert parameter.in_namespace(kernel(release)) is own


@pytest.mark.parametrize(
    ("key", "release", "default"),
    [
        ("net.ipv4.tcp_challenge_ack_limit", "5.10.0", "1000"),
        ("net.ipv4.tcp_challenge_ack_limit", "5.18.0", None),
        ("net.ipv4.tcp_challenge_ack_limit", "6.1.0", "2147483647"),
        ("net.core.somaxconn", "4.19.0", "128"),
        ("net.core.somaxconn", "5.4.0", "4096"),
        ("net.ipv4.tcp_tw_reuse", "4.17.0", "0"),
        ("net.ipv4.conf.all.accept_source_route", "6.1.0", "0"),
        ("net.ipv4.conf.eth0.accept_source_route", "6.1.0", "1"),
        # Between two kernels that were seen.
        ("net.core.optmem_max", "6.5.0", None),
        ("net.ipv4.tcp_mem", "6.1.0", None),
    ],
)
def test_default_by_version(key: str, release: str, default: str | None) -> None:
    parameter = CATALOGUE.find(key)
    assert parameter is not None
    assert parameter.default_on(key, kernel(release)) == default


def test_what_a_namespace_shows_of_the_machine() -> None:
    parameter = CATALOGUE.find("net.core.rmem_max")
    assert parameter is not None
    assert (parameter.in_namespace(kernel("6.12.0")), parameter.shown_in_namespace(kernel("6.12.0"))) == (False, True)
    assert parameter.shown_in_namespace(kernel("6.1.0")) is False


def test_parsed_once_and_not_before_it_is_needed() -> None:
    code = (
        "import sys, yaml\n"
        "calls = []\n"
        "load = yaml.load\n"
        "yaml.load = lambda *a, **k: (calls.append(1), load(*a, **k))[1]\n"
        "from ansible_collections.nettune.kernel.plugins.plugin_utils import parameters\n"
        "from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import validate\n"
        "assert not calls\n"
        "for _ in range(3): validate('a', {'kernel': {'release': '6.1'}}, sysctl={'net.core.somaxconn': 1})\n"
        "assert len(calls) == len(list(parameters._FOLDER.glob('*.yml'))), calls\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
