# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sysctls of this host as they are, and how they get back to what they were."""

import contextlib
import os

from ._enforce import Denied, Refused, enforce
from ._procfs import path_of, read_tree, read_value, write_value


def values_of(keys):
    """{key: value now}; None where a key is absent or cannot be read."""
    values = {}
    for key in keys:
        try:
            values[key] = read_value(key)
        except OSError:
            values[key] = None
    return values


def obstacle(key):
    """Why a key cannot be changed and put back here, as a sentence; None where it can."""
    try:
        if read_value(key) is None:
            return "%s does not exist on this host: leave it out" % key
    except OSError as problem:
        return "%s cannot be read (%s), so it could not be put back: leave it out" % (key, problem.strerror)
    if not _writable(key):
        return "%s is read-only on this host: leave it out, or set it where it is global (init namespace)" % key
    return None


def side_effects(tree, applied):
    """{key: [before, after]} of what writing `applied` changed besides, since `tree` was read.

    The kernel passes a change on within a family only: what else changed in another one, somebody else wrote.
    """
    written = {_family(key) for key, value in applied.items() if tree.get(key) != value}
    return {
        key: [tree[key], value]
        for key, value in (read_tree().values.items() if written else ())
        if key in tree and tree[key] != value and key not in applied and _family(key) in written and _writable(key)
    }


def taken(before, applied):
    """{key: value} of what the kernel made of `applied` where it neither took nor left it: that is no other's write.

    A list it takes number by number, so that a refused one may be half there, and some values it rounds. Which they are
    then, only the kernel knows: it is asked by writing once more over the value before. What differs from that is put
    back as it was found.
    """
    return {
        key: found
        for key, found in values_of(applied).items()
        if None not in (before[key], found)
        and found not in (before[key], applied[key])
        and _comes_about(key, before[key], applied[key], found)
    }


def _comes_about(key, before, value, found):
    """Whether a key that holds `before` holds `found` once `value` was written."""
    try:
        write_value(key, before)
        with contextlib.suppress(OSError):
            write_value(key, value)
        if read_value(key) == found:
            return True
        write_value(key, found)
    except OSError:
        pass  # It may not be written: so it holds what was found.
    return False


def _family(key):
    """ipv4, ipv6, core... net.nf_conntrack_max is net.netfilter.nf_conntrack_max by another name."""
    name = key.split(".")[1]
    return "netfilter" if name == "nf_conntrack_max" else name


def restore(before, after, tree=None):
    """Puts back keys that still hold `after`; returns the others as drift: [{key, expected, found}].

    What the restore itself changes besides goes back too, unless an interface that came since `tree` was read had it
    from `after`. Raises Denied.
    """
    found = dict(read_tree().values, **values_of(before))
    targets = {}
    foreign = []
    for key in reversed(list(before)):
        if found[key] == after[key] and before[key] is not None:
            targets[key] = before[key]
        elif found[key] != before[key]:
            foreign.append({"key": key, "expected": after[key], "found": found[key]})
    problems = _try_enforce(targets)
    # Measured from what decided above: a write of somebody else in between is not taken for the restore's own.
    present = {key: value for key, value in found.items() if value is not None}
    changed = {
        key: pair[0]
        for key, pair in side_effects(present, targets).items()
        if tree is None or key in tree or after.get(_default_of(key)) != pair[0]
    }
    if changed:
        problems = _try_enforce(dict(changed, **targets))
    for key, problem in problems.items():
        foreign.append({"key": key, "expected": targets.get(key, found.get(key)), "found": problem})
    return foreign


def inherited(tree, before, after):
    """What interfaces that came since `tree` was read still hold because `after` was their default, as drift.

    expected: what the default was before.
    """
    defaults = [key for key in after if ".default." in key and before[key] not in (None, after[key])]
    come = {key: value for key, value in (read_tree().values.items() if defaults else ()) if key not in tree}
    return [
        {"key": key, "expected": before[default], "found": value}
        for default in defaults
        for key, value in sorted(come.items())
        if value == after[default] and _default_of(key) == default
    ]


def _default_of(key):
    """net.ipv4.conf.default.rp_filter of net.ipv4.conf.eth0.rp_filter; None of a key that has none."""
    parts = key.split(".")
    return ".".join([*parts[:3], "default", parts[-1]]) if len(parts) > 4 and parts[2] in ("conf", "neigh") else None


def _try_enforce(targets):
    try:
        enforce(targets)
    except Denied:
        raise
    except Refused as problem:
        return problem.keys
    return {}


def _writable(key):
    try:
        return bool(os.stat(path_of(key)).st_mode & 0o222)
    except OSError:
        return False
