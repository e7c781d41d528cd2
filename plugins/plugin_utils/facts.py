# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's facts (`ansible_facts.nettune`), read leniently: what is missing or has another shape is unknown, never
false.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._procfs import normalise
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import UnusableRequest


class UnusableFacts(UnusableRequest):
    """Facts without a kernel release."""


@dataclass(frozen=True)
class Kernel:
    release: str
    version: tuple[int, int, int]
    vendor: str | None = None

    @functools.cached_property
    def enterprise(self) -> int | None:
        """6 of 2.6.32-754.el6.x86_64."""
        found = re.search(r"\.el(\d+)", self.release)
        return int(found.group(1)) if found else None

    @functools.cached_property
    def backports(self) -> bool:
        """Whether its vendor brings features of later kernels into this version."""
        return self.enterprise is not None or self.vendor in ("alinux", "anolis", "opencloudos", "tencentos", "sles")


@dataclass(frozen=True)
class Listener:
    protocol: str
    address: str
    port: int
    # How many connections may wait for the program to accept them: what it asked for, capped by somaxconn then.
    backlog: int | None = None


@dataclass(frozen=True)
class SysctlFile:
    path: str
    name: str
    text: str
    link: str | None = None


@dataclass(frozen=True)
class Writer:
    """A program of the host that is known to write sysctls, and what it was known by."""

    name: str
    evidence: str = ""


class LiveValues(Mapping[str, str]):
    """Live sysctls, read when asked for: a host has two thousand of them, and a set names few."""

    def __init__(self, raw: Mapping[Any, Any]) -> None:
        self._raw = raw

    def __getitem__(self, key: str) -> str:
        value = self._raw[key]
        if not isinstance(value, str):
            raise KeyError(key)
        # net_facts has normalised them; stored facts may come from elsewhere.
        return normalise(value) if "\t" in value else value

    def __contains__(self, key: object) -> bool:
        return isinstance(self._raw.get(key), str)

    def get(self, key: str, default: Any = None) -> Any:
        value = self._raw.get(key)
        return default if not isinstance(value, str) else normalise(value) if "\t" in value else value

    def __iter__(self) -> Iterator[str]:
        return (key for key, value in self._raw.items() if isinstance(key, str) and isinstance(value, str))

    def __len__(self) -> int:
        return sum(1 for _key in self)


@dataclass(frozen=True)
class Facts:
    kernel: Kernel
    # Whether every connection has a timestamp offset of its own (see the rules of family timewait).
    timestamp_offset_per_tuple: bool | None = None
    memory_bytes: int | None = None
    page_size: int = 4096
    cpus: int | None = None
    interfaces: tuple[Mapping[str, Any], ...] = ()
    sysctl: Mapping[str, str] = field(default_factory=dict)
    sysctl_complete: bool = False
    sysctl_read_only: frozenset[str] = frozenset()
    # Triggers, and secrets that are not set: they exist and have no value.
    sysctl_unreadable: frozenset[str] = frozenset()
    sockets: Mapping[str, int] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    service_manager: str | None = None
    own_network_namespace: bool | None = None
    container: str | None = None
    sysctl_files: tuple[SysctlFile, ...] | None = None
    writers: tuple[Writer, ...] = ()
    topology: Mapping[str, Any] = field(default_factory=dict)

    def has(self, key: str) -> bool | None:
        """Whether the live host has the key; None where its facts do not say."""
        if key in self.sysctl or key in self.sysctl_unreadable:
            return True
        return False if self.sysctl_complete and key.startswith("net.") else None


_RELEASE = re.compile(r"\s*(\d+)\.(\d+)(?:\.(\d+))?")


@functools.lru_cache(maxsize=4096)
def kernel(release: str, vendor: str | None = None) -> Kernel:
    found = _RELEASE.match(release)
    if not found:
        raise UnusableFacts(f"kernel.release {release!r} does not begin with a version such as 6.1.0")
    major, minor, patch = (int(part or 0) for part in found.groups())
    return Kernel(str(release), (major, minor, patch), vendor)


def read(raw: object) -> Facts:
    """Facts of the shape that net_facts returns. Raises UnusableFacts."""
    facts = _mapping(raw)
    about = _mapping(facts.get("kernel"))
    release = about.get("release")
    if not isinstance(release, str):
        raise UnusableFacts("the facts name no kernel.release: run nettune.kernel.net_facts first, or give facts")
    virtualization = _mapping(facts.get("virtualization"))
    own = virtualization.get("own_network_namespace")
    page_size = facts.get("page_size")
    offset = about.get("timestamp_offset_per_tuple")
    return Facts(
        kernel=kernel(release, _text(about.get("vendor"))),
        timestamp_offset_per_tuple=offset if isinstance(offset, bool) else None,
        memory_bytes=_positive(facts.get("memory_bytes")),
        page_size=_positive(page_size) or 4096,
        cpus=_positive(facts.get("cpus")),
        interfaces=tuple(_mapping(item) for item in _list(facts.get("interfaces"))),
        sysctl=LiveValues(_mapping(facts.get("sysctl"))),
        sysctl_complete=facts.get("sysctl_complete") is True,
        sysctl_read_only=_keys(facts.get("sysctl_read_only")),
        sysctl_unreadable=_keys(facts.get("sysctl_unreadable")),
        sockets={
            state: count
            for state, count in _mapping(_mapping(facts.get("sockets")).get("tcp")).items()
            if isinstance(state, str) and _is_int(count)
        },
        listeners=tuple(_listeners(facts.get("listeners"))),
        service_manager=_text(facts.get("service_manager")),
        own_network_namespace=own if isinstance(own, bool) else None,
        container=_text(virtualization.get("container")),
        sysctl_files=_files(facts.get("sysctl_files")),
        writers=tuple(
            Writer(str(item["name"]), _text(item.get("evidence")) or "")
            for item in map(_mapping, _list(facts.get("writers")))
            if "name" in item
        ),
        topology=_mapping(facts.get("topology")),
    )


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str) and value else None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _keys(raw: object) -> frozenset[str]:
    return frozenset(key for key in _list(raw) if isinstance(key, str))


def _listeners(raw: object) -> list[Listener]:
    found = []
    for item in map(_mapping, _list(raw)):
        port = item.get("port")
        if isinstance(port, int) and not isinstance(port, bool):
            protocol, address = str(item.get("protocol", "tcp")), str(item.get("address", ""))
            backlog = item.get("backlog")
            found.append(Listener(protocol, address, port, backlog if _is_int(backlog) else None))
    return found


def _files(raw: object) -> tuple[SysctlFile, ...] | None:
    if not isinstance(raw, (list, tuple)):
        return None
    found = []
    for item in map(_mapping, raw):
        path = item.get("path")
        if isinstance(path, str):
            text = item.get("text")
            found.append(
                SysctlFile(
                    path=str(path),
                    name=str(item.get("name") or path.rsplit("/", 1)[-1]),
                    text=str(text) if isinstance(text, str) else "",
                    link=_text(item.get("link")),
                )
            )
    return tuple(found)
