# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of sysctls, read from and written to /proc/sys."""

import collections
import os

from ._sysctl_key import from_path, relative_path

PROC_SYS = "/proc/sys"

# values: {key: value}. read_only: keys that nobody can write here. unreadable: keys that exist and could not be read.
Tree = collections.namedtuple("Tree", "values read_only unreadable")


def normalise(value: str) -> str:
    """One space between the numbers of a list: the kernel answers with tabs to what people write with spaces."""
    return " ".join(value.split())


def path_of(key: str) -> str:
    return os.path.join(PROC_SYS, relative_path(key))


def read_value(key: str):
    """The value now, or None where the key does not exist. Raises OSError where it exists and cannot be read."""
    try:
        return _read(path_of(key))
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_value(key: str, value: str) -> None:
    """Raises OSError with the kernel's answer: EINVAL, EPERM, EROFS, ENOENT."""
    # One write(2), unbuffered: the kernel parses each write for itself.
    descriptor = os.open(path_of(key), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode() + b"\n")
    finally:
        os.close(descriptor)


def read_tree(root: str = "net") -> Tree:
    """All sysctls below a folder of /proc/sys."""
    values = {}
    read_only = []
    unreadable = []
    for path, writable in _files(os.path.join(PROC_SYS, root)):
        key = from_path(path[len(PROC_SYS) + 1 :])
        if not writable:
            read_only.append(key)
        try:
            values[key] = _read(path)
        except FileNotFoundError:
            continue  # An interface left while we walked.
        except OSError:
            unreadable.append(key)
    return Tree(values, sorted(read_only), sorted(unreadable))


def _files(folder):
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
            continue
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError:
            continue
        yield entry.path, bool(mode & 0o222)


def _read(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # A sysctl answers in one read of a page or so; the long ones (rss keys, port bitmaps) need more.
        chunks = [os.read(descriptor, 65536)]
        while chunks[-1]:
            chunks.append(os.read(descriptor, 65536))
    finally:
        os.close(descriptor)
    return normalise(b"".join(chunks).decode("utf-8", "replace"))
