# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the keys of a set are written: file and line, as far as that is known."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import settings

try:
    # The only way to learn which file a variable comes from; ansible-core has it from 2.19 on, and promises nothing.
    from ansible._internal._datatag._tags import Origin
except ImportError:
    Origin = None


@dataclass(frozen=True)
class Place:
    path: str
    line: int | None = None


@dataclass(frozen=True)
class Places:
    """of_key: label of a setting -> place. whole: the file of the set, for what concerns no single key."""

    of_key: Mapping[str, Place]
    whole: Place | None = None

    def of(self, key: str) -> Place | None:
        place = self.of_key.get(key)
        if place is None:
            # A key that a glob of the set stands for.
            globs = (glob for glob in self.of_key if settings.is_glob(glob) and settings.matches_glob(glob, key))
            place = self.of_key.get(next(globs, ""))
        return place

    def of_finding(self, keys: Sequence[str]) -> tuple[tuple[str | None, Place | None], ...]:
        """Its keys with their places, those that the set has first; the whole set where it has none of them."""
        found = sorted(((key, self.of(key)) for key in keys), key=lambda item: item[1] is None)
        if found and found[0][1] is not None:
            return tuple(found)
        return tuple((key, self.whole) for key in keys) or ((None, self.whole),)


NOWHERE = Places({})


def of_set(sysctl: object, sysctl_conf_file: object) -> Places:
    if sysctl_conf_file:
        return _of_file(str(sysctl_conf_file))
    if isinstance(sysctl, Mapping):
        return _of_mapping(sysctl)
    return NOWHERE


@functools.cache
def _of_file(path: str) -> Places:
    whole = Place(path)
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError):
        return Places({}, whole)
    # Of several assignments the last one counts.
    return Places({item.label: Place(path, item.line) for item in settings.from_text(text).settings}, whole)


def _of_mapping(sysctl: Mapping[Any, Any]) -> Places:
    found = {}
    for key, setting in zip(sysctl, settings.from_mapping(sysctl).settings, strict=True):
        place = _origin(key)
        if place is not None:
            found[setting.label] = place
    paths = {place.path for place in found.values()}
    return Places(found, Place(paths.pop()) if len(paths) == 1 else None)


def _origin(value: object) -> Place | None:
    origin = Origin.get_tag(value) if Origin is not None else None
    path = getattr(origin, "path", None)
    return Place(str(path), getattr(origin, "line_num", None)) if path else None
