# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""The trial of a sysctl set on one host.

A trial is one journal record. Its phases:

    armed -> writing -> on_trial -> confirming -> (confirmed)
                 \-> restoring <-/                            undoing (of a confirmed trial)

The record is on disk before anything happens that it describes, so whoever finds it with the lock free knows what
the dead owner was at and finishes it: see recover(). The rename of the file into /etc/sysctl.d is the point of no
return: before it a host is old, behind it new.
"""

import contextlib
import os
import time
import uuid

from . import _guard_process, _sysctl_file
from ._counters import boot_id, now, sample
from ._enforce import Denied, Refused, enforce
from ._host_evidence import HostEvidence
from ._live import inherited, is_defaulted, obstacle, restore, side_effects, values_of
from ._log import log
from ._procfs import normalise, read_tree
from ._samples import read_samples
from ._state import PENDING, Busy, Damaged, NotSynced, State, StateError
from ._sysctl_set import set_hash
from ._trial_memory import Memory
from ._trial_record import (
    as_last_seen,
    before_and_after,
    confirmed_outcome,
    ending_of,
    is_persisted,
    note_what_was_written,
    outcome_of,
    standing_of,
)
from ._trial_sentences import being_done, clock, difference, listed, what_was_put_back, who, who_else_writes, whose

DRIFT = "drift.json"
# Longer than anything takes under the lock, but for the time before that a guard samples first.
LOCK_SECONDS = 10.0


class TrialError(Exception):
    """Why a trial cannot go on; the message is a sentence for people."""


class NothingOnTrial(TrialError):
    """There is no trial to confirm, and never was."""


class Trials:
    """The trials of this host: at most one pending, and the memory of those before."""

    def __init__(self, state=None):
        self.state = state or State()
        self.memory = Memory(self.state)
        self._logged_drift = {}  # Where it cannot be written down, it is logged once all the same.

    # What is ---------------------------------------------------------------------------------------------------------

    def values_of(self, keys):
        """{key: value now}; None where a key is absent or cannot be read."""
        return values_of(keys)

    def pending(self):
        return self.state.read(PENDING) if self.state.exists() else None

    def is_settled(self, values, path):
        """Whether the set is live and persisted already."""
        shot = _sysctl_file.snapshot(path)
        if shot is None:
            return False
        try:
            persisted = _sysctl_file.settings(_sysctl_file.text_of(shot))
        except _sysctl_file.BadFile:
            return False
        persisted = {key: normalise(value) for key, value in persisted.items()}
        return persisted == values and self.values_of(values) == values

    def targets(self, values, path):
        """What is to be written: the set, and what the last confirmed set had besides, back at its original."""
        dropped = {
            key: original
            for key, (given, original, now_is) in self._dropped(values, path).items()
            if now_is in (given, original)
        }
        return dict(list(dropped.items()) + list(values.items()))

    def left_alone(self, values, path):
        """Keys that the set drops and somebody else has written: [{key, expected, found}]."""
        return [
            {"key": key, "expected": given, "found": now_is}
            for key, (given, original, now_is) in sorted(self._dropped(values, path).items())
            if now_is not in (given, original)
        ]

    def _dropped(self, values, path):
        """What the last confirmed set had and these have not: {key: (its value there, its original, its value now)}."""
        last = self.memory.last_confirmed(path)
        if last is None:
            return {}
        originals = self.memory.originals()
        # What it changed besides goes the way of the keys that it asked for. A key may have gone with its interface.
        found = self.values_of(last["set"])
        newest = {entry["path"]: entry["set"] for entry in self.memory.confirmed() if entry["path"] != path}
        elsewhere = {key for named in newest.values() for key in named}
        return {
            key: (last["values"][key]["after"], originals[key], now_is)
            for key, now_is in found.items()
            if key not in values and key not in elsewhere and key in originals and now_is is not None
        }

    def drift(self, record):
        """Keys that do not hold what the trial gave them: [{key, expected, found, since}].

        since: when the guard first saw that value, in seconds since 1970; None where no guard has.
        """
        # Armed, it has given them nothing yet.
        applied = {} if record.get("phase") == "armed" else record.get("applied", {})
        found = self.values_of(applied)
        changed = sorted(key for key, expected in applied.items() if found[key] != expected)
        seen = self.state.read_undamaged(DRIFT, {}) if changed and self.state.exists() else {}
        return [
            {
                "key": key,
                "expected": applied[key],
                "found": found[key],
                "since": seen[key]["since"] if key in seen and seen[key]["found"] == found[key] else None,
            }
            for key in changed
        ]

    def note_drift(self, record):
        """Remembers and logs when somebody else wrote a key of the trial. The guard calls this at every look."""
        changed = self.drift(record)
        news = [entry for entry in changed if entry["since"] is None]
        for entry in news:
            entry["since"] = time.time()
            if self._logged_drift.get(entry["key"]) != entry["found"]:
                self._logged_drift[entry["key"]] = entry["found"]
                log("rollout %s: %s" % (record["rollout_id"], who_else_writes(entry)))
        if news:
            self.state.write(
                DRIFT, {entry["key"]: {name: entry[name] for name in ("found", "since")} for entry in changed}
            )

    # What happens ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, wait_seconds=None, patient=False):
        """One writer at a time. Raises Busy, which names who is at work.

        patient: waits also for a trial that is being armed. It has written nothing yet, so nothing is late by that.
        """
        if wait_seconds is None:
            wait_seconds = LOCK_SECONDS
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self.state.locked(wait_seconds))
            except Busy as problem:
                record = self._at_work()
                if not (patient and record and record["phase"] == "armed"):
                    raise Busy("%s: %s" % (problem, being_done(record)) if record else str(problem)) from None
                longest = _guard_process.START_SECONDS + record["guard"]["baseline_seconds"]
                held.enter_context(self.locked(wait_seconds + longest))
            yield

    def _at_work(self):
        """The trial that somebody is starting or ending."""
        with contextlib.suppress(StateError):
            return self.pending()
        return None

    def check_start(self, values, content, path, force):
        """The values now of all keys that would be written; raises where a trial of these values must not begin."""
        if {key: normalise(value) for key, value in _sysctl_file.settings(content).items()} != values:
            raise TrialError("the content for %s does not say the same as the set: nothing was changed" % path)
        record = self.pending()
        if record:
            raise TrialError("a trial is pending here: %s. Confirm it or roll it back first" % whose(record))
        name = set_hash(values)
        refused = next((entry for entry in self.memory.refused() if entry["set_hash"] == name), None)
        if refused and not force:
            raise TrialError(
                "this very set was rolled back here on %s: %s. Change it, or force it"
                % (clock(refused["ended"]), refused["reason"])
            )
        targets = self.targets(values, path)
        for key in targets:
            problem = obstacle(key)
            if problem:
                raise TrialError(problem)
        return self.values_of(targets)

    def start(self, values, content, path, rollout_id, confirm_within, guard, force=False):
        """Puts the set on trial; returns its record. Everything is as before where this raises TrialError."""
        _sysctl_file.check_path(path)
        self.state.prepare()
        self.let_guard_restore()
        with self.locked():
            self.recover()
            self.check_start(values, content, path, force)
            tree = read_tree().values
            record = {
                "id": uuid.uuid4().hex[:12],
                "rollout_id": rollout_id,
                "by": who(),
                "boot_id": boot_id(),
                "started": time.time(),
                "deadline": now() + confirm_within + guard["baseline_seconds"],
                "deadline_epoch": time.time() + confirm_within + guard["baseline_seconds"],
                "phase": "armed",
                "path": path,
                "content": content,
                "set": values,
                "set_hash": set_hash(values),
                "tree": tree,
                "file": _sysctl_file.snapshot(path),
                "run_folder_made": not os.path.isdir(_sysctl_file.RUN_FOLDER),
                "side_effects": {},
                "guard": guard,
            }
            record.update(self._to_write(values, path))
            self.state.write(PENDING, record)
            try:
                _guard_process.start(self.state, record["id"], guard["baseline_seconds"])
                # Anew: while the guard sampled the time before, somebody else may have written.
                tree = read_tree().values
                record.update(self._to_write(values, path), phase="writing", tree=tree)
                # Anew too: however long the guard took to come up, that is none of the time to confirm.
                record.update(deadline=now() + confirm_within, deadline_epoch=time.time() + confirm_within)
                self.state.write(PENDING, record)
                log("rollout %s is armed: its guard watches, nothing is written yet" % rollout_id)
                self._put_back_dropped(record)
                enforce(record["applied"])
                record["side_effects"] = side_effects(tree, record["applied"])
                _write_for_the_trial(_sysctl_file.run_path(path), content)
                record["phase"] = "on_trial"
                self.state.write(PENDING, record)
            except (Refused, StateError, TrialError, _guard_process.GuardError, OSError) as problem:
                if isinstance(problem, Refused):
                    # What the kernel has made of them, for nobody else has had the time to write them.
                    record["applied"].update(problem.found)
                outcome = self.revert(record, "could not be applied: %s" % problem)
                raise TrialError("%s. %s" % (problem, what_was_put_back(outcome))) from None
            log(
                "rollout %s is on trial: %s; rolled back at %s unless confirmed"
                % (rollout_id, listed(values), clock(record["deadline_epoch"]))
            )
            return record

    def _put_back_dropped(self, record):
        """Before the set is written: what changes along with dropped keys, and was never the file's, goes back too."""
        dropped = {key: old for key, old in record["applied"].items() if key not in record["set"]}
        if not dropped:
            return
        # Where a key depends on those of the set, it comes right with them.
        with contextlib.suppress(Refused):
            enforce(dropped)
        whole = self.memory.whole(record["path"])
        _before, after = before_and_after(whole)
        with contextlib.suppress(Refused):
            enforce(
                {
                    key: old
                    for key, (old, _new) in side_effects(record["tree"], dropped).items()
                    if key not in after and not is_defaulted(key, old, whole["tree"], after)
                }
            )

    def _to_write(self, values, path):
        applied = {key: normalise(value) for key, value in self.targets(values, path).items()}
        return {"applied": applied, "before": self.values_of(applied), "left_alone": self.left_alone(values, path)}

    def check_confirm(self, record, rollout_id):
        """Raises TrialError where the pending trial must not be confirmed."""
        _check_rollout(record, rollout_id)
        drift = self.drift(record)
        if drift:
            raise TrialError(
                "not confirmed, because something else changed meanwhile: %s"
                % "; ".join(difference(entry) for entry in drift)
            )
        path = record["path"]
        if not _sysctl_file.holds(path, record["content"]) and _sysctl_file.snapshot(path) != record["file"]:
            raise TrialError("not confirmed, because somebody else changed %s meanwhile" % path)

    def confirm(self, rollout_id):
        """Persists the pending trial; returns (its record, whether that was news)."""
        if not self.state.exists():
            raise NothingOnTrial("nothing is on trial here, so nothing can be confirmed")
        self.let_guard_restore()
        with self.locked(patient=True):
            self.recover()
            record = self.pending()
            if record is None:
                return self.already_confirmed(rollout_id), False
            self.check_confirm(record, rollout_id)
            self.memory.check()
            self._check_evidence(record)
            record["phase"] = "confirming"
            self.state.write(PENDING, record)
            try:
                self._persist(record)
            except OSError as problem:
                outcome = self.revert(record, "could not be persisted: %s" % problem)
                raise TrialError(
                    "%s cannot be written: %s. %s" % (record["path"], problem.strerror, what_was_put_back(outcome))
                ) from None
            self._confirmed(record)
            return record, True

    def _check_evidence(self, record):
        """Ends the trial, and raises TrialError, where the counters speak against it since the guard last looked."""
        evidence = HostEvidence(record["guard"])
        try:
            for seen in read_samples(self.state):
                evidence.add(seen)
            evidence.add(dict(sample(), phase=record["phase"]))
        except Exception:
            return  # As with a guard that cannot judge: samples that are none decide nothing.
        if evidence.against:
            outcome = self.revert(record, evidence.against, by_evidence=True, figures=evidence.figures())
            raise TrialError("not confirmed: %s. %s" % (evidence.against, what_was_put_back(outcome)))

    def roll_back(self, reason, by_evidence=False, rollout_id=None, trial_id=None):
        """Ends the pending trial, or undoes the last confirmed one; returns (record or None, outcome or None)."""
        if not self.state.exists():
            return None, None
        self.let_guard_restore()
        with self.locked(patient=True):
            pending = self.pending()
            outcome = self.recover()
            if (
                outcome
                and outcome["state"] == "rolled_back"
                and rollout_id in (None, pending["rollout_id"])
                and trial_id in (None, pending["id"])
            ):
                # That was the one; what was confirmed before it stays.
                if by_evidence:
                    self._blame(outcome, reason)
                return pending, outcome
            pending, confirmed, outcome = self.what_to_undo(rollout_id, trial_id)
            if pending:
                return pending, self.revert(pending, reason, by_evidence)
            if confirmed:
                return confirmed, self._begin_undo(dict(confirmed, ends=[confirmed["id"]]), reason, by_evidence)
            if by_evidence and outcome:
                self._blame(outcome, reason)
            return None, outcome

    def what_to_undo(self, rollout_id=None, trial_id=None):
        """One of (pending record, confirmed record, outcome that leaves nothing to undo); the others are None."""
        record = self.pending()
        if record is not None:
            _check_rollout(record, rollout_id)
            if trial_id and record["id"] != trial_id:
                raise TrialError("another trial is pending here: rollout %s" % record["rollout_id"])
            return record, None, None
        if trial_id:
            return self._confirmed_or_ended(trial_id)
        latest = None
        if rollout_id:
            latest = next((entry for entry in self.memory.history() if entry["rollout_id"] == rollout_id), None)
            if latest and latest["state"] != "confirmed":
                return None, None, latest
        stack = self.memory.confirmed()
        # What the history has forgotten, or lost, may be there to undo all the same.
        known = not rollout_id or latest or any(entry["rollout_id"] == rollout_id for entry in stack)
        if not stack or not known:
            return None, None, None
        if rollout_id and stack[-1]["rollout_id"] != rollout_id:
            raise TrialError(
                "rollout %s was confirmed here, and %s after it: undo the later one first"
                % (rollout_id, stack[-1]["rollout_id"])
            )
        return None, stack[-1], None

    def _confirmed_or_ended(self, trial_id):
        """The same for one trial."""
        stack = self.memory.confirmed()
        if all(entry["id"] != trial_id for entry in stack):
            return None, None, next((entry for entry in self.memory.history() if entry["id"] == trial_id), None)
        if stack[-1]["id"] != trial_id:
            raise TrialError("rollout %s was confirmed here after it: undo that first" % stack[-1]["rollout_id"])
        return None, stack[-1], None

    def remove(self, reason):
        """Everything back to before nettune first touched this host; returns [(record, outcome)] of what was undone."""
        if not self.state.remembers():
            return []
        self.let_guard_restore()
        done = []
        with self.locked(patient=True):
            pending = self.pending()
            outcome = self.recover()
            if pending and not outcome:
                outcome = self.revert(pending, reason)
            if outcome and outcome["state"] == "rolled_back":
                done.append((pending, outcome))
            for record in self.memory.whole_undo():
                done.append((record, self._begin_undo(record, reason)))
            self.state.remove_folder()
        return done

    def recover(self):
        """Finishes what a dead owner left; returns the outcome or None. The caller holds the lock."""
        record = self.pending()
        if record is None:
            if not _guard_process.alive(self.state):
                _guard_process.clear(self.state)
            return None
        rebooted = record["boot_id"].partition(".")[0] != boot_id().partition(".")[0]
        if record["phase"] == "undoing":
            if rebooted:
                record["boot_id"] = boot_id()
                self._take_stock(record)
            return self._undo(record, **ending_of(record, "undone (finished after an interruption)"))
        if record["phase"] == "confirming" and _sysctl_file.holds(record["path"], record["content"]):
            return self._confirmed(record)
        if record["boot_id"] != boot_id():
            why = "the host rebooted before the trial was confirmed"
            if rebooted:
                # Nothing was in /etc, so the reboot brought the old values back.
                return self._end(record, "rolled_back", **ending_of(record, why))
            # A container that began anew, perhaps in a network namespace that went on.
            return self.revert(record, **ending_of(record, why))
        if record["phase"] in ("armed", "writing", "confirming", "restoring"):
            return self.revert(record, **ending_of(record, "whoever started or confirmed it died in the middle"))
        if now() >= record["deadline"]:
            return self.revert(record, "nobody confirmed it in time")
        if not _guard_process.alive(self.state):
            return self.revert(record, "its guard is gone, so nobody watched")
        return None

    # How -------------------------------------------------------------------------------------------------------------

    def revert(self, record, reason, by_evidence=False, figures=None):
        """Ends the pending trial with the old values; returns the outcome. The caller holds the lock."""
        if record["phase"] == "armed":
            # Nothing was written yet: whatever changed since, somebody else did.
            return self._end(record, "rolled_back", reason, by_evidence, figures)
        if record["phase"] == "writing":
            note_what_was_written(record)
        if "stood" not in record:
            record.update(phase="restoring", reason=reason, by_evidence=by_evidence, figures=figures)
            self._take_stock(record)
        since = {entry["key"]: entry["since"] for entry in self.drift(record)}
        left_alone = self._restore(record)
        foreign = [dict(entry, since=since.get(entry["key"])) for entry in left_alone]
        return self._end(record, "rolled_back", reason, by_evidence, figures, foreign)

    def end_without_journal(self, record):
        """Ends what only its guard knows of any more. The caller holds the lock."""
        why = "its journal was lost or damaged"
        if record["phase"] == "undoing":
            return self._undo(record, **ending_of(record, "undone (%s)" % why))
        if is_persisted(record):
            return self._confirmed(record)
        return self.revert(as_last_seen(record), why)

    def put_back(self, record):
        """The old values, and nothing else: for a guard whose state folder cannot be used."""
        if record["phase"] == "undoing":
            self._restore_file(record)
        elif is_persisted(record):
            return
        elif "stood" not in record:
            record.update(as_last_seen(record))
            if record["phase"] == "writing":
                note_what_was_written(record)
            record["stood"] = standing_of(record)
        try:
            self._put_values_back(record)
        except Denied as problem:
            record["stood"] = standing_of(record)
            raise TrialError(str(problem)) from None
        self._clean_up(record)

    def let_guard_restore(self):
        """Where the journal got lost, the guard is about to put back what it watched: nothing begins before."""
        try:
            lost = self.pending() is None
        except Damaged:
            lost = True
        if lost:
            _guard_process.wait_until_gone(self.state)

    def _begin_undo(self, record, reason, by_evidence=False):
        self.memory.check()
        ending = {"reason": reason, "by_evidence": by_evidence, "figures": None}
        record = dict(record, phase="undoing", boot_id=boot_id(), stood=standing_of(record), **ending)
        self.state.write(PENDING, record)
        # Should this process die in the middle, a guard finishes what it began. Without one, the next look does.
        self._let_guard_finish(record)
        try:
            self._restore_file(record)
        except OSError as problem:
            self.state.remove(PENDING)
            self._dismiss_guard()
            raise TrialError(
                "%s cannot be put back: %s. Nothing was undone" % (record["path"], problem.strerror)
            ) from None
        return self._undo(record, **ending)

    def _undo(self, record, reason, by_evidence=False, figures=None):
        # The file first: where that is not possible, nothing is undone.
        foreign = self._restore_file(record) + self._restore(record)
        self.memory.drop_confirmed(record["ends"])
        return self._end(record, "rolled_back", reason, by_evidence, figures, foreign)

    def _restore_file(self, record):
        """Puts back the file of a confirmed trial; returns it as drift where somebody else has changed it."""
        path = record["path"]
        if _sysctl_file.holds(path, record["content"]):
            self._put_file_back(record)
        elif not _sysctl_file.is_as(path, record["file"]):
            return [{"key": path, "expected": "what nettune wrote", "found": "changed by somebody else"}]
        return []

    def _take_stock(self, record):
        """Notes what stands before values go back: what is another one later, putting them back has changed."""
        record["stood"] = standing_of(record)
        # A full disk must not keep the old values away; whoever looks next then finds them restored already.
        with contextlib.suppress(StateError):
            self.state.write(PENDING, record)

    def _restore(self, record):
        """Puts back the values; returns what stays as drift."""
        try:
            left_alone = self._put_values_back(record)
        except Denied as problem:
            # All is put back that may be: what changes until the next attempt, somebody else changes.
            if standing_of(record) != record["stood"]:
                self._take_stock(record)
            raise TrialError(
                "the old values cannot be put back: %s. The guard and the next run try again; a value that somebody"
                " else writes there is left alone" % problem
            ) from None
        return left_alone + inherited(record["tree"], *before_and_after(record))

    # What touches the host besides the state folder; check mode has its own of these.

    def _put_values_back(self, record):
        before, after = before_and_after(record)
        return restore(before, after, record["stood"], record["tree"])

    def _persist(self, record):
        with self._told_where_not_synced(record["path"]):
            _sysctl_file.write(record["path"], record["content"], record["file"])

    def _put_file_back(self, record):
        with self._told_where_not_synced(record["path"]):
            _sysctl_file.restore(record["path"], record["file"])

    def _clean_up(self, record):
        _sysctl_file.clean_up(record["path"], record.get("run_folder_made", False))

    def _let_guard_finish(self, record):
        with contextlib.suppress(_guard_process.GuardError, OSError):
            _guard_process.start(self.state, record["id"])

    def _dismiss_guard(self):
        _guard_process.dismiss(self.state)

    def _log(self, what):
        log(what)

    @contextlib.contextmanager
    def _told_where_not_synced(self, path):
        """A file that is in its place has changed: the values follow it, whatever became of its folder's fsync."""
        try:
            yield
        except NotSynced as problem:
            self.state.warn(
                "%s is changed, but its folder cannot be synced (%s): a power cut may bring back what was there before"
                % (path, problem.strerror)
            )

    def _confirmed(self, record):
        self.memory.add_confirmed(record)
        return self._end(record, "confirmed", "confirmed")

    def _end(self, record, state, reason, by_evidence=False, figures=None, drift=()):
        outcome = outcome_of(record, state, reason, by_evidence, figures, drift)
        self._clean_up(record)
        if by_evidence or state == "confirmed":
            self.memory.learn(outcome)
        # The outcome first: after a crash in between the trial ends once more, and is never forgotten.
        try:
            self.memory.add_outcome(outcome)
        except StateError as problem:
            if state == "confirmed":
                raise
            raise StateError("the old values are back, but %s" % problem) from None
        self.state.remove(PENDING)
        self.state.remove(DRIFT)
        self._log(
            "rollout %s is %s: %s; %s" % (outcome["rollout_id"], state.replace("_", " "), reason, listed(record["set"]))
        )
        self._dismiss_guard()
        return outcome

    def _blame(self, outcome, reason):
        """Remembers evidence that came when the trial had ended already, for another reason."""
        if outcome["state"] == "rolled_back" and not outcome["by_evidence"]:
            self.memory.learn(dict(outcome, by_evidence=True, reason=reason))

    def already_confirmed(self, rollout_id):
        # What the history has forgotten, or lost, may be confirmed all the same.
        known = [*self.memory.history(), *(confirmed_outcome(entry) for entry in reversed(self.memory.confirmed()))]
        latest = next((entry for entry in known if not rollout_id or entry["rollout_id"] == rollout_id), None)
        if latest is None:
            raise NothingOnTrial("nothing is on trial here, so nothing can be confirmed")
        if latest["state"] != "confirmed":
            raise TrialError(
                "rollout %s was rolled back here on %s: %s"
                % (latest["rollout_id"], clock(latest["ended"]), latest["reason"])
            )
        return latest


def _write_for_the_trial(path, content):
    try:
        _sysctl_file.write(path, content)
    except OSError as problem:
        raise TrialError("%s cannot be written: %s" % (path, problem.strerror)) from None


def _check_rollout(record, rollout_id):
    if rollout_id and record["rollout_id"] != rollout_id:
        raise TrialError("the pending trial belongs to rollout %s, not to %s" % (record["rollout_id"], rollout_id))
