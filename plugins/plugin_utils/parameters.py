# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue: what is known of every parameter, read from the YAML files in catalogue/.

A key such as net.ipv4.conf.*.rp_filter is a pattern: each * stands for one component.
"""

from __future__ import annotations

import difflib
import functools
import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import Kernel

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_FOLDER = pathlib.Path(__file__).parent / "catalogue"

Version = tuple[int, ...]
# The oldest kernel of which it was read what namespaces have.
_OLDEST_SEEN: Version = (4, 9)
# The two ends of a range; None is open.
Range = tuple[int | None, int | None]

_LIMITS: Mapping[str, tuple[int, int]] = {
    "int": (-(2**31), 2**31 - 1),
    "uint": (0, 2**32 - 1),
    "long": (-(2**63), 2**63 - 1),
    "ulong": (0, 2**64 - 1),
}


@functools.cache
def version(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def _range(pair: Iterable[int | None] | None) -> Range | None:
    if pair is None:
        return None
    low, high = pair
    return low, high


def _wider(one: Range, other: Range) -> Range:
    low = None if one[0] is None or other[0] is None else min(one[0], other[0])
    high = None if one[1] is None or other[1] is None else max(one[1], other[1])
    return low, high


def _holds(scope: str | Mapping[str, str] | None, kernel: Kernel) -> bool | None:
    """Whether something that is so always, never or from a version on is so on this kernel."""
    if scope is None:
        return None
    if scope == "always":
        # Nobody has looked into a namespace of an older kernel; what never was a namespace's own was not there either.
        return True if kernel.version >= _OLDEST_SEEN else None
    if isinstance(scope, str):
        return False
    if kernel.version >= version(scope["first"]):
        return True
    return False if kernel.version[:2] <= version(scope["not_in"]) else None


@dataclass(frozen=True)
class Parameter:
    """One entry of the catalogue; catalogue/README.md explains the fields."""

    name: str
    type: str = "int"
    values: int = 1
    value_names: tuple[str, ...] = ()
    unit: str | None = None
    range: Range | None = None
    range_before: Mapping[str, Any] | None = None
    sensible: Range | None = None
    unordered: str | None = None
    not_below: str | None = None
    not_above: str | None = None
    stored: str | None = None
    default: str | None = None
    default_before: Mapping[str, Any] | None = None
    default_of: Mapping[str, str] = field(default_factory=dict)
    default_from: str | None = None
    read_only: bool = False
    needs: str | None = None
    kernels: Mapping[str, str] = field(default_factory=dict)
    el: tuple[int, ...] | None = None
    netns: str | Mapping[str, str] | None = None
    visible: str | Mapping[str, str] | None = None
    no_effect: Mapping[str, str] | None = None
    vendor: tuple[str, ...] = ()
    renamed_to: str | None = None
    capped_by: tuple[str, ...] = ()
    resets: tuple[str, ...] = ()
    summary: str = ""
    hazards: tuple[str, ...] = ()
    unsure: str | None = None
    source: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        return self.type in _LIMITS

    def accepted(self, kernel: Kernel) -> tuple[int, int]:
        """The range that the kernel enforces; where trees disagree about this version, the wider one."""
        limit = _LIMITS[self.type]
        now: Range = self.range or limit
        before = self.range_before
        if before and kernel.version < version(before["first_new"]):
            old = _range(before["range"]) or limit
            now = old if kernel.version[:2] <= version(before["last"]) else _wider(old, now)
        low, high = now
        return (limit[0] if low is None else low), (limit[1] if high is None else high)

    def exists(self, kernel: Kernel) -> bool | None:
        """Whether a kernel of this version has it; None where the sources do not say."""
        if self.vendor and kernel.vendor:
            return None if kernel.vendor in self.vendor else False
        if kernel.enterprise in (6, 7) and self.el is not None:
            return kernel.enterprise in self.el
        gone = self.kernels.get("gone_in")
        if gone and kernel.version >= version(gone):
            return False
        first, not_in = self.kernels.get("first"), self.kernels.get("not_in")
        if not_in and kernel.version[:2] <= version(not_in):
            # Long-lived kernels of distributions carry parameters of later ones.
            return None if kernel.backports else False
        last = self.kernels.get("last")
        if last and kernel.version[:2] > version(last):
            return None
        if first and kernel.version >= version(first):
            return True
        return True if self.el and 6 in self.el and first else None

    def in_namespace(self, kernel: Kernel) -> bool | None:
        """Whether each network namespace has its own; None where the sources do not say."""
        return _holds(self.netns, kernel)

    def shown_in_namespace(self, kernel: Kernel) -> bool | None:
        """Whether a namespace shows it, its own or the machine's."""
        own, shown = self.in_namespace(kernel), _holds(self.visible or "never", kernel)
        if own or shown:
            return True
        return None if own is None or shown is None else False

    def default_on(self, key: str, kernel: Kernel) -> str | None:
        """The default of this key on a kernel of this version; None where it is not known or differs by host."""
        for component in key.split("."):
            if component in self.default_of:
                return self.default_of[component]
        before = self.default_before
        if before and kernel.version < version(before["first_new"]):
            return before["default"] if kernel.version[:2] <= version(before["last"]) else None
        return self.default


class Catalogue:
    def __init__(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        self._raw = entries
        self._patterns: dict[tuple[int, str], list[str]] = {}
        for name in entries:
            if "*" in name:
                parts = name.split(".")
                self._patterns.setdefault((len(parts), parts[-1]), []).append(name)
        self._found: dict[str, Parameter | None] = {}

    def __iter__(self) -> Any:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def find(self, key: str) -> Parameter | None:
        """The entry of a canonical key, or None."""
        if key not in self._found:
            name = key if key in self._raw else self._matching(key)
            self._found[key] = None if name is None else _parameter(name, self._raw[name])
        return self._found[key]

    def _matching(self, key: str) -> str | None:
        parts = key.split(".")
        candidates = self._patterns.get((len(parts), parts[-1]), []) + self._patterns.get((len(parts), "*"), [])
        # The narrowest pattern speaks.
        for name in sorted(candidates, key=lambda name: name.count("*")):
            if all(mine in ("*", theirs) for mine, theirs in zip(name.split("."), parts, strict=True)):
                return name
        return None

    def nearest(self, key: str, also: Iterable[str] = ()) -> str | None:
        """The known name that a misspelt key most probably means."""
        parts = key.split(".")
        names = set(also)
        for name in self._raw:
            own = name.split(".")
            # An interface in the misspelt key stands where the pattern has its *.
            if len(own) == len(parts):
                own = [theirs if mine == "*" else mine for mine, theirs in zip(own, parts, strict=True)]
            if "*" not in own:
                names.add(".".join(own))
        same_leaf = sorted(name for name in names if name.rsplit(".", 1)[-1] == parts[-1])
        if same_leaf:
            return max(same_leaf, key=lambda name: difflib.SequenceMatcher(None, name, key).ratio())
        close = difflib.get_close_matches(key, sorted(names), n=1, cutoff=0.8)
        return close[0] if close else None


def _parameter(name: str, entry: Mapping[str, Any]) -> Parameter:
    fields = dict(entry)
    for plural in ("value_names", "vendor", "capped_by", "resets", "hazards", "source"):
        fields[plural] = tuple(fields.get(plural, ()))
    if "el" in fields:
        fields["el"] = tuple(fields["el"])
    for pair in ("range", "sensible"):
        fields[pair] = _range(fields.get(pair))
    return Parameter(name=name, **fields)


def read(folder: pathlib.Path = _FOLDER) -> dict[str, dict[str, Any]]:
    """The raw entries of all families."""
    entries: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.yml")):
        with path.open(encoding="utf-8") as stream:
            entries.update(yaml.load(stream, _Loader))
    return entries


@functools.cache
def catalogue() -> Catalogue:
    """The catalogue, parsed once a process."""
    return Catalogue(read())
