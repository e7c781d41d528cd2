# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from ansible_collections.nettune.kernel.plugins.module_utils._sysctl_d import Entry, parse


def test_settings_exclusions_comments_and_both_spellings():
    text = "# a comment\n; another\n\nnet.ipv4.tcp_rmem = 4096\t87380  6291456\n"
    text += "-net/ipv4/conf/eth0.100/rp_filter=1\r\n-net.ipv4.conf.*.rp_filter\n"
    entries, problems = parse(text)
    assert problems == []
    assert entries == [
        Entry(4, "net.ipv4.tcp_rmem", "4096\t87380  6291456", False),
        Entry(5, "net.ipv4.conf.eth0/100.rp_filter", "1", True),
        Entry(6, "net.ipv4.conf.*.rp_filter", None, True),
    ]


def test_a_trailing_comment_is_part_of_the_value_as_for_the_kernel():
    assert parse("net.core.default_qdisc = fq # fair")[0][0].value == "fq # fair"


def test_an_empty_value_is_a_value():
    assert parse("net.ipv4.ip_local_reserved_ports =")[0][0].value == ""


def test_bad_lines_are_named_and_the_others_still_read():
    entries, problems = parse("what is this\nnet.ipv4.a = 1\n../x = 1\n")
    assert [entry.key for entry in entries] == ["net.ipv4.a"]
    assert [line for line, _sentence in problems] == [1, 3]


def test_only_line_feeds_end_a_line():
    assert parse("net.ipv4.a = 1\x0bnet.ipv4.b = 2")[0][0].value == "1\x0bnet.ipv4.b = 2"
