# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder on the host that remembers: the pending trial, what was confirmed, what happened. And its lock."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import time

from ._log import log

FOLDER = "/var/lib/nettune"
# The document of the pending trial.
PENDING = "trial.json"


class StateError(Exception):
    """The state folder cannot be used; the message is a sentence for people."""


class Busy(StateError):
    """Somebody else holds the lock."""


class Damaged(StateError):
    """A document is not what was written."""


class NotSynced(OSError):
    """What a folder holds is changed, but a power cut may bring back what it held before."""


def write_atomically(path, data, mode=0o600, owner=None):
    """The file holds either its old bytes or the new ones, whatever happens; the new ones where it raises NotSynced.

    owner: (uid, gid).
    """
    temporary = temporary_of(path)
    # O_EXCL: a link that was planted there is not followed.
    remove(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            if owner:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(os.path.dirname(path))


def temporary_of(path):
    """Where new bytes wait until they are complete: one name a file, so that whoever comes after a crash removes it."""
    folder, name = os.path.split(path)
    return os.path.join(folder, ".%s.nettune-new" % name)


def remove(path):
    # Asked first: a read-only file system refuses to unlink even what is not there.
    if os.path.lexists(path):
        os.unlink(path)
        sync_folder(os.path.dirname(path))


def sync_folder(folder):
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as problem:
        raise NotSynced(problem.errno, problem.strerror, folder) from None


def try_flock(path):
    """A descriptor that holds the lock of the file until it is closed or its process ends; None where it is taken."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except OSError as problem:
        if problem.errno != errno.EROFS:
            raise
        # The disk gave up writing; a lock needs nothing of it.
        descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        os.close(descriptor)
        if problem.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    return descriptor


_TAIL = b"}\n"


def _with_checksum(text):
    """A document as it lies on the disk: JSON, whatever byte of it changes."""
    digest = hashlib.sha256(text).hexdigest().encode("ascii")
    return b'{"sha256": "' + digest + b'", "document": ' + text + _TAIL


_HEAD_BYTES = len(_with_checksum(b"")) - len(_TAIL)


class State:
    """Named JSON documents in one folder, each replaced as a whole and read only as it was written."""

    def __init__(self, folder=FOLDER):
        self.folder = folder
        self.warnings = []  # Of what holds nothing up.

    def path(self, name):
        return os.path.join(self.folder, name)

    def prepare(self):
        """Makes the folder. Raises StateError where something else stands in its place."""
        try:
            os.makedirs(os.path.dirname(self.folder), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.folder, 0o700)
            self.check_folder()
            if os.lstat(self.folder).st_mode & 0o077:
                os.chmod(self.folder, 0o700)
        except OSError as problem:
            raise StateError("cannot use the state folder %s: %s" % (self.folder, problem.strerror)) from None

    def check_folder(self):
        """Raises StateError where something else stands in its place."""
        if not os.path.lexists(self.folder):
            return
        found = os.lstat(self.folder)
        if not stat.S_ISDIR(found.st_mode):
            raise StateError("%s is not a folder: move it away, nettune keeps its journal there" % self.folder)
        if found.st_uid != os.geteuid():
            raise StateError("%s belongs to uid %d: it must belong to root" % (self.folder, found.st_uid))

    def remove_folder(self):
        """Forgets everything. The caller holds the lock: its file goes last, so nobody else begins before."""
        try:
            for name in sorted(os.listdir(self.folder), key=lambda name: name == "lock"):
                path = self.path(name)
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
            # A disk of its own stays, empty; so does what somebody else has begun since.
            if not os.path.ismount(self.folder):
                with contextlib.suppress(OSError):
                    os.rmdir(self.folder)
        except OSError as problem:
            raise self.cannot_remove(problem) from None

    def cannot_remove(self, problem):
        return StateError(
            "the old values are back, but the state folder %s cannot be removed: %s" % (self.folder, problem.strerror)
        )

    def exists(self):
        return os.path.isdir(self.folder) and not os.path.islink(self.folder)

    def remembers(self):
        """Whether there is anything to forget."""
        return self.exists() and bool(os.listdir(self.folder))

    @contextlib.contextmanager
    def locked(self, wait_seconds):
        """One writer at a time. Raises Busy after wait_seconds."""
        give_up = time.monotonic() + wait_seconds
        while True:
            try:
                descriptor = try_flock(self.path("lock"))
            except OSError as problem:
                if not os.path.lexists(self.folder):
                    self.prepare()  # Whoever held the lock has removed the folder.
                    continue
                raise StateError("cannot lock %s: %s" % (self.path("lock"), problem.strerror)) from None
            if descriptor is not None:
                if self._is_the_lock(descriptor):
                    break
                os.close(descriptor)
                continue
            if time.monotonic() >= give_up:
                raise Busy("another nettune run holds %s" % self.path("lock"))
            time.sleep(0.02)
        try:
            yield
        finally:
            os.close(descriptor)

    def _is_the_lock(self, descriptor):
        """Whether its file is still the one that others would lock."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path("lock")))
        except FileNotFoundError:
            return False

    def read(self, name, default=None):
        """The document, or the default where there is none. Raises Damaged where a byte is not as it was written."""
        try:
            with open(self.path(name), "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            return default
        except OSError as problem:
            raise StateError("cannot read %s: %s" % (self.path(name), problem.strerror)) from None
        text = data[_HEAD_BYTES : -len(_TAIL)]
        if data != _with_checksum(text):
            raise Damaged(
                "%s is damaged, so what it remembered is lost: compare the values in /proc/sys with the files in"
                " /etc/sysctl.d, then move the file away" % self.path(name)
            )
        return json.loads(text.decode("ascii"))

    def read_undamaged(self, name, default):
        """The same for what no values depend on: damaged, it counts as absent, and whoever looks is told."""
        try:
            return self.read(name, default)
        except Damaged:
            self.warn("%s is damaged and counts as empty" % self.path(name))
            return default

    def warn(self, warning):
        """Tells people of what holds nothing up, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)
            log(warning)

    def keep_damaged(self, name):
        """Sets a damaged document aside, for people to look at, before it is begun anew."""
        try:
            self.read(name)
        except Damaged:
            with contextlib.suppress(OSError):
                os.rename(self.path(name), self.path(name + ".damaged"))

    def write(self, name, document):
        text = json.dumps(document, sort_keys=True).encode("ascii")
        try:
            write_atomically(self.path(name), _with_checksum(text))
        except OSError as problem:
            raise StateError("cannot write %s: %s" % (self.path(name), problem.strerror)) from None

    def signature(self, name):
        """Changes whenever the document is replaced; None where there is none."""
        if not self.exists():
            return None
        try:
            found = os.stat(self.path(name))
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def remove(self, name):
        remove(self.path(name))
