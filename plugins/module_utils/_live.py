# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sysctls of this host as they are, and how they get back to what they were."""

import os
import re

from ._enforce import Denied, Refused, enforce
from ._procfs import path_of, read_tree, read_value


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


def standing(keys):
    """{key: value} of the whole tree now, and of these keys that lie outside of it; without those that are absent."""
    values = dict(values_of(keys), **read_tree().values)
    return {key: value for key, value in values.items() if value is not None}


def side_effects(tree, applied):
    """{key: [before, after]} of what writing `applied` changed besides, since `tree` was read.

    The kernel passes a change on within a family only: what else changed in another one, or in one of which no key has
    become what it was to be, somebody else wrote.
    """
    now = standing(applied)
    written = {_family(key) for key, value in applied.items() if tree.get(key) != value == now.get(key)}
    return {
        key: [tree[key], value]
        for key, value in now.items()
        if key in tree and tree[key] != value and key not in applied and _family(key) in written and _writable(key)
    }


def half_taken(before, applied):
    """{key: value} of keys that hold neither value but what the kernel makes of `applied` on its way.

    A list it takes number by number, so that a refused one may be half there, and it reads 0x14 and 024 as 20.
    Anything else somebody else wrote. Nothing is written to find that out: what a key takes depends on others.
    """
    found = values_of(applied)
    return {
        key: found[key]
        for key, value in applied.items()
        if None not in (before[key], found[key])
        and found[key] not in (before[key], value)
        and _comes_of(before[key].split(), value.split(), found[key].split())
    }


def _comes_of(before, value, found):
    """Whether a list is the first numbers of `value` and the rest of `before`."""
    taken = 0
    while taken < min(len(value), len(found)) and _is_same(value[taken], found[taken]):
        taken += 1
    return len(found) == len(before) and taken > 0 and any(found[at:] == before[at:] for at in range(taken + 1))


def _is_same(word, other):
    return _number(word) is not None and _number(word) == _number(other)


def _number(word):
    """As the kernel reads it; None where it is none."""
    try:
        return int(re.sub(r"^(-?)0(?=[0-9])", r"\g<1>0o", word), 0)
    except ValueError:
        return None


def _family(key):
    """ipv4, ipv6, core... net.nf_conntrack_max is net.netfilter.nf_conntrack_max by another name."""
    name = key.split(".")[1]
    return "netfilter" if name == "nf_conntrack_max" else name


def restore(before, after, stood, tree):
    """Puts back keys that still hold `after`; returns the others as drift: [{key, expected, found}].

    stood: what standing() said before the first of them went back, perhaps in an attempt that died since. What the
    restore itself changes besides goes back too, unless its interface took it from a default of `after`: see
    is_defaulted(). Raises Denied, with all put back that may be.
    """
    found = _as_it_stood(before, after, stood)
    targets, foreign = told_apart(before, after, found)
    problems, denied = _try_enforce(targets)
    # Measured from what decided above: a write of somebody else in between is not taken for the restore's own.
    changed = {
        key: pair[0]
        for key, pair in side_effects(found, targets).items()
        if not is_defaulted(key, pair[0], tree, after)
    }
    if changed:
        problems, denied = _try_enforce(dict(changed, **targets))
    if denied:
        raise denied
    for key, problem in problems.items():
        foreign.append({"key": key, "expected": targets.get(key, found.get(key)), "found": problem})
    return foreign


def told_apart(before, after, found):
    """({key: value} of what goes back, what somebody else has written as drift), the latest key first."""
    targets = {}
    foreign = []
    for key in reversed(list(before)):
        if found.get(key) == after[key] and before[key] is not None:
            targets[key] = before[key]
        elif found.get(key) != before[key]:
            foreign.append({"key": key, "expected": after[key], "found": found.get(key)})
    return targets, foreign


def _as_it_stood(before, after, stood):
    """{key: value} before anything went back: as it is now, but for families in which an attempt that died began."""
    now = standing(before)
    begun = {_family(key) for key in before if stood.get(key) == after[key] != before[key] == now.get(key)}
    return dict(now, **{key: value for key, value in stood.items() if key in now and _family(key) in begun})


def inherited(tree, before, after):
    """What interfaces that came since `tree` was read still hold because `after` was their default, as drift.

    expected: what the default was before.
    """
    defaults = {key for key in after if ".default." in key and before[key] not in (None, after[key])}
    return [
        {"key": key, "expected": before[default_of(key)], "found": value}
        for key, value in sorted(read_tree().values.items() if defaults else ())
        if default_of(key) in defaults and key not in after and is_defaulted(key, value, tree, after)
    ]


def of_interfaces(tree, after):
    """The part of the tree that restore() and inherited() ask for."""
    return {key: value for key, value in tree.items() if default_of(key) in after}


def is_defaulted(key, value, tree, after):
    """Whether an interface took this value from a default of `after` when it came, also again under its old name."""
    return tree.get(key) != value == after.get(default_of(key))


def default_of(key):
    """net.ipv4.conf.default.rp_filter of net.ipv4.conf.eth0.rp_filter; None of a key that has none."""
    parts = key.split(".")
    if len(parts) > 4 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default"):
        return ".".join([*parts[:3], "default", parts[-1]])
    return None


def _try_enforce(targets):
    """({key: sentence} of what is not as it should be, the error where that is not for the values)."""
    try:
        enforce(targets)
    except Refused as problem:
        return problem.keys, problem if isinstance(problem, Denied) else None
    return {}, None


def _writable(key):
    try:
        return bool(os.stat(path_of(key)).st_mode & 0o222)
    except OSError:
        return False
