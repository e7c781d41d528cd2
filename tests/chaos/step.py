# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of a trial, as a module would take it, on the host where this runs.

    python step.py STEP ARGUMENTS FREEZE_AT before|after

ARGUMENTS is JSON. It first says its process id. At the FREEZE_AT-th thing that the step does to the host (a document,
a value, a file) it says "frozen" and waits for a line on its input: whoever watches may break something meanwhile. Its
last line says how it went.
"""

from __future__ import annotations

import json
import os
import sys

from ansible_collections.nettune.kernel.plugins.module_utils import (
    _enforce,
    _guard_process,
    _live,
    _state,
    _sysctl_file,
    _trial,
)

POINTS = (
    (_state.State, "write"),
    (_state.State, "remove"),
    (_enforce, "write_value"),
    (_sysctl_file, "write_atomically"),
    (_sysctl_file, "remove"),
    (_guard_process, "start"),
    (_live, "enforce"),
    (os, "rename"),
)


def look(trials):
    """What sysctl_trial_info does first: finish what a dead owner left."""
    if trials.state.exists():
        trials.let_guard_restore()
        with trials.state.locked():
            trials.recover()


def main():
    step, arguments, freeze_at, when = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    print(os.getpid(), flush=True)
    begun = ended = 0

    def freeze():
        print("frozen", flush=True)
        sys.stdin.readline()

    def counted(function):
        def call(*args, **kwargs):
            nonlocal begun, ended
            begun += 1
            if begun == freeze_at and when == "before":
                freeze()
            result = function(*args, **kwargs)
            # Things are made of others, so they do not end in the order in which they begin.
            ended += 1
            if ended == freeze_at and when == "after":
                freeze()
            return result

        return call

    for owner, name in POINTS:
        setattr(owner, name, counted(getattr(owner, name)))
    trials = _trial.Trials()
    try:
        look(trials) if step == "look" else getattr(trials, step)(**arguments)
    except (_trial.TrialError, _state.StateError, _sysctl_file.BadFile) as problem:
        print(json.dumps({"refused": str(problem)}))
    else:
        print(json.dumps({"operations": begun}))


if __name__ == "__main__":
    main()
