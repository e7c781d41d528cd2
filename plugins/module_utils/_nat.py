# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host translates addresses: rules of nf_tables, and of ip_tables where its NAT table is loaded."""

import os
import re
import struct
import subprocess

from ._files import read_text
from ._netlink import attributes, dump, text

_NETFILTER = 12
_GET_RULE = 10 << 8 | 7  # subsystem nf_tables, NFT_MSG_GETRULE
_FAMILY = struct.Struct("=BBH")
_TABLE, _CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_SECONDS = 3
# What hides clients behind an address. unknown: a table whose rules could not be listed.
SOURCE = ("masquerade", "snat", "unknown")
# A rule that has one of these translates. An expression's name is an attribute of type 1: length, type, name, NUL.
_EXPRESSIONS = {
    "masquerade": struct.pack("=HH", 9, 1) + b"masq\0",
    "redirect": struct.pack("=HH", 10, 1) + b"redir\0",
    "nat": struct.pack("=HH", 8, 1) + b"nat\0",
}
# The same by iptables-nft: a compatibility target.
_TARGETS = {"masquerade": b"MASQUERADE\0", "snat": b"SNAT\0", "dnat": b"DNAT\0", "redirect": b"REDIRECT\0"}
# In the data of a nat expression: NFTA_NAT_TYPE, of which 0 is source and 1 is destination.
_NAT_TYPE = re.compile(re.escape(struct.pack("=HH", 8, 1)) + b"\0\0\0([\0\1])")


def module_present(name):
    """Whether the kernel has a module loaded or built in: asking it over netlink or with a tool would load it."""
    modules = read_text("/proc/modules", 1 << 20)
    if modules is None:
        return True  # A kernel without modules loads nothing.
    if re.search("^%s " % name, modules, re.MULTILINE):
        return True
    builtin = read_text("/lib/modules/%s/modules.builtin" % os.uname().release, 1 << 20)
    return "/%s.ko" % name in (builtin or "").replace("-", "_")


def kind_of_rule(expressions):
    """masquerade, snat, dnat, redirect, or None: what the expressions of a rule of nf_tables do to addresses."""
    for kind, pattern in _EXPRESSIONS.items():
        at = expressions.find(pattern)
        if at >= 0:
            if kind != "nat":
                return kind
            found = _NAT_TYPE.search(expressions, at + len(pattern))
            return "dnat" if found and found.group(1) == b"\1" else "snat"
    for kind, pattern in _TARGETS.items():
        if pattern in expressions:
            return kind
    return None


def nf_tables():
    """{(kind, table, chain): rules}. Raises OSError."""
    found = {}
    if module_present("nf_tables"):
        for payload in dump(_NETFILTER, _GET_RULE, _FAMILY.pack(0, 0, 0)):
            rule = attributes(payload, _FAMILY.size)
            kind = kind_of_rule(rule.get(_RULE_EXPRESSIONS, b""))
            if kind:
                place = (kind, text(rule.get(_TABLE, b"")), text(rule.get(_CHAIN, b"")))
                found[place] = found.get(place, 0) + 1
    return found


def ip_tables():
    """The same of the old ip_tables: asked only where its NAT table is loaded, since listing would load it."""
    try:
        with open("/proc/net/ip_tables_names") as stream:
            tables = stream.read().split()
    except FileNotFoundError:
        return {}
    if "nat" not in tables:
        return {}
    for tool in ("iptables-legacy-save", "iptables-save"):
        try:
            saved = subprocess.check_output([tool, "-t", "nat"], stderr=subprocess.DEVNULL, timeout=_SECONDS)
        except (OSError, subprocess.SubprocessError):
            continue
        return parse_saved(saved.decode("utf-8", "replace"))
    return {("unknown", "nat", ""): 0}


def parse_saved(saved):
    """{(kind, table, chain): rules} of what iptables-save prints for its NAT table."""
    found = {}
    for chain, target in re.findall(r"^-A (\S+) .*?-j (MASQUERADE|SNAT|DNAT|REDIRECT)\b", saved, re.MULTILINE):
        place = (target.lower(), "nat", chain)
        found[place] = found.get(place, 0) + 1
    return found
