# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a journal record of a trial says, pending or confirmed, and the outcome that becomes of it."""

import time

from . import _sysctl_file
from ._live import half_taken, side_effects, standing


def before_and_after(record):
    """({key: value before}, {key: value after}) of all that a pending or confirmed trial changed."""
    if record.get("phase") == "armed":
        return {}, {}
    if "values" in record:
        return tuple({key: pair[when] for key, pair in record["values"].items()} for when in ("before", "after"))
    before = dict(record["before"], **{key: pair[0] for key, pair in record["side_effects"].items()})
    after = dict(record["applied"], **{key: pair[1] for key, pair in record["side_effects"].items()})
    return before, after


def as_last_seen(record):
    """The record as a guard has to take it that knows no newer one: the first writes may have come since it looked."""
    return dict(record, phase="writing" if record["phase"] == "armed" else record["phase"])


def note_what_was_written(record):
    """What `applied` has become, and what else; of a trial that did not come so far as to note it."""
    record["applied"] = dict(record["applied"], **half_taken(record["before"], record["applied"]))
    record["side_effects"] = side_effects(record["tree"], record["applied"])


def standing_of(record):
    """{key: value now} of all that it changed, and of what depends on that."""
    return standing(before_and_after(record)[0])


def is_persisted(record):
    """Whether whoever confirmed it came past the point of no return."""
    path = record["path"]
    return _sysctl_file.holds(path, record["content"]) and not _sysctl_file.is_as(path, record["file"])


def ending_of(record, why):
    """The reason of an attempt that was interrupted, or else this one."""
    if "reason" in record:
        return {name: record[name] for name in ("reason", "by_evidence", "figures")}
    return {"reason": why}


def confirmed_outcome(confirmed):
    """What the history would say of a confirmed trial."""
    return outcome_of(confirmed, "confirmed", "confirmed", ended=confirmed["ended"])


def outcome_of(record, state, reason, by_evidence=False, figures=None, drift=(), ended=None):
    return {
        "id": record["id"],
        "rollout_id": record["rollout_id"],
        "set_hash": record["set_hash"],
        "keys": sorted(record["set"]),
        "state": state,
        "reason": reason,
        "by_evidence": by_evidence,
        "figures": figures,
        "ended": ended or time.time(),
        "drift": list(drift),
    }
