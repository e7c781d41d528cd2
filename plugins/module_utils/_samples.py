# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's series of the pending or last trial: samples, each with the phase that it was taken in."""

import collections
import contextlib
import json

from ._guard_process import SAMPLES


def read_samples(state):
    """One by one: hours of them at once are more than a guard may take of the memory."""
    with contextlib.suppress(OSError), open(state.path(SAMPLES), errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError):  # The last line of a guard that was killed.
                seen = json.loads(line)
                if isinstance(seen, dict) and {"phase", "boot_id", "counters"} <= set(seen):
                    yield seen


def last_samples(state, number):
    return list(collections.deque(read_samples(state), maxlen=number))
