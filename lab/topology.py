# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's topology: one YAML file, checked, and numbered out into hosts, links and addresses."""

from __future__ import annotations

import dataclasses
import ipaddress
import pathlib
import re
from typing import Any

import yaml

DIRECTORY = pathlib.Path(__file__).resolve().parent / "topologies"
MANAGEMENT_PREFIX = 22
MOST_HOSTS = 1000  # a Linux bridge has 1023 ports, and a /22 has 1022 addresses

_TOP_KEYS = {"summary", "networks", "hosts", "load", "group_vars"}
_HOST_KEYS = {"count", "scalable", "group", "links", "addresses", "sysctl", "ip", "nft", "services"}
_LINK_KEYS = {"network", "address", "addresses_each"}


class TopologyError(Exception):
    """The topology file, or what was asked of it, makes no lab."""


@dataclasses.dataclass
class Link:
    interface: str
    network: str
    addresses: list[str]  # with prefix length


@dataclasses.dataclass
class Host:
    name: str
    group: str
    links: list[Link]
    addresses: dict[str, list[str]]  # further ones, on an interface that is no link: lo
    sysctl: dict[str, str]
    ip: list[str]  # lines of `ip -batch`, once links are up
    nft: str
    services: list[list[str]]


@dataclasses.dataclass
class Topology:
    name: str
    summary: str
    networks: list[str]
    hosts: list[Host]
    load: dict[str, Any]
    group_vars: dict[str, dict[str, Any]]

    def group(self, name: str) -> list[Host]:
        return [host for host in self.hosts if host.group == name]


def names() -> list[str]:
    return sorted(path.stem for path in DIRECTORY.glob("*.yml"))


def load(name: str, hosts: int | None = None, sysctl: dict[str, str] | None = None) -> Topology:
    """Read topology `name`; `hosts` overrides the count of its scalable kind, `sysctl` is set on the group servers."""
    if name not in names():
        raise TopologyError(f"there is no lab {name!r}: choose one of {', '.join(names())}")
    raw = yaml.safe_load((DIRECTORY / f"{name}.yml").read_text(encoding="utf-8"))
    _refuse_unknown(f"{name}.yml", raw, _TOP_KEYS)
    if hosts is not None and not any(kind.get("scalable") for kind in raw["hosts"].values()):
        raise TopologyError(f"lab {name} has a fixed number of hosts, --hosts does not apply to it")
    numbered = []
    for kind, spec in raw["hosts"].items():
        _refuse_unknown(f"{name}.yml, host {kind}", spec, _HOST_KEYS)
        count = hosts if hosts is not None and spec.get("scalable") else spec.get("count")
        if count is not None and not 1 <= count <= MOST_HOSTS:
            raise TopologyError(f"lab {name} can have 1 to {MOST_HOSTS} hosts, not {count}")
        numbered += [_host(name, raw, kind, spec, number, count) for number in range(count or 1)]
    for host in numbered:
        if host.group == "servers":
            host.sysctl.update(sysctl or {})
    return Topology(name, raw["summary"], raw["networks"], numbered, raw.get("load", {}), raw.get("group_vars", {}))


def _host(topology: str, raw: dict[str, Any], kind: str, spec: dict[str, Any], number: int, count: int | None) -> Host:
    name = kind if count is None else f"{kind}{number + 1}"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise TopologyError(f"{topology}.yml: {name!r} is no host name (small letters, digits, hyphens)")
    links = []
    for interface, link in spec["links"].items():
        where = f"{topology}.yml, host {kind}, link {interface}"
        _refuse_unknown(where, link, _LINK_KEYS)
        if link["network"] not in raw["networks"]:
            raise TopologyError(f"{where}: network {link['network']!r} is not in the list `networks`")
        each = link.get("addresses_each", 1)
        first = ipaddress.ip_interface(link["address"])
        addresses = [
            ipaddress.ip_interface(f"{first.ip + number * each + i}/{first.network.prefixlen}") for i in range(each)
        ]
        if addresses[-1].ip not in first.network:
            raise TopologyError(f"{where}: {first.network} has no room for host {number + 1}")
        links.append(Link(interface, link["network"], [str(address) for address in addresses]))
    return Host(
        name=name,
        group=spec["group"],
        links=links,
        addresses=spec.get("addresses", {}),
        sysctl={key: str(value) for key, value in spec.get("sysctl", {}).items()},
        ip=spec.get("ip", []),
        nft=spec.get("nft", ""),
        services=[[str(word) for word in service] for service in spec.get("services", [])],
    )


def _refuse_unknown(where: str, mapping: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise TopologyError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
