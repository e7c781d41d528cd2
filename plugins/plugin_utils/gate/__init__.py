# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a wave: promote, roll_back or inconclusive. Pure functions over observations.

Observations are plain data that a rollout stores, so that a stored rollout can be judged again; observations.py has
their shape.
"""

from __future__ import annotations

from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.groups import GROUPS, LIMITS_SPEC, Limits, limits_of
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.observations import (
    Observations,
    add_look,
    begin,
    sample_of_facts,
)
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.sentences import blame, not_counted, progress
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.series import series
from ansible_collections.nettune.kernel.plugins.plugin_utils.gate.verdict import (
    INCONCLUSIVE,
    PROMOTE,
    ROLL_BACK,
    Verdict,
    judge,
)

__all__ = [
    "GROUPS",
    "INCONCLUSIVE",
    "LIMITS_SPEC",
    "PROMOTE",
    "ROLL_BACK",
    "Limits",
    "Observations",
    "Verdict",
    "add_look",
    "begin",
    "blame",
    "judge",
    "limits_of",
    "not_counted",
    "progress",
    "sample_of_facts",
    "series",
]
