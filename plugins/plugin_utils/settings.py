# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sysctl set as it was written: a dictionary, or the text of a sysctl.d file.

Nothing is judged here: what is wrong is kept beside the setting for the rules of family form.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils import _sysctl_d
from ansible_collections.nettune.kernel.plugins.module_utils._procfs import normalise
from ansible_collections.nettune.kernel.plugins.module_utils._sysctl_key import InvalidKey, canonical, relative_path

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Setting:
    """One assignment. key is None where the written one is unusable; value is None where there is none to write."""

    written: str
    raw: object
    key: str | None
    value: str | None
    line: int | None = None
    ignore_errors: bool = False
    # A sentence: why there is no key.
    problem: str | None = None
    # The glob that this setting was expanded from.
    glob: str | None = None

    @property
    def where(self) -> str:
        return "" if self.line is None else f"line {self.line}: "

    @property
    def label(self) -> str:
        """The name under which findings speak of it."""
        return self.key or self.written


@dataclass(frozen=True)
class SysctlSet:
    settings: tuple[Setting, ...]
    # `-key` lines: keys that globs leave alone.
    exclusions: frozenset[str] = frozenset()

    @functools.cached_property
    def proposed(self) -> Mapping[str, str]:
        """Canonical key -> text, as the last assignment of each key has it, in the order given."""
        values: dict[str, str] = {}
        for setting in self.settings:
            if setting.key is not None and setting.value is not None:
                values[setting.key] = setting.value
        return values

    @functools.cached_property
    def repeated(self) -> Mapping[str, tuple[Setting, ...]]:
        """The assignments of keys that have several; what a glob sets is meant to be overridden."""
        by_key: dict[str, tuple[Setting, ...]] = {}
        for setting in self.settings:
            if setting.key is not None and setting.glob is None:
                by_key[setting.key] = (*by_key.get(setting.key, ()), setting)
        return {key: settings for key, settings in by_key.items() if len(settings) > 1}


@functools.lru_cache(maxsize=16384)
def is_glob(key: str) -> bool:
    return _GLOB.search(key) is not None


def from_mapping(sysctl: Mapping[Any, Any]) -> SysctlSet:
    pairs = tuple(sysctl.items())
    if all(isinstance(value, (bool, int, str)) for _key, value in pairs):
        # True, 1 and 1.0 are equal and would be written differently.
        with contextlib.suppress(TypeError):  # a key that cannot be hashed
            return _from_scalars(pairs, tuple((type(key), type(value)) for key, value in pairs))
    return _from_pairs(pairs)


@functools.lru_cache(maxsize=64)
def _from_scalars(pairs: tuple[tuple[Any, Any], ...], _types: tuple[tuple[type, type], ...]) -> SysctlSet:
    """The same set goes to thousands of hosts."""
    return _from_pairs(pairs)


def _from_pairs(pairs: Iterable[tuple[Any, Any]]) -> SysctlSet:
    return SysctlSet(tuple(_setting(key, value) for key, value in pairs))


def read_lines(text: str) -> tuple[list[_sysctl_d.Entry], list[tuple[int, str]]]:
    """The entries of a sysctl.d text, and (line, sentence) of what is none."""
    entries, problems = _sysctl_d.parse(text)
    return entries, problems


@functools.lru_cache(maxsize=64)
def from_text(text: str) -> SysctlSet:
    entries, problems = read_lines(text)
    lines: list[tuple[int, Setting]] = [
        (line, Setting(written=f"line {line}", raw=None, key=None, value=None, line=line, problem=sentence))
        for line, sentence in problems
    ]
    exclusions = set()
    for entry in entries:
        if entry.value is None:
            exclusions.add(entry.key)
            continue
        value = normalise(entry.value) if _is_plain(entry.value) else None
        lines.append(
            (entry.line, Setting(entry.key, entry.value, entry.key, value, entry.line, bool(entry.ignore_errors)))
        )
    return SysctlSet(
        tuple(setting for _line, setting in sorted(lines, key=lambda item: item[0])), frozenset(exclusions)
    )


def expand(given: SysctlSet, live: Iterable[str]) -> SysctlSet:
    """Globs replaced by the live keys that they match and that no other line names; kept where none is known."""
    if not any(setting.key and is_glob(setting.key) for setting in given.settings):
        return given
    explicit = {setting.key for setting in given.settings if setting.key and not is_glob(setting.key)}
    keys = sorted(set(live) - explicit - given.exclusions)
    return replace(given, settings=tuple(_expanded(given.settings, keys)))


def _expanded(settings: Iterable[Setting], keys: list[str]) -> Iterator[Setting]:
    for setting in settings:
        if setting.key is None or not is_glob(setting.key):
            yield setting
            continue
        matches = [key for key in keys if matches_glob(setting.key, key)]
        if not matches:
            yield setting
        for key in matches:
            yield replace(setting, key=key, glob=setting.key)


def matches_glob(glob: str, key: str) -> bool:
    """As glob(3) does on paths: * and ? stop at a slash."""
    patterns = relative_path(glob).split("/")
    parts = relative_path(key).split("/")
    return len(patterns) == len(parts) and all(
        fnmatch.fnmatchcase(part, pattern) for part, pattern in zip(parts, patterns, strict=True)
    )


def _setting(key: object, raw: object) -> Setting:
    written = str(key) if isinstance(key, str) and key.isprintable() else repr(key)
    try:
        name, problem = canonical(key), None  # type: ignore[arg-type]  # canonical says what is wrong with others
    except InvalidKey as wrong:
        name, problem = None, str(wrong)
    return Setting(written, raw, name and str(name), _text(raw), problem=problem)


def _text(raw: object) -> str | None:
    """The text that would be written to the kernel, or None where the value is none."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int):
        # str() of an enormous integer raises; no sysctl is as long.
        return str(int(raw)) if raw.bit_length() < 1024 else None
    if isinstance(raw, float):
        return str(float(raw))
    if isinstance(raw, str) and _is_plain(raw):
        return normalise(str(raw))
    return None


def _is_plain(text: str) -> bool:
    """One printable line: a newline would be a second setting in the file, a NUL the end of the value in the kernel.

    Blanks that only look like one, as web pages have them, are refused too.
    """
    return text.replace("\t", " ").isprintable()
