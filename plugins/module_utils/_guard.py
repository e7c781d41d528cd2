# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: watches a trial on the host itself, and ends it on a rise of timestamp rejects, or when nobody confirms
in time.

It needs no network, no controller and no session. Its clock is CLOCK_BOOTTIME, so suspends count and set clocks do not.
"""

import contextlib
import json
import os
import signal
import time

from . import _guard_process
from ._counters import now, sample
from ._host_evidence import HostEvidence
from ._log import log
from ._samples import read_samples
from ._state import PENDING, Busy, Damaged, State, StateError, try_flock
from ._sysctl_file import holds
from ._trial import TrialError, Trials

# Some hours at one sample a second; at this size the oldest half is dropped, apart from the time before the change.
_SAMPLES_BYTES = 4 * 1024 * 1024
_RESTART_SECONDS = 0.2
_STOP = {signal.SIGTERM, signal.SIGINT}
# These wake the guard up: that it is to stop, or that the trial is over.
_WAKE_UP = _STOP | {signal.SIGUSR1}


class Guard:
    """Watches one trial; step() is one look, so that tests and a clock can drive it."""

    def __init__(self, trials, trial_id):
        self.trials = trials
        self.trial_id = trial_id
        self.record = None  # The journal as last read; what is needed to put everything back, should it get lost.
        self.evidence = None  # Judges the samples; made with the first one.
        self.stopped = False  # Told to stop: nobody would watch, so the trial ends.
        self.ending = None  # (reason, figures), once it is decided that the trial ends.
        self._seen = None
        self._old = False  # The old values are back, but the state folder could not be told.
        self._said = set()

    def step(self):
        """One look. Returns False when the trial is over."""
        try:
            if not self._read():
                return False
            seen = dict(sample(), phase=self.record["phase"])
            self._store(seen)
            self._observe(seen)
            return not self._act()
        except Busy:
            return True  # Somebody is confirming or rolling back right now: look again.
        except (StateError, TrialError, OSError) as problem:
            # No room for the journal, say, or values that cannot be put back. Nothing is decided by that, and what is
            # decided is done all the same. Told it is once that works.
            self._say("tries again: %s" % problem)
            self._put_back()
            return not (self.stopped and self._old)

    def _say(self, what):
        """Once, however often it looks."""
        if what not in self._said:
            self._said.add(what)
            log("the guard of rollout %s %s" % (self.record and self.record["rollout_id"], what))

    def _put_back(self):
        if self.ending is None or self._old:
            return
        with contextlib.suppress(TrialError, OSError):
            self.trials.put_back(self.record)
            self._old = True

    def resume(self, record):
        """Goes on where a guard that died left off: what it saw is in its samples."""
        self.record = record
        for seen in read_samples(self.trials.state):
            self._observe(seen)

    def _read(self):
        """Whether the trial still goes on. A journal that was lost or damaged is no end of it."""
        seen = self.trials.state.signature(PENDING)
        if seen is not None and seen == self._seen:
            return True
        if self._take(seen):
            return True
        # Asked before the lock as well: whoever ends a trial holds it until the guard has gone.
        if self.record is None or self._is_known_to_be_over():
            return False
        try:
            self.trials.state.prepare()
            with self.trials.state.locked(wait_seconds=0.5):
                if self._take(seen):
                    return True
                if not self._is_known_to_be_over():
                    self.trials.end_without_journal(self.record)
        except Busy:
            raise
        except StateError:
            self._trip("its journal was lost or damaged")
            raise
        return False

    def _take(self, seen):
        """Whether the journal is of this trial: then it is kept."""
        try:
            record = self.trials.pending()
        except StateError:
            return False
        if record is None or record["id"] != self.trial_id:
            return False
        self.record = record
        self._seen = seen
        return True

    def _is_known_to_be_over(self):
        """Whether others tell of its end, or of another trial that began since."""
        with contextlib.suppress(StateError):
            if self.trials.pending() is not None:
                return True
        history = self.trials.memory.history()
        if self.record["phase"] == "undoing":
            # One that could not begin leaves no outcome, and the file as it was confirmed.
            return (self.trial_id, "rolled_back") in [(entry["id"], entry["state"]) for entry in history] or holds(
                self.record["path"], self.record["content"]
            )
        ended = [entry["id"] for entry in history]
        with contextlib.suppress(StateError):
            ended += [entry["id"] for entry in self.trials.memory.confirmed()]
        return self.trial_id in ended

    def _observe(self, seen):
        try:
            if self.evidence is None:
                # The record of an undo has no guard to configure: nothing is judged then.
                self.evidence = HostEvidence(self.record.get("guard") or {"enabled": False})
            self.evidence.add(seen)
        except Exception as problem:
            # Whatever goes wrong with judging, the deadline holds.
            self._say("cannot judge any more and waits for the deadline: %r" % problem)
            self.evidence = HostEvidence({"enabled": False})

    def _act(self):
        """Whether the trial is over now."""
        if self.record["phase"] != "on_trial":
            # A phase that lasts only as long as its owner holds the lock. Where the lock is free, the owner died.
            with self.trials.state.locked(wait_seconds=0):
                return self.trials.recover() is not None
        if self.ending is None:
            self._note_drift()
            self._decide()
        return self.ending is not None and self._roll_back(*self.ending)

    def _note_drift(self):
        try:
            self.trials.note_drift(self.record)
        except (StateError, OSError) as problem:
            self._say("cannot note who else writes: %s" % problem)

    def _decide(self):
        if self.evidence.against:
            self._trip(self.evidence.against, self.evidence.figures())
        elif self.stopped:
            self._trip("its guard was told to stop")
        elif now() >= self.record["deadline"]:
            self._trip("nobody confirmed it in time")

    def _trip(self, reason, figures=None):
        self.ending = (reason, figures)
        self._say("tripped: %s" % reason)

    def _roll_back(self, reason, figures):
        with self.trials.state.locked(wait_seconds=0.5):
            record = self.trials.pending()
            if record is None or record["id"] != self.trial_id:
                return True
            if record["phase"] != "on_trial":
                return False
            self.trials.revert(record, reason, by_evidence=figures is not None, figures=figures)
            return True

    def _store(self, seen):
        path = self.trials.state.path(_guard_process.SAMPLES)
        with contextlib.suppress(OSError):
            with open(path, "a") as stream:
                stream.write(json.dumps(seen, sort_keys=True) + "\n")
                size = stream.tell()
            if size > _SAMPLES_BYTES:
                _cut(path, self.trials.state.path(_guard_process.CUT), size // 2)


def _cut(path, new, size):
    """Drops the oldest lines, so many bytes of them. The time before is what a guard that is started anew judges by."""
    with open(path, "rb") as stream, open(new, "wb") as kept:
        for line in stream:
            size -= len(line)
            if size < 0 or b'"phase": "armed"' in line:
                kept.write(line)
    os.rename(new, path)


def main(arguments):
    how, folder, trial_id = arguments
    # The end of the session is not ours.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # From the start: one that comes early waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WAKE_UP)
    return {"watch": watch, "supervise": supervise}[how](State(folder), trial_id)


def supervise(state, trial_id):
    """Where no systemd restarts a guard that was killed, this does."""
    # The guard inherits the lock, and both hold it: a guard that is about to be restarted is not gone, and one that
    # has gone has left no supervisor.
    if _take_watch(state) is None:
        return 0  # Another guard is on duty.
    # However the module was started; where this is ignored nobody would tell of the guard's end.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    # Without the folder nothing is on trial any more: the last guard was killed while everything was removed.
    while state.exists():
        guard = os.fork()
        if guard == 0:
            return _watch(state, trial_id)
        if _end_of(guard) == 0:
            return 0
        time.sleep(_RESTART_SECONDS)
    return 0


def _end_of(guard):
    """Waits for it; returns how it ended. Who tells its parent to stop means the guard."""
    while True:
        woken = signal.sigwait(_STOP | {signal.SIGCHLD})
        if woken in _STOP:
            os.kill(guard, woken)
            continue
        pid, status = os.waitpid(guard, os.WNOHANG)
        if pid:
            return status


def watch(state, trial_id):
    return 0 if _take_watch(state) is None else _watch(state, trial_id)


def _watch(state, trial_id):
    guard = Guard(Trials(state), trial_id)
    try:
        record = guard.trials.pending()
    except Damaged as problem:
        log("nobody guards the trial any more: %s" % problem)
        return 0
    if record is None:
        # The last guard was killed between the end of the trial and its own.
        with contextlib.suppress(StateError, OSError), state.locked(wait_seconds=0):
            if guard.trials.pending() is None:
                _guard_process.clear(state)
        return 0
    if record["id"] != trial_id:
        return 0
    if record["phase"] == "armed":
        with contextlib.suppress(OSError):
            state.remove(_guard_process.SAMPLES)
    else:
        guard.resume(record)
    baseline_seconds = record["guard"]["baseline_seconds"] if record["phase"] == "armed" else 0
    report = {"trial_id": trial_id, "pid": os.getpid(), "watching": False}
    told = _tell(state, report)
    begun = time.monotonic()
    while guard.step():
        if not report["watching"] and time.monotonic() - begun >= baseline_seconds:
            report["watching"] = True
            told = False
        told = told or _tell(state, report)
        woken = signal.sigtimedwait(_WAKE_UP, 1.0)
        if woken is not None and woken.si_signo in _STOP:
            guard.stopped = True
    with contextlib.suppress(OSError):
        _guard_process.clear(state)
    return 0


def _tell(state, report):
    """Whether that could be written. Where not, it watches all the same."""
    try:
        state.write(_guard_process.READY, report)
    except StateError:
        return False
    return True


def _take_watch(state):
    """The lock of the guard; somebody who only asks whether a guard lives holds it for an instant."""
    for _attempt in range(10):
        lock = try_flock(state.path(_guard_process.LOCK))
        if lock is not None:
            return lock
        time.sleep(0.05)
    return None
