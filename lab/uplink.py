# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one thing of a lab in the machine's own network namespace: an interface with one address."""

from __future__ import annotations

import ipaddress
import json
import random
import subprocess

import lab_init
from topology import MANAGEMENT_PREFIX

BENCHMARKING = ipaddress.IPv4Network("198.18.0.0/15")  # RFC 2544: for tests, not routed on the Internet
PREFIX = "ntl"


class UplinkError(Exception):
    """The machine cannot be connected with the lab."""


def connect(init_pid: int) -> tuple[str, ipaddress.IPv4Network]:
    """Plug the machine into the lab; returns the interface and the block of management addresses it claims.

    The interface's name carries the number of the block. The kernel lets a name exist once, so two labs cannot take
    the same block. The search begins anywhere, so that a new lab seldom has the addresses of the one before.
    """
    taken = _taken()
    blocks = list(enumerate(BENCHMARKING.subnets(new_prefix=MANAGEMENT_PREFIX)))
    start = random.randrange(len(blocks))
    for number, block in blocks[start:] + blocks[:start]:
        if any(block.overlaps(other) for other in taken):
            continue
        name = f"{PREFIX}{number}"
        done = _ip("link", "add", name, "type", "veth", "peer", "name", lab_init.UPLINK, "netns", str(init_pid))
        if done.returncode == 0:
            for words in (
                ["link", "set", name, "addrgenmode", "none"],
                ["address", "add", f"{block[1]}/{block.prefixlen}", "dev", name],
                ["link", "set", name, "up"],
            ):
                _must(_ip(*words))
            return name, block
        if "File exists" not in done.stderr:
            _must(done)
    raise UplinkError(f"no free block of {BENCHMARKING} on this machine: its own addresses and routes take all of it")


def _taken() -> list[ipaddress.IPv4Network]:
    """Networks of the machine's addresses and routes. One wider than all of ours (a default route) does not count."""
    found = []
    for entry in json.loads(_must(_ip("-json", "address")).stdout):
        found += [f"{a['local']}/{a['prefixlen']}" for a in entry.get("addr_info", []) if a["family"] == "inet"]
    for route in json.loads(_must(_ip("-json", "-4", "route", "show", "table", "all")).stdout):
        found.append(route["dst"])
    networks = [ipaddress.IPv4Network(text, strict=False) for text in found if text != "default"]
    return [network for network in networks if network.prefixlen >= BENCHMARKING.prefixlen]


def _ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


def _must(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        raise UplinkError(f"{' '.join(done.args)}: {done.stderr.strip()}")
    return done
