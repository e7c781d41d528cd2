# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sets a key at the next boot: the files of sysctl.d(5) in the order of systemd-sysctl, or of procps where that
runs.

Both take the first of /etc, /run, /usr/local/lib, /usr/lib (and /lib) that holds a file of a name, go through the names
in order, and let a later assignment win. A glob sets only what no file names by itself. They differ about
/etc/sysctl.conf: procps reads it last, systemd-sysctl only where a link in sysctl.d leads to it. They differ about a
line -KEY without a value too: it keeps globs off the key, and with systemd-sysctl also takes back what was assigned
before.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import SysctlFile
from ansible_collections.nettune.kernel.plugins.plugin_utils.settings import is_glob, matches_glob, read_lines

DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
SYSCTL_CONF = "/etc/sysctl.conf"


@dataclass(frozen=True)
class Assignment:
    path: str
    line: int
    value: str


class BootOrder:
    def __init__(self, files: Iterable[SysctlFile], procps: bool) -> None:
        self._explicit: dict[str, Assignment | None] = {}
        self._globs: dict[str, Assignment | None] = {}
        for file in in_force(files, procps):
            for key, line, value in _assignments(file.text):
                if procps and value is None and key in self._explicit:
                    continue
                table = self._globs if is_glob(key) else self._explicit
                # Again at the end: where two globs match a key, the later one is written last.
                table.pop(key, None)
                table[key] = None if value is None else Assignment(file.path, line, value)

    def winner(self, key: str) -> Assignment | None:
        """The assignment that a key has after boot, or None where no file sets it."""
        if key in self._explicit:
            return self._explicit[key]
        found = None
        for glob, assignment in self._globs.items():
            if assignment is not None and matches_glob(glob, key):
                found = assignment
        return found


@functools.lru_cache(maxsize=1024)
def _assignments(text: str) -> tuple[tuple[str, int, str | None], ...]:
    """(key, line, value) of a file. Ten thousand hosts have few different ones."""
    return tuple(
        (entry.key, entry.line, None if entry.value is None else " ".join(entry.value.split()))
        for entry in read_lines(text)[0]
    )


@functools.lru_cache(maxsize=256)
def boot_order(files: tuple[SysctlFile, ...], procps: bool) -> BootOrder:
    """The order of these files, parsed once for all hosts that have the same."""
    return BootOrder(files, procps)


def in_force(files: Iterable[SysctlFile], procps: bool) -> list[SysctlFile]:
    """The files that are read, in their order."""
    by_name: dict[str, tuple[int, SysctlFile]] = {}
    last = []
    for file in files:
        directory = file.path.rsplit("/", 1)[0]
        if file.path == SYSCTL_CONF:
            last = [file] if procps else []
        elif directory in DIRECTORIES and file.name.endswith(".conf"):
            rank = DIRECTORIES.index(directory)
            if file.name not in by_name or rank < by_name[file.name][0]:
                by_name[file.name] = (rank, file)
    named = [file for _name, (_rank, file) in sorted(by_name.items())]
    # A link to /dev/null masks the files of its name in the directories after it.
    return [file for file in named if file.link != "/dev/null"] + last


def with_set(files: Iterable[SysctlFile], path: str, sysctl: Mapping[str, str]) -> tuple[SysctlFile, ...]:
    """The files as they are once the set is persisted."""
    text = "".join(f"{key} = {value}\n" for key, value in sysctl.items())
    return (*(file for file in files if file.path != path), SysctlFile(path, path.rsplit("/", 1)[-1], text))
