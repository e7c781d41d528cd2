# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The syntax of sysctl.d(5) files."""

import collections

from ._sysctl_key import InvalidKey, canonical

# line: number from 1. key: canonical, may hold the glob characters * ? [ ]. value: text, or None for an exclusion
# (`-key`).
Entry = collections.namedtuple("Entry", "line key value ignore_errors")


def parse(text):
    """The entries of a file's text, and what could not be read: ([Entry], [(line, sentence)])."""
    entries = []
    problems = []
    # str.splitlines would also split at \\x0b, \\x1c, \\u2028...: those belong to the value.
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        line = raw.strip(" \t\r")
        if not line or line[0] in "#;":
            continue
        ignore_errors = line.startswith("-")
        name, separator, value = line[1 if ignore_errors else 0 :].partition("=")
        if not separator and not ignore_errors:
            problems.append((number, "%r is not a setting: write key = value" % line))
            continue
        try:
            key = canonical(name.strip(" \t"))
        except InvalidKey as problem:
            problems.append((number, str(problem)))
            continue
        if "\0" in value:
            problems.append((number, "the value of %s holds a NUL character" % key))
            continue
        entries.append(Entry(number, key, value.strip(" \t") if separator else None, ignore_errors))
    return entries, problems
