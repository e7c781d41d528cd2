# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import os
import struct

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils import _files, _host, _netlink, _processes


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("3.10.0-1160.el7.x86_64", [3, 10, 0]),
        ("4.9.229", [4, 9, 229]),
        ("6.12.117+deb12-cloud-amd64", [6, 12, 117]),
        ("7.0-rc3", [7, 0, 0]),
        ("mainline", None),
    ],
)
def test_version_is_the_numbers_only(release, version):
    assert _host.version_of(release) == version


@pytest.mark.parametrize(
    ("text", "vendor"),
    [
        ('NAME="CentOS Linux"\nID="centos"\nID_LIKE="rhel fedora"\n', "centos"),
        ("VERSION_ID=12\nID=debian\n", "debian"),
        ('ID="opensuse-leap"\n', "opensuse-leap"),
        ("", None),
        (None, None),
    ],
)
def test_vendor(text, vendor):
    assert _host.vendor_of(text) == vendor


# net.core of Linux 4.9: all of the initial namespace, and what is left in another one.
INITIAL = {"net.core.somaxconn", "net.core.netdev_max_backlog", "net.core.dev_weight", "net.core.default_qdisc"}
OWN = {"net.core.somaxconn", "net.core.xfrm_acq_expires", "net.ipv4.tcp_syncookies"}


@pytest.mark.parametrize(("keys", "own"), [(INITIAL, False), (OWN, True), ({"net.ipv4.ip_forward"}, None), ((), None)])
def test_network_namespace_is_told_by_the_keys_that_only_the_initial_one_has(keys, own):
    assert _host.own_network_namespace(keys) is own


SYMBOL = b"ffffffff81e50af0 T secure_tcp_seq_and_ts_off\n"
OTHER = b"ffffffff81e509c0 T secure_tcpv6_seq_and_ts_off\n"


@pytest.mark.parametrize(
    ("symbols", "answer"),
    [
        (OTHER + SYMBOL, True),
        # Across the end of a chunk.
        (b"x" * (65536 - 20) + SYMBOL + OTHER, True),
        (OTHER + b"ffffffff81e50ae0 T __pfx_secure_tcp_seq_and_ts_off\n", False),
        (b"", None),
    ],
)
def test_timestamp_offset(tmp_path, symbols, answer):
    path = tmp_path / "kallsyms"
    path.write_bytes(symbols)
    assert _host.timestamp_offset_per_tuple(str(path)) is answer


def test_timestamp_offset_of_a_kernel_without_symbols(tmp_path):
    assert _host.timestamp_offset_per_tuple(str(tmp_path / "missing")) is None


def test_a_long_file_is_unknown_and_not_cut(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert _files.read_text(str(path), 5) == "12345"
    assert _files.read_text(str(path), 4) is None
    assert _files.read_text(str(tmp_path)) is None


def test_attributes_of_netlink_are_padded_to_four_bytes():
    payload = b"head" + struct.pack("=HH", 7, 3) + b"lo\0" + b"\0" + struct.pack("=HHI", 8, 4 | 0x8000, 1500)
    found = _netlink.attributes(payload, 4)
    assert found == {3: b"lo\0", 4: struct.pack("=I", 1500)}
    assert _netlink.text(found[3]) == "lo"


@pytest.mark.parametrize("cut", range(12))
def test_a_cut_off_answer_ends_the_reading(cut):
    payload = struct.pack("=HH", 7, 3) + b"lo\0" + b"\0" + struct.pack("=HH", 2, 9)
    assert set(_netlink.attributes(payload[:cut], 0)) <= {3}


def test_a_process_is_found_by_its_name():
    with open("/proc/self/comm") as stream:
        mine = stream.read().strip()
    # Another one of the same name may have been seen first.
    assert set(_processes.names({mine, "no such name"})) == {mine}
    assert os.path.exists("/proc/%d" % _processes.names({mine})[mine])
