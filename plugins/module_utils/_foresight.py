# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode: the steps of a trial as they would be taken, each seeing what those before it would have left."""

import contextlib
import errno
import os

from ._enforce import Denied, refusal
from ._live import told_apart
from ._procfs import path_of
from ._state import PENDING, State, StateError
from ._trial import Trials
from ._trial_record import before_and_after


class Foreseen(Trials):
    """Decides as Trials does, and leaves the host as it is."""

    def __init__(self):
        super().__init__(_Unwritten())
        self._values = {}  # What was put back.

    def values_of(self, keys):
        found = super().values_of(keys)
        found.update({key: self._values[key] for key in found if key in self._values})
        return found

    def recover(self):
        # Without a trial, all there is to do is to clear away the files of a guard.
        return super().recover() if self.pending() else None

    def foresee_start(self, values, content, path, force):
        """What start() finds before it writes: the values of all keys that it would write. Raises what it raises."""
        self.state.prepare()
        if self.state.exists():
            self.let_guard_restore()
        with self.locked():
            self.recover()
            found = self.check_start(values, content, path, force)
            self.state.check_writable(PENDING)
            return found

    def _put_values_back(self, record):
        before, after = before_and_after(record)
        found = self.values_of(before)
        targets, foreign = told_apart(before, after, found)
        denied = {key: old for key, old in targets.items() if old != found[key] and not _may_write(path_of(key))}
        if denied:
            problem = OSError(errno.EROFS, os.strerror(errno.EROFS))
            raise Denied({key: refusal(value, problem) for key, value in denied.items()}, {})
        self._values.update(targets)
        return foreign

    def _persist(self, record):
        _refuse_read_only(os.path.dirname(record["path"]))

    def _put_file_back(self, record):
        _refuse_read_only(os.path.dirname(record["path"]))

    def _clean_up(self, record):
        pass

    def _let_guard_finish(self, record):
        pass

    def _dismiss_guard(self):
        pass

    def _log(self, what):
        pass


class _Unwritten(State):
    """The documents as they would be."""

    def __init__(self):
        super().__init__()
        self._documents = {}

    def read(self, name, default=None):
        if name not in self._documents:
            return super().read(name, default)
        document = self._documents[name]
        return default if document is None else document

    def prepare(self):
        self.check_folder()
        try:
            if not self.exists():
                _refuse_read_only(os.path.dirname(self.folder))
        except OSError as problem:
            raise StateError("cannot use the state folder %s: %s" % (self.folder, problem.strerror)) from None

    def check_writable(self, name):
        try:
            _refuse_read_only(self.folder)
        except OSError as problem:
            raise StateError("cannot write %s: %s" % (self.path(name), problem.strerror)) from None

    def write(self, name, document):
        self.check_writable(name)
        self._documents[name] = document

    def remove(self, name):
        self._documents[name] = None

    def keep_damaged(self, name):
        pass

    def remove_folder(self):
        try:
            _refuse_read_only(self.folder)
        except OSError as problem:
            raise self.cannot_remove(problem) from None

    @contextlib.contextmanager
    def locked(self, wait_seconds):
        # Where nobody has locked it yet, no lock is left behind.
        if not os.path.exists(self.path("lock")):
            yield
            return
        with super().locked(wait_seconds):
            yield


def _refuse_read_only(path):
    if not _may_write(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


def _may_write(path):
    """Whether its file system lets root write there; what is not there yet can be made."""
    return not os.path.exists(path) or os.access(path, os.W_OK)
