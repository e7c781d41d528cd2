# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wins at the next boot."""

from __future__ import annotations

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils.boot_order import BootOrder, with_set
from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import SysctlFile

KEY = "net.core.somaxconn"
OURS = "/etc/sysctl.d/90-nettune.conf"


def file(path: str, text: str, link: str | None = None) -> SysctlFile:
    return SysctlFile(path, path.rsplit("/", 1)[-1], text, link)


def value(*files: SysctlFile, key: str = KEY, procps: bool = False) -> str | None:
    winner = BootOrder(with_set(files, OURS, {KEY: "4096"}), procps).winner(key)
    return winner.value if winner else None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/sysctl.d/10-a.conf", "4096"),
        ("/etc/sysctl.d/91-a.conf", "128"),
        ("/usr/lib/sysctl.d/99-a.conf", "128"),
        ("/run/sysctl.d/90-nettune.conf", "4096"),  # the same name: /etc wins
        ("/usr/lib/sysctl.d/90-nettune.conf", "4096"),
        ("/etc/sysctl.d/90-nettune.conf", "4096"),  # what the set replaces
        ("/etc/sysctl.d/99-a.txt", "4096"),
        ("/etc/somewhere/99-a.conf", "4096"),
    ],
)
def test_by_name_then_by_directory(path: str, expected: str) -> None:
    assert value(file(path, f"{KEY} = 128\n")) == expected


def test_same_name_in_two_other_directories() -> None:
    files = [file("/usr/lib/sysctl.d/95-a.conf", f"{KEY}=1"), file("/run/sysctl.d/95-a.conf", f"{KEY}=2")]
    assert value(*files) == value(*reversed(files)) == "2"


def test_masked() -> None:
    mask = file("/etc/sysctl.d/95-a.conf", "", link="/dev/null")
    assert value(mask, file("/usr/lib/sysctl.d/95-a.conf", f"{KEY}=1")) == "4096"


def test_sysctl_conf() -> None:
    plain = file("/etc/sysctl.conf", f"{KEY} = 1\n")
    link = file("/etc/sysctl.d/99-sysctl.conf", f"{KEY} = 1\n", link="/etc/sysctl.conf")
    assert value(plain) == "4096"
    assert value(plain, link) == "1"
    assert value(plain, procps=True) == "1"


def test_globs_yield_to_what_is_named() -> None:
    assert value(file("/etc/sysctl.d/99-a.conf", "net.core.* = 1\n")) == "4096"


def test_globs_among_themselves_and_exclusions() -> None:
    key = "net.ipv4.conf.eth0.rp_filter"
    first = file("/etc/sysctl.d/10-a.conf", "net.ipv4.conf.*.rp_filter = 1\n")
    second = file("/etc/sysctl.d/20-a.conf", "net.ipv4.conf.eth*.rp_filter = 2\n")
    assert value(first, second, key=key) == "2"
    assert value(first, second, file("/etc/sysctl.d/30-a.conf", f"-{key}\n"), key=key) is None


def test_an_exclusion_takes_back_what_was_assigned_but_not_with_procps() -> None:
    excluding = file("/etc/sysctl.d/99-a.conf", f"-{KEY}\n")
    assert value(excluding) is None
    assert value(excluding, procps=True) == "4096"


def test_excluded_globs() -> None:
    key = "net.ipv4.conf.eth0.rp_filter"
    first = file("/etc/sysctl.d/10-a.conf", "net.ipv4.conf.*.rp_filter = 1\n")
    assert value(first, file("/etc/sysctl.d/20-a.conf", "-net.ipv4.conf.eth*.rp_filter\n"), key=key) == "1"


def test_a_later_exclusion_leaves_the_key_alone() -> None:
    assert value(file("/etc/sysctl.d/99-a.conf", f"-{KEY}\n")) is None


def test_nobody() -> None:
    assert value(key="net.ipv4.ip_forward") is None


def test_where_it_is_said() -> None:
    winner = BootOrder([file("/etc/sysctl.d/99-a.conf", f"# a\n\n{KEY}  =  1  2\n")], procps=False).winner(KEY)
    assert winner is not None
    assert (winner.path, winner.line, winner.value) == ("/etc/sysctl.d/99-a.conf", 3, "1 2")
