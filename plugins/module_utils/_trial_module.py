# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules sysctl_trial and sysctl_trial_info: arguments in, one call into _trial, result out."""

import os

# Ansible sends along what is imported, and the guard is made of what came along.
from . import (  # pylint: disable=unused-import
    _guard,  # noqa: F401
    _sysctl_file,
)
from ._counters import WATCHED, now, sample
from ._foresight import Foreseen
from ._samples import last_samples, read_samples
from ._state import Busy, StateError
from ._sysctl_file import BadFile
from ._sysctl_set import BadSet, prepare_set, set_hash
from ._trial import NothingOnTrial, TrialError, Trials
from ._trial_record import before_and_after
from ._trial_sentences import who

_LIMITS = {"confirm_within": (5, 86400), "samples": (0, 86400)}
# For a look that others keep waiting: then it looks all the same.
_LOOK_SECONDS = 2.0
_GUARD_LIMITS = {
    "baseline_seconds": (0, 3600),
    "min_events": (1, 10**9),
    "max_per_1000": (0, 10**6),
    "max_ratio": (1, 10**6),
    "alpha": (1e-12, 0.5),
}


def run(module):
    arguments = module.params
    act = {"started": _start, "confirmed": _confirm, "rolled_back": _roll_back}[arguments["state"]]
    trials = Foreseen() if module.check_mode else Trials()

    def answer():
        if os.geteuid() != 0:
            raise TrialError("changing sysctls needs root: use become")
        _check_limits(arguments, _LIMITS)
        trials.state.check_folder()
        result = act(trials, arguments, module.check_mode)
        if arguments["state"] != "started":
            result.setdefault("samples", last_samples(trials.state, arguments["samples"]))
        return result

    _answer(module, trials, answer)


def run_info(module):
    trials = Foreseen() if module.check_mode else Trials()
    _answer(module, trials, lambda: _look(trials, module.params))


def _answer(module, trials, function):
    """Ends the module with what the function returns, or with the sentence that it raises."""
    try:
        result = function()
    except (TrialError, StateError, BadSet, BadFile) as problem:
        result = {"failed": True, "msg": str(problem)}
    except OSError as problem:
        result = {"failed": True, "msg": "%s: %s" % (problem.filename or "the host", problem.strerror)}
    for warning in trials.state.warnings:
        module.warn(warning)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


def _look(trials, arguments):
    if trials.state.exists() and os.geteuid() != 0:
        raise TrialError("the journal of trials is readable by root only: use become")
    _check_limits(arguments, _LIMITS)
    trials.state.check_folder()
    outcome = at_work = None
    if trials.state.exists():
        trials.let_guard_restore()
        try:
            with trials.locked(_LOOK_SECONDS):
                outcome = trials.recover()
        except Busy as problem:
            # Whoever is at work is alive, so there is nothing to finish. What is told may be about to change.
            at_work = str(problem)
    record = trials.pending()
    confirmed = trials.memory.confirmed()
    return {
        "changed": outcome is not None,
        "at_work": at_work,
        "pending": _describe(record) if record else None,
        "confirmed": [_describe(dict(entry, state="confirmed")) for entry in reversed(confirmed)],
        "drift": trials.drift(record or _as_applied(confirmed)),
        "history": trials.memory.history(),
        "refused": trials.memory.refused(),
        "originals": trials.memory.originals(),
        "sample": sample(),
        "samples": last_samples(trials.state, arguments["samples"]),
    }


def _start(trials, arguments, check_mode):
    values = prepare_set(arguments["sysctl"])
    check_guard(arguments["guard"])
    _warn_of_absent(trials, arguments["guard"]["max_rise"])
    path = _sysctl_file.check_path(arguments["path"])
    content = arguments["content"]
    if content is None:
        content = "".join("%s = %s\n" % item for item in values.items())
    if trials.is_settled(values, path) and trials.pending() is None:
        last = trials.memory.last_confirmed(path)
        state = (
            dict(last, state="confirmed", keys=sorted(values))
            if last
            else {"state": "confirmed", "keys": sorted(values)}
        )
        return {
            "changed": False,
            "trial": {name: state[name] for name in ("id", "rollout_id", "state", "keys", "set_hash") if name in state},
        }
    if check_mode:
        before = trials.foresee_start(values, content, path, arguments["force"])
        targets = trials.targets(values, path)
        shot = _sysctl_file.snapshot(path)
        return {
            "changed": True,
            "trial": {
                "rollout_id": arguments["rollout_id"],
                "by": who(),
                "set_hash": set_hash(values),
                "state": "on_trial",
                "keys": sorted(values),
            },
            "values": _pairs(before, targets),
            "drift": _told(trials, trials.left_alone(values, path)),
            "diff": [_value_diff(before, targets), _file_diff(path, _sysctl_file.text_of(shot), content)],
        }
    record = trials.start(
        values,
        content,
        path,
        arguments["rollout_id"],
        arguments["confirm_within"],
        arguments["guard"],
        arguments["force"],
    )
    armed = [entry for entry in read_samples(trials.state) if entry["phase"] == "armed"]
    return {
        "changed": True,
        "trial": _describe(record),
        "values": _pairs(record["before"], record["applied"]),
        "side_effects": {key: {"before": old, "after": new} for key, (old, new) in record["side_effects"].items()},
        "drift": _told(trials, record["left_alone"]),
        "baseline": armed,
        "diff": [_value_diff(record["before"], record["applied"])],
    }


def _told(trials, left_alone):
    for entry in left_alone:
        trials.state.warn(
            "%(key)s is no longer in the set, but stays as it is: it is %(found)r, nettune gave it %(expected)r" % entry
        )
    return left_alone


def _confirm(trials, arguments, check_mode):
    try:
        record, news = trials.confirm(arguments["rollout_id"])
    except NothingOnTrial:
        if not check_mode:
            raise
        # The start before it in the same play has not happened either.
        return {"changed": False, "trial": {"state": "none", "keys": []}}
    if not news:
        return {"changed": False, "trial": record}
    return {
        "changed": True,
        "trial": _describe(dict(record, state="confirmed")),
        "values": _pairs(record["before"], record["applied"]),
        "diff": [_file_diff(record["path"], _sysctl_file.text_of(record["file"]), record["content"])],
    }


def _roll_back(trials, arguments, _check_mode):
    if arguments["to"] == "original":
        return _remove(trials, arguments)
    record, outcome = trials.roll_back(
        arguments["reason"], arguments["evidence"], arguments["rollout_id"], arguments["trial_id"]
    )
    if record is None:
        # The guard was faster, or there never was a trial.
        return {
            "changed": False,
            "trial": outcome or {"state": "none", "keys": []},
            "drift": outcome["drift"] if outcome else [],
        }
    return {"changed": True, "trial": outcome, "drift": outcome["drift"], "diff": _undo_diff(record, _keys(outcome))}


def _remove(trials, arguments):
    """All that nettune ever did here."""
    changed = trials.state.remembers()
    samples = last_samples(trials.state, arguments["samples"])
    done = trials.remove(arguments["reason"])
    outcomes = [outcome for _record, outcome in done]
    return {
        "changed": changed,
        "trial": outcomes[-1] if outcomes else {"state": "none", "keys": []},
        "drift": [entry for outcome in outcomes for entry in outcome["drift"]],
        "diff": [part for record, outcome in done for part in _undo_diff(record, _keys(outcome))],
        "samples": samples,
    }


def check_guard(guard):
    """Raises TrialError where no guard could go by this."""
    _check_limits(guard, _GUARD_LIMITS)
    _check_counters(guard["max_rise"])


def _check_limits(arguments, limits):
    for name, (low, high) in sorted(limits.items()):
        if name in arguments and not low <= arguments[name] <= high:
            raise TrialError("%s must be between %g and %g, not %s" % (name, low, high, arguments[name]))


def _check_counters(limits):
    for name, most in sorted(limits.items()):
        if name not in WATCHED:
            raise TrialError("max_rise names %s, which the guard does not watch: use %s" % (name, ", ".join(WATCHED)))
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise TrialError("max_rise of %s must be a whole number of events, not %r" % (name, most))


def _warn_of_absent(trials, limits):
    """A counter that this kernel does not have never rises."""
    for name in sorted(set(limits) - set(sample()["counters"])):
        trials.state.warn("max_rise of %s never ends a trial here: Linux %s does not count it" % (name, os.uname()[2]))


def _describe(record):
    """What people see of a journal record."""
    shown = {
        name: record[name]
        for name in ("id", "rollout_id", "by", "set_hash", "started", "deadline_epoch")
        if name in record
    }
    shown["state"] = record.get("state", "armed" if record.get("phase") == "armed" else "on_trial")
    shown["keys"] = sorted(record["set"])
    if "deadline" in record:
        shown["seconds_left"] = round(max(0.0, record["deadline"] - now()), 1)
    return shown


def _as_applied(confirmed):
    return {"applied": {key: pair["after"] for key, pair in confirmed[-1]["values"].items()}} if confirmed else {}


def _pairs(before, after):
    return {key: {"before": before[key], "after": value} for key, value in after.items() if before[key] != value}


def _value_diff(before, after):
    changed = sorted(_pairs(before, after))
    return {
        "before_header": "/proc/sys",
        "after_header": "/proc/sys",
        "before": "".join("%s = %s\n" % (key, before[key]) for key in changed),
        "after": "".join("%s = %s\n" % (key, after[key]) for key in changed),
    }


def _file_diff(path, before, after):
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def _keys(outcome):
    return {entry["key"] for entry in outcome["drift"]}


def _undo_diff(record, left_alone):
    before, after = before_and_after(record)
    undone = [key for key in after if key not in left_alone]
    parts = [_value_diff({key: after[key] for key in undone}, {key: before[key] for key in undone})]
    if "values" in record and record["path"] not in left_alone:
        parts.append(_file_diff(record["path"], record["content"], _sysctl_file.text_of(record["file"])))
    return parts
