# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue against what was read from kernels: the tables in their source trees, and five of them running."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import Kernel, kernel
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import Parameter, catalogue

KERNELS = pathlib.Path(__file__).parent / "kernels"
RUNNING = sorted(path.name.removesuffix(".tsv") for path in KERNELS.glob("*.tsv"))

# Hosts whose first namespace somebody had tuned; the others were just booted.
IN_USE = {"6.18.44"}

# Which part of net a source folder's table serves.
FOLDERS = {
    "net/bridge": ("net.bridge.",),
    "net/core": ("net.core.", "net.*.neigh.", "net.ipv4.neigh.", "net.ipv6.neigh."),
    "net/ipv4": ("net.ipv4.", "net.netfilter."),
    "net/ipv6": ("net.ipv6.", "net.netfilter."),
    "net/mpls": ("net.mpls.",),
    "net/mptcp": ("net.mptcp.",),
    "net/netfilter": ("net.netfilter.", "net.ipv4.netfilter."),
    "net/netfilter/ipvs": ("net.ipv4.vs.",),
    "net/sctp": ("net.sctp.",),
    "net/unix": ("net.unix.",),
    "net/xfrm": ("net.core.",),
}
# Folders of the tree and variables of the source, where a name was looked for.
NO_NAMES = {"neigh", "route", "ipv4_route_flush_procname"}

INT_MAX = 2**31 - 1
SYMBOLS = {
    "None": None, "": None, "zero": 0, "SYSCTL_ZERO": 0, "one": 1, "SYSCTL_ONE": 1, "two": 2, "SYSCTL_TWO": 2,
    "SYSCTL_THREE": 3, "four": 4, "SYSCTL_FOUR": 4, "thousand": 1000, "SYSCTL_ONE_THOUSAND": 1000, "INT_MAX": INT_MAX,
    "SYSCTL_INT_MAX": INT_MAX, "one_day_secs": 86400, "24 * 3600": 86400, "int_3600": 3600, "gso_max_segs": 65535,
    "MAX_TCP_SYNCNT": 127, "tcp_syn_retries_min": 1, "tcp_syn_retries_max": 127, "tcp_syn_linear_timeouts_max": 127,
    "TCP_MIN_SND_MSS": 48, "tcp_min_snd_mss_min": 48, "tcp_min_snd_mss_max": 65535, "USHRT_MAX": 65535,
    "U16_MAX": 65535, "ip_ttl_min": 1, "ip_ttl_max": 255, "tcp_adv_win_scale_min": -31, "tcp_adv_win_scale_max": 31,
    "comp_sack_nr_max": 255, "tcp_plb_max_rounds": 31, "tcp_plb_max_cong_thresh": 256, "tcp_retr1_max": 255,
    "IPV4_MIN_MTU": 68, "tcp_app_win_max": 31, "tcp_rto_max_max": 120000, "tcp_tw_reuse_delay_max": 60000,
    "tcp_child_ehash_entries_max": 1 << 24, "16 * 1024 * 1024": 1 << 24, "udp_child_hash_entries_max": 1 << 16,
    "fib_multipath_hash_fields_all_mask": 4095, "FIB_MULTIPATH_HASH_FIELD_ALL_MASK": 4095, "tcp_ecn_mode_max": 5,
    "IP6_AUTO_FLOW_LABEL_MAX": 3, "0x7": 7, "dist_min": 0,
}  # fmt: skip

# What a tree says and the catalogue, on purpose, does not: (key, tree) to cause; * is every tree. All are needed.
LATER = "the tree marked 6.18 carries it from a later one: a running 6.18.44 does not have it"
VARIABLE = "its name stands in a variable, which the table does not show"
BUILD = "the table shows the range of kernels with CONFIG_BPF_JIT_ALWAYS_ON"
SHORT = "the range grew twice, and the catalogue keeps the last two"
STABLE = "running 6.12.117 has it read-only"
EL7 = "read-only on this kernel alone, as its hazards say"
EXCEPTIONS = {
    ("net.core.bypass_prot_mem", "*"): LATER,
    ("net.core.qdisc_max_burst", "*"): LATER,
    ("net.core.txq_reselection_ms", "*"): LATER,
    ("net.ipv4.icmp_errors_extension_mask", "*"): LATER,
    ("net.ipv6.icmp.errors_extension_mask", "*"): LATER,
    ("net.ipv4.tcp_comp_sack_rtt_percent", "*"): LATER,
    ("net.ipv4.tcp_rcvbuf_low_rtt", "*"): LATER,
    ("net.ipv4.tcp_ecn", "*"): LATER,
    ("net.ipv4.route.flush", "*"): VARIABLE,
    ("net.ipv6.route.flush", "*"): VARIABLE,
    ("net.core.bpf_jit_enable", "*"): BUILD,
    ("net.ipv4.fib_multipath_hash_policy", "4.12"): SHORT,
    ("net.ipv4.fib_multipath_hash_policy", "4.13.4"): SHORT,
    ("net.mptcp.available_schedulers", "6.12"): STABLE,
    ("net.netfilter.nf_conntrack_buckets", "el7-3.10.0-1160"): EL7,
}
# Trees with ranges brought back from later ones: there the catalogue may be wider, as mainline of that version was.
BACKPORTS = {"el7-3.10.0-1160", "4.9", "4.9.229"}


class Cell(NamedTuple):
    """What one source tree has of one name: what stands first is its mode (tables) or its scope (presence)."""

    tree: str
    kernel: Kernel
    first: str
    handler: str
    low: str
    high: str


def tree_kernel(tree: str) -> Kernel:
    return kernel({"el6-2.6.32": "2.6.32-754.el6.x86_64", "el7-3.10.0-1160": "3.10.0-1160.el7.x86_64"}.get(tree, tree))


def rows(file: str, lead: int) -> Iterator[tuple[list[str], list[tuple[str, Cell | None]]]]:
    """Each row: what leads it, and tree by tree what it has."""
    with (KERNELS / file).open(encoding="utf-8") as stream:
        reader = csv.reader(line for line in stream if not line.startswith("#"))
        trees = next(reader, [])[lead:]
        for row in reader:
            cells: list[tuple[str, Cell | None]] = []
            text = ""
            for tree, written in zip(trees, row[lead:], strict=True):
                text = text if written == "=" else written
                first, _bar, rest = text.partition("|")
                handler, _bar, bounds = rest.partition("|")
                low, _dots, high = bounds.partition("..")
                cells.append((tree, Cell(tree, tree_kernel(tree), first, handler, low, high) if text else None))
            yield row[:lead], cells


def entries() -> list[tuple[str, Parameter, list[tuple[str, Cell | None]]]]:
    """Every row that is one parameter's; a parameter whose table moved has several."""
    found = []
    tables: dict[str, dict[str, Cell | None]] = {}
    for (name,), cells in rows("presence.csv", 1):
        parameter = catalogue().find(name)
        assert parameter is not None, name
        found.append((name, parameter, cells))
    for (folder, leaf), cells in rows("tables.csv", 2):
        if leaf in NO_NAMES:
            continue
        names = [name for name in catalogue() if name.endswith(f".{leaf}") and name.startswith(FOLDERS[folder])]
        # The same name may stand for a file of net.ipv4 and one below it.
        assert names, (folder, leaf)
        if len(names) == 1:
            merged = tables.setdefault(names[0], {})
            merged.update({tree: cell or merged.get(tree) for tree, cell in cells})
    for name, by_tree in tables.items():
        parameter = catalogue().find(name)
        assert parameter is not None
        found.append((name, parameter, list(by_tree.items())))
    return found


ENTRIES = entries()


def differing(key: str, tree: str, differs: bool) -> bool:
    """Whether that is an error: not where it is a known exception."""
    for one in ((key, tree), (key, "*")):
        if differs and one in EXCEPTIONS:
            USED.add(one)
            return False
    return differs


USED: set[tuple[str, str]] = set()


def test_the_data_is_read() -> None:
    assert len(ENTRIES) > 600
    assert len({name for name, _family, _entry in ENTRIES}) > 500
    assert len(RUNNING) == 5


def test_presence_in_source_trees() -> None:
    wrong = []
    for key, parameter, cells in ENTRIES:
        for tree, cell in cells:
            exists = parameter.exists(tree_kernel(tree))
            if differing(key, tree, exists is (cell is None)):
                wrong.append(f"{key} exists on {tree}: {exists}")
    assert wrong == []


def test_modes_in_source_trees() -> None:
    wrong = [
        f"{key} on {cell.tree}: mode {cell.first}"
        for key, parameter, cells in ENTRIES
        for _tree, cell in cells
        if cell
        and cell.first.isdigit()
        and differing(key, cell.tree, parameter.read_only is bool(int(cell.first, 8) & 0o200))
    ]
    assert wrong == []


def test_ranges_in_source_trees() -> None:
    wrong = []
    compared = 0
    for key, parameter, cells in ENTRIES:
        for tree, cell in cells:
            if cell is None or "minmax" not in cell.handler or not parameter.numeric:
                continue
            bounds = []
            for symbol, open_end in ((cell.low, 0), (cell.high, 1)):
                value = SYMBOLS.get(symbol, symbol)
                if isinstance(value, str):
                    value = int(value) if value.lstrip("-").isdigit() else "unknown"
                if value is None:
                    least = (0, 255) if "u8" in cell.handler else (0, 2**32 - 1) if "uint" in cell.handler else None
                    value = least[open_end] if least else parameter_limit(parameter, open_end)
                bounds.append(value)
            if "unknown" in bounds:
                continue
            compared += 1
            low, high = parameter.accepted(tree_kernel(tree))
            wider = tree in BACKPORTS and low <= bounds[0] and high >= bounds[1]
            if differing(key, tree, (low, high) != tuple(bounds) and not wider):
                wrong.append(f"{key} on {tree}: {bounds}, not {low}..{high}")
    assert wrong == []
    assert compared > 1000


def parameter_limit(parameter: Parameter, end: int) -> int:
    return {
        "int": (-(2**31), INT_MAX), "uint": (0, 2**32 - 1), "long": (-(2**63), 2**63 - 1), "ulong": (0, 2**64 - 1),
    }[parameter.type][end]  # fmt: skip


def test_scopes_in_source_trees() -> None:
    wrong = []
    for (key,), cells in rows("presence.csv", 1):
        parameter = catalogue().find(key)
        assert parameter is not None
        for tree, cell in cells:
            shown = parameter.shown_in_namespace(tree_kernel(tree))
            if cell and shown is not None and shown is not (cell.first == "netns"):
                wrong.append(f"{key} on {tree}: {cell.first}, not {shown}")
    assert wrong == []


def test_exceptions_are_needed() -> None:
    test_presence_in_source_trees()
    test_modes_in_source_trees()
    test_ranges_in_source_trees()
    assert set(EXCEPTIONS) == USED


class Seen(NamedTuple):
    key: str
    value: str
    mode: str
    own: str


def running(release: str) -> list[Seen]:
    lines = (KERNELS / f"{release}.tsv").read_text(encoding="utf-8").splitlines()
    return [Seen(*[*line.split("\t"), "", "", ""][:4]) for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("release", RUNNING)
def test_running_kernel(release: str) -> None:
    on = kernel(release)
    wrong = []
    for key, value, mode, own in running(release):
        parameter = catalogue().find(key)
        if parameter is None:
            wrong.append(f"{key} is unknown")
            continue
        if parameter.exists(on) is False:
            wrong.append(f"{key} exists")
        shown = parameter.shown_in_namespace(on)
        # The defaults of the neighbour tables are the first namespace's.
        if ".neigh.default." in key:
            shown = False
        if shown is not None and shown is not bool(mode):
            wrong.append(f"{key} in a new namespace: mode {mode!r}")
        for one in filter(None, (value, own)):
            numbers = one.split() if parameter.numeric else []
            low, high = parameter.accepted(on) if parameter.numeric else (0, 0)
            if parameter.numeric and (
                len(numbers) != parameter.values or not all(low <= int(number) <= high for number in numbers)
            ):
                wrong.append(f"{key} = {one} is not {parameter.values} numbers in {low}..{high}")
        default = parameter.default_on(key, on)
        # Interfaces take over from the first namespace, which somebody may have set.
        if parameter.in_namespace(on) and default is not None and own and own not in (default, value):
            wrong.append(f"{key} starts with {own}, not {default}")
        # conf keys are set by service managers at boot.
        if release not in IN_USE and value and default is not None and ".conf." not in key and value != default:
            wrong.append(f"{key} is {value}, not {default}")
    assert wrong == []


@pytest.mark.parametrize("release", RUNNING)
def test_what_a_running_kernel_should_have(release: str) -> None:
    on = kernel(release)
    parameters = {seen.key: catalogue().find(seen.key) for seen in running(release)}
    there = {parameter.name for parameter in parameters.values() if parameter}
    have = {parameter.needs for parameter in parameters.values() if parameter}
    missing = [
        name
        for name in catalogue()
        if (parameter := catalogue().find(name)) is not None
        and name.startswith("net.")
        and parameter.exists(on)
        and (parameter.needs is None or parameter.needs in have)
        and name not in there
    ]
    assert missing == []
