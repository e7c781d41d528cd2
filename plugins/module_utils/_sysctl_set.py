# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proposed set of keys and values, as the host half takes it."""

import hashlib
import json

from ._procfs import normalise
from ._sysctl_key import InvalidKey, canonical


class BadSet(ValueError):
    """The set cannot be applied anywhere; the message is a sentence for people."""


def set_hash(values):
    """Names a set of values, whatever its order."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8")).hexdigest()[:16]


def prepare_set(sysctl):
    """{canonical key: normalised value} of a proposed set. Raises BadSet."""
    values = {}
    for key, value in sysctl.items():
        try:
            name = canonical(key)
        except InvalidKey as problem:
            raise BadSet(str(problem)) from None
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise BadSet("the value of %s must be text or a whole number, not %s" % (name, type(value).__name__))
        text = str(value)
        if "\n" in text or "\0" in text:
            raise BadSet("the value of %s holds a line break or a NUL character: write it on one line" % name)
        if name in values:
            raise BadSet("%s is given twice, in two spellings: keep one" % name)
        values[name] = normalise(text)
    if not values:
        raise BadSet("the set is empty: name at least one key and value")
    return values
