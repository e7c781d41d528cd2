# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of a trial, as a module would take it, on the host where this runs.

    python step.py STEP ARGUMENTS FREEZE_AT before|after

ARGUMENTS is JSON. It first says its process id. At the FREEZE_AT-th thing that the step does to the host (see
fault_points.py) it says "frozen" and waits for a line on its input: whoever watches may break something meanwhile. Its
last line says how it went.
"""

from __future__ import annotations

import json
import os
import sys

import fault_points
from ansible_collections.nettune.kernel.plugins.module_utils import _state, _sysctl_file, _trial


def look(trials):
    """What sysctl_trial_info does first: finish what a dead owner left."""
    if trials.state.exists():
        trials.let_guard_restore()
        with trials.locked():
            trials.recover()


def main():
    step, arguments, freeze_at, when = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    print(os.getpid(), flush=True)
    done = 0

    def freeze():
        print("frozen", flush=True)
        sys.stdin.readline()

    def counted(function):
        def call(*args, **kwargs):
            nonlocal done
            done += 1
            mine = done
            if mine == freeze_at and when == "before":
                freeze()
            try:
                return function(*args, **kwargs)
            finally:
                # Also where it did nothing, since what it would make is there.
                if mine == freeze_at and when == "after":
                    freeze()

        return call

    fault_points.wrap(_trial.__name__.rpartition(".")[0], counted)
    trials = _trial.Trials()
    try:
        look(trials) if step == "look" else getattr(trials, step)(**arguments)
    except (_trial.TrialError, _state.StateError, _sysctl_file.BadFile) as problem:
        print(json.dumps({"refused": str(problem)}))
    else:
        print(json.dumps({"operations": done}))


if __name__ == "__main__":
    main()
