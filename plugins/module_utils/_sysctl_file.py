# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in sysctl.d that a confirmed trial leaves, and the one in /run that a pending trial has."""

import base64
import contextlib
import os
import stat

from ._state import remove, temporary_of, write_atomically
from ._sysctl_d import parse

FOLDER = "/etc/sysctl.d"
RUN_FOLDER = "/run/sysctl.d"


class BadFile(ValueError):
    """The path or the content will not do; the message is a sentence for people."""


def check_path(path):
    folder, name = os.path.split(path)
    if folder != FOLDER or not name.endswith(".conf") or name.startswith("."):
        raise BadFile(
            "path %r must be a file %s/NAME.conf: systemd and procps read no other names there" % (path, FOLDER)
        )
    return path


def settings(text):
    """{key: value} of a file's text. Raises BadFile where a line is not a plain setting."""
    entries, problems = parse(text)
    if problems:
        raise BadFile("line %d of the file's content: %s" % problems[0])
    return {entry.key: entry.value for entry in entries if entry.value is not None}


def run_path(path):
    """Where the pending trial's file lies: a name that one in /etc does not hide, and that comes behind it in order."""
    return os.path.join(RUN_FOLDER, os.path.basename(path)[: -len(".conf")] + ".trial.conf")


def snapshot(path):
    """Content, mode and owner of a file, as JSON; None where there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise BadFile("%s is not a plain file: nettune replaces only plain files" % path)
    with open(path, "rb") as stream:
        data = stream.read()
    return {
        "bytes": base64.b64encode(data).decode("ascii"),
        "mode": stat.S_IMODE(found.st_mode),
        "owner": [found.st_uid, found.st_gid],
    }


def text_of(shot):
    return base64.b64decode(shot["bytes"]).decode("utf-8", "replace") if shot else ""


def holds(path, content):
    """Whether it is a plain file with exactly this text."""
    try:
        shot = snapshot(path)
    except (BadFile, OSError):
        return False
    return shot is not None and base64.b64decode(shot["bytes"]) == content.encode("utf-8")


def is_as(path, shot):
    """Whether the file is still what snapshot() saw."""
    try:
        return snapshot(path) == shot
    except BadFile:
        return False


def write(path, content, like=None):
    """Replaces the file as a whole; mode and owner stay those of the snapshot `like`."""
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    write_atomically(
        path, content.encode("utf-8"), like["mode"] if like else 0o644, tuple(like["owner"]) if like else None
    )


def restore(path, shot):
    """Puts back what snapshot() saw."""
    if shot is None:
        remove(path)
    else:
        write_atomically(path, base64.b64decode(shot["bytes"]), shot["mode"], tuple(shot["owner"]))


def clean_up(path, folder_too):
    """Removes the pending trial's file, and what a crash left half written."""
    for leftover in (run_path(path), temporary_of(run_path(path)), temporary_of(path)):
        with contextlib.suppress(OSError):
            remove(leftover)
    if folder_too:
        with contextlib.suppress(OSError):
            os.rmdir(RUN_FOLDER)
