# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of trials that have ended: confirmed sets and how they are undone, outcomes, refused sets."""

import time

from ._live import default_of, is_defaulted, of_interfaces
from ._trial_record import before_and_after

CONFIRMED = "confirmed.json"
HISTORY = "history.json"
REFUSED = "refused.json"
ORIGINALS = "originals.json"
KEEP_HISTORY = 50
KEEP_CONFIRMED = 20
KEEP_REFUSED = 200


class Memory:
    """The documents of the state folder that outlive a trial."""

    def __init__(self, state):
        self._state = state

    def confirmed(self):
        """The confirmed trials that can be undone, oldest first."""
        return self._state.read(CONFIRMED, []) if self._state.exists() else []

    def last_confirmed(self, path):
        return next(reversed(self._confirmed_of(path)), None)

    def history(self):
        """Outcomes, newest first."""
        return self._state.read_undamaged(HISTORY, []) if self._state.exists() else []

    def refused(self):
        """Sets that were rolled back here by evidence, newest first."""
        return self._state.read_undamaged(REFUSED, []) if self._state.exists() else []

    def originals(self):
        """{key: value before nettune first touched it}."""
        return self._originals()["values"]

    def check(self):
        """Finds damage before anything happens that could not be completed then."""
        self.confirmed()
        self._originals()

    def whole(self, path):
        """{values, tree} of all confirmed trials of a file, as if they had been one."""
        return _joined(self._confirmed_of(path))

    def whole_undo(self):
        """Records that undo all confirmed trials at once, one for each file."""
        originals = self._originals()
        records = []
        for path in sorted({entry["path"] for entry in self.confirmed()}):
            stack = self._confirmed_of(path)
            whole = _joined(stack)
            for key, pair in whole["values"].items():
                pair["before"] = originals["values"].get(key, pair["before"])
            shot = originals["files"].get(path, stack[0]["file"])
            records.append(dict(stack[-1], **whole, file=shot, ends=[entry["id"] for entry in stack]))
        return records

    def add_confirmed(self, record):
        """The pending trial of the record can be undone from now on as a confirmed one."""
        stack = [entry for entry in self.confirmed() if entry["id"] != record["id"]]
        before, after = before_and_after(record)
        values = {key: {"before": before[key], "after": after[key]} for key in after}
        kept = ("id", "rollout_id", "path", "content", "file", "set", "set_hash", "by")
        tree = of_interfaces(record["tree"], after)
        news = {"values": values, "tree": tree, "forgotten": [], "ended": time.time()}
        stack.append(dict({name: record[name] for name in kept}, **news))
        originals = self._originals()
        whole = self.whole(record["path"])
        _before, given = before_and_after(whole)
        for key, pair in values.items():
            original = pair["before"]
            if is_defaulted(key, original, whole["tree"], given):
                # Its interface came since, and took this from a former set.
                original = originals["values"].get(default_of(key), original)
            originals["values"].setdefault(key, original)
        originals["files"].setdefault(record["path"], record["file"])
        # The originals first: a record without them could not be undone as a whole.
        self._state.write(ORIGINALS, originals)
        self._state.write(CONFIRMED, _forget_old(stack))

    def drop_confirmed(self, ids):
        """These are undone; with the last of a key or a file its original is forgotten."""
        stack = [entry for entry in self.confirmed() if entry["id"] not in ids]
        self._state.write(CONFIRMED, stack)
        keys = {key for entry in stack for key in entry["values"]}
        paths = {entry["path"] for entry in stack}
        originals = self._originals()
        still_ours = {
            "values": {key: value for key, value in originals["values"].items() if key in keys},
            "files": {path: shot for path, shot in originals["files"].items() if path in paths},
        }
        self._state.write(ORIGINALS, still_ours)

    def add_outcome(self, outcome):
        self._state.keep_damaged(HISTORY)
        # One that was written down before a crash, and is again, is there once.
        same = (outcome["id"], outcome["state"])
        history = [entry for entry in self.history() if (entry["id"], entry["state"]) != same]
        self._state.write(HISTORY, ([outcome, *history])[:KEEP_HISTORY])

    def learn(self, outcome):
        """Refuses its set from now on, or no longer: whoever forced and confirmed it knows better."""
        before = self.refused()
        refused = [entry for entry in before if entry["set_hash"] != outcome["set_hash"]]
        if outcome["by_evidence"]:
            names = ("set_hash", "keys", "rollout_id", "ended", "reason", "figures")
            refused.insert(0, {name: outcome[name] for name in names})
        if refused != before:
            self._state.keep_damaged(REFUSED)
            self._state.write(REFUSED, refused[:KEEP_REFUSED])

    def _confirmed_of(self, path):
        return [entry for entry in self.confirmed() if entry["path"] == path]

    def _originals(self):
        """{values: {key: value}, files: {path: snapshot of the file}} before nettune first touched them."""
        nothing = {"values": {}, "files": {}}
        return self._state.read(ORIGINALS, nothing) if self._state.exists() else nothing


def _forget_old(stack):
    """Keeps the last ones, and the newest of each file. Of the others stays what undoes all of a file at once."""
    newest = {entry["path"]: entry["id"] for entry in stack}.values()
    old = stack[:-KEEP_CONFIRMED]
    kept = [entry for entry in old if entry["id"] in newest] + stack[-KEEP_CONFIRMED:]
    for entry in old:
        heir = next(other for other in kept if other["path"] == entry["path"])
        if heir is not entry:
            heir["forgotten"] = [_joined([entry])]
    return kept


def _joined(stack):
    """{values, tree} of confirmed trials of one file, oldest first, as if they had been one."""
    values = {}
    tree = {}
    for record in (part for entry in stack for part in [*entry["forgotten"], entry]):
        tree.update({key: value for key, value in record["tree"].items() if default_of(key) not in values})
        for key, pair in record["values"].items():
            values[key] = {"before": values.get(key, pair)["before"], "after": pair["after"]}
    return {"values": values, "tree": tree}
