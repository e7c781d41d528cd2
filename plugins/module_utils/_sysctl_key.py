# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of sysctl keys.

A key has two spellings: `net.ipv4.ip_forward` and `net/ipv4/ip_forward`. The first separator decides which one it
is; in the dotted one a slash then stands for a dot inside a component, and the other way round (sysctl.d(5)). So an
interface named eth0.100 is `net.ipv4.conf.eth0/100.rp_filter` or `net/ipv4/conf/eth0.100/rp_filter`.

The canonical spelling here is the dotted one.
"""

import re

_SWAP = {ord("."): "/", ord("/"): "."}
_UNSAFE = re.compile(r"[\x00-\x20\x7f=#;]")


class InvalidKey(ValueError):
    """A text that is not the name of a sysctl; the message is a sentence for people."""


def relative_path(key: str) -> str:
    """The path below /proc/sys of a key in either spelling. Raises InvalidKey."""
    if not isinstance(key, str):
        raise InvalidKey("a sysctl key must be text, not %s" % type(key).__name__)
    if not key:
        raise InvalidKey("a sysctl key must not be empty")
    unsafe = _UNSAFE.search(key)
    if unsafe:
        raise InvalidKey("key %r holds the character %r, which no sysctl name has" % (key, unsafe.group()))
    if ".." in key:
        raise InvalidKey("key %r holds '..': a key stays below /proc/sys, write it like net.ipv4.ip_forward" % key)
    first = re.search(r"[./]", key)
    path = key.translate(_SWAP) if first and first.group() == "." else key
    parts = path.split("/")
    if "" in parts:
        raise InvalidKey("key %r has an empty component: write it like net.ipv4.ip_forward" % key)
    if "." in parts:
        raise InvalidKey("key %r has a component '.': write it like net.ipv4.ip_forward" % key)
    if len(parts) < 2:
        raise InvalidKey("key %r has only one component: write it in full, like net.ipv4.ip_forward" % key)
    return path


def from_path(path: str) -> str:
    """The canonical key of a path below /proc/sys."""
    return path.translate(_SWAP)


def canonical(key: str) -> str:
    """The canonical spelling of a key given in either spelling. Raises InvalidKey."""
    return from_path(relative_path(key))
