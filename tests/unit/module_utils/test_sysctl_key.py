# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from ansible_collections.nettune.kernel.plugins.module_utils._sysctl_key import (
    InvalidKey,
    canonical,
    from_path,
    relative_path,
)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
        ("net/ipv4/conf/eth0.100/rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
    ],
)
def test_both_spellings_name_one_file(key, path):
    assert relative_path(key) == path
    assert relative_path(canonical(key)) == path
    assert from_path(path) == canonical(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "net",
        "../etc/passwd",
        "net/../../etc/passwd",
        "net.ipv4./../x",
        "/proc/sys/net/ipv4/ip_forward",
        "net..ipv4",
        "net.ipv4.",
        "net.ipv4.a\nb",
        "net.ipv4.a\0b",
        "net.ipv4.a b",
        "net.ipv4.a=b",
        "net/./ipv4",
        5,
        None,
    ],
)
def test_what_leaves_proc_sys_or_is_no_name_is_refused(key):
    with pytest.raises(InvalidKey) as refused:
        canonical(key)
    assert str(refused.value)
