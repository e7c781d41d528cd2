# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting many sysctls as one: in an order that the kernel takes, each read back."""

import errno
import os

from ._procfs import normalise, read_value, write_value

# Each pass settles at least one more key of a chain; no set has chains this long.
_PASSES = 5
_NOT_ALLOWED = (errno.EPERM, errno.EACCES, errno.EROFS)
_HINT = " (is this a container? It needs CAP_NET_ADMIN and a writable /proc/sys)"


class Refused(Exception):
    """The kernel does not hold what was asked. keys: {key: sentence}; found: {key: value that it holds instead}."""

    def __init__(self, keys, found):
        Exception.__init__(self, "; ".join("%s: %s" % item for item in sorted(keys.items())))
        self.keys = keys
        self.found = found


class Denied(Refused):
    """It is not the value: a capability is missing, or /proc/sys is mounted read-only."""


def enforce(targets):
    """Writes every key that does not hold its target, in the order given, and reads back. Raises Refused.

    Keys depend on each other (ip_local_port_range on ip_unprivileged_port_start, many on ip_forward, which resets
    them), so a key that is refused or lost again is written again after the others, as long as that brings progress.
    """
    open_before = None
    for _attempt in range(_PASSES):
        problems = {}
        kind = Refused
        for key, value in targets.items():
            if _read(key) != normalise(value):
                try:
                    write_value(key, value)
                except OSError as problem:
                    problems[key] = refusal(value, problem)
                    if problem.errno in _NOT_ALLOWED:
                        kind = Denied
        held = {key: _read(key) for key in targets}
        missing = {key: held[key] for key, value in targets.items() if held[key] != normalise(value)}
        if not missing:
            return
        if set(missing) == open_before:
            break
        open_before = set(missing)
    sentences = {key: problems.get(key) or _mismatch(targets[key], found) for key, found in missing.items()}
    raise kind(sentences, missing)


def _read(key):
    try:
        return read_value(key)
    except OSError:
        return None


def refusal(value, problem):
    if problem.errno == errno.ENOENT:
        return "does not exist on this host"
    hint = _HINT if problem.errno in _NOT_ALLOWED else ""
    return "the kernel refuses %r: %s%s" % (value, os.strerror(problem.errno), hint)


def _mismatch(value, found):
    return "%r was written and %r read back" % (normalise(value), found)
