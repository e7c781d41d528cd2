# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: watches a trial on the host itself, and ends it on a rise of timestamp rejects, or when nobody confirms in time.

It needs no network, no controller and no session. Its clock is CLOCK_BOOTTIME, so suspends count and set clocks do not.
"""

import contextlib
import json
import os
import signal
import time

from . import _guard_process
from ._counters import now, sample
from ._evidence import exceeds, increments, opens, per_thousand, timestamp_rejects
from ._state import Busy, State, try_flock
from ._trial import Trials

# A day of samples at one a second would be 30 MB; the oldest half is dropped at this size.
_SAMPLES_BYTES = 4 * 1024 * 1024


class Guard:
    """Watches one trial; step() is one look, so that tests and a clock can drive it."""

    def __init__(self, trials, trial_id):
        self.trials = trials
        self.trial_id = trial_id
        self.baseline = []  # Samples before the first write.
        self.first = None  # The sample that the trial is measured from.
        self.last = None

    def step(self):
        """One look. Returns False when the trial is over."""
        record = self.trials.pending()
        if record is None or record["id"] != self.trial_id:
            return False
        self.last = sample()
        self._store(record["phase"])
        if record["phase"] == "armed":
            self.baseline.append(self.last)
        elif self.first is None:
            # The last one before the writing: what happens during the write counts.
            self.first = self.baseline[-1] if self.baseline else self.last
        if record["phase"] != "on_trial":
            return not self._finish_if_abandoned()
        reason = self._judge(record)
        if reason:
            return not self._roll_back(reason, by_evidence=True)
        if now() >= record["deadline"]:
            return not self._roll_back("nobody confirmed it in time", by_evidence=False)
        return True

    def _judge(self, record):
        limits = record["guard"]
        if not limits["enabled"]:
            return None
        rise = increments(self.first, self.last)
        if rise is None:
            return None
        before = (increments(self.baseline[0], self.baseline[-1]) if self.baseline else None) or {}
        rejects, exposure = timestamp_rejects(rise), opens(rise)
        was_rejects, was_exposure = timestamp_rejects(before), opens(before)
        if not exceeds(rejects, exposure, was_rejects, was_exposure, limits["min_events"], limits["max_per_1000"], limits["max_ratio"]):
            return None
        return "%d timestamp rejects in %d new connections (%.0f per 1,000; before the trial %.0f; limit %.0f)" % (
            rejects, exposure, per_thousand(rejects, exposure), per_thousand(was_rejects, was_exposure), limits["max_per_1000"],
        )

    def _roll_back(self, reason, by_evidence):
        """Whether the trial is over now."""
        try:
            with self.trials.state.locked(wait_seconds=0.5):
                record = self.trials.pending()
                if record is None or record["id"] != self.trial_id:
                    return True
                if record["phase"] != "on_trial":
                    return False
                self.trials.revert(record, reason, by_evidence)
                return True
        except Busy:
            return False  # Somebody is confirming or rolling back right now: look again.

    def _finish_if_abandoned(self):
        """A phase that only lasts while its owner holds the lock, and the lock is free: the owner died."""
        try:
            with self.trials.state.locked(wait_seconds=0):
                return self.trials.recover() is not None
        except Busy:
            return False

    def resume(self):
        """Goes on where a guard that died left off: the time before the trial is in its samples."""
        self.baseline = [entry for entry in read_samples(self.trials.state) if entry["phase"] == "armed"]

    def _store(self, phase):
        path = self.trials.state.path(_guard_process.SAMPLES)
        with open(path, "a") as stream:
            stream.write(json.dumps(dict(self.last, phase=phase), sort_keys=True) + "\n")
            size = stream.tell()
        if size > _SAMPLES_BYTES:
            with open(path) as stream:
                lines = stream.readlines()
            with open(path + ".cut", "w") as stream:
                stream.writelines(lines[len(lines) // 2:])
            os.rename(path + ".cut", path)


def read_samples(state):
    """The series of the pending or last trial: samples, each with the phase that it was taken in."""
    samples = []
    with contextlib.suppress(OSError):
        with open(state.path(_guard_process.SAMPLES)) as stream:
            for line in stream:
                with contextlib.suppress(ValueError):  # The last line of a guard that was killed.
                    samples.append(json.loads(line))
    return samples


def main(arguments):
    folder, trial_id = arguments
    # The end of the session is not ours; the wake-up call is for sigtimedwait.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    state = State(folder)
    lock = _take_watch(state)
    if lock is None:
        return 0  # Another guard is on duty.
    guard = Guard(Trials(state), trial_id)
    record = guard.trials.pending()
    if record is None or record["id"] != trial_id:
        return 0
    if record["phase"] == "armed":
        state.remove(_guard_process.SAMPLES)
    else:
        guard.resume()
    report = {"trial_id": trial_id, "pid": os.getpid(), "watching": False}
    state.write(_guard_process.READY, report)
    begun = time.monotonic()
    while guard.step():
        if not report["watching"] and time.monotonic() - begun >= record["guard"]["baseline_seconds"]:
            report["watching"] = True
            state.write(_guard_process.READY, report)
        signal.sigtimedwait({signal.SIGUSR1}, 1.0)
    _guard_process.clear(state)
    return 0


def _take_watch(state):
    """The lock of the guard; somebody who only asks whether a guard lives holds it for an instant."""
    for _attempt in range(10):
        lock = try_flock(state.path(_guard_process.LOCK))
        if lock is not None:
            return lock
        time.sleep(0.05)
    return None
