# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told of a trial: whose it is, what is being done, what differs."""

import os
import pwd
import time

from ._counters import now


def whose(record):
    """Whose trial it is, what of, and until when."""
    # By the clock as it is set now, whatever it was when the trial began.
    until = clock(time.time() + record["deadline"] - now())
    return "rollout %s by %s with %s, until %s" % (
        record["rollout_id"],
        record["by"],
        ", ".join(sorted(record["set"])),
        until,
    )


def being_done(record):
    """What somebody else is doing to this trial, and what to do about that."""
    if record["phase"] in ("armed", "writing"):
        return "a trial begins here: %s. Wait until it is on trial and confirm it, or roll it back" % whose(record)
    if record["phase"] == "undoing":
        return "rollout %s by %s is being undone. Try again when that is done" % (record["rollout_id"], record["by"])
    return "the trial here is being ended: %s. Try again when that is done" % whose(record)


def difference(entry):
    if entry["found"] is None:
        return "%(key)s does not exist any more, its interface or module has gone" % entry
    return "%(key)s is %(found)r, the trial gave it %(expected)r" % entry


def who_else_writes(entry):
    if entry["found"] is None:
        return difference(entry)
    return "%(key)s is %(found)s, and the trial gave it %(expected)s: somebody else writes it" % entry


def listed(values):
    return ", ".join("%s=%s" % item for item in sorted(values.items()))


def who():
    """Who runs this, as people know them."""
    try:
        name = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    origin = os.environ.get("SSH_CLIENT", "").split(" ")[0]
    return "%s from %s" % (name, origin) if origin else name


def clock(epoch):
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch))


def what_was_put_back(outcome):
    kept = [entry["key"] for entry in outcome["drift"]]
    return "Everything was put back" + (", except " + ", ".join(kept) if kept else "")
