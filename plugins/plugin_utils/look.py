# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a host: a command of the shell that is the same for every host, and what its answer says.

A module run takes a host's Python a good part of a second; this takes a few milliseconds, and needs no Python there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils import _counters
from ansible_collections.nettune.kernel.plugins.module_utils._guard_process import LOCK
from ansible_collections.nettune.kernel.plugins.module_utils._state import FOLDER, PENDING

_HEAD = "== nettune: "
# Of the journal only what tells whether the trial goes on: the file holds the whole net tree, too. (Quotation marks
# inside its texts are escaped, so that no text looks like a key.)
_TRIAL = r'"(id|phase|boot_id|deadline)": ("[A-Za-z0-9_.-]*"|[0-9.]+)'
# A guard lives as long as it holds its lock.
_GUARD = f'grep -c "FLOCK .*:$(stat -c %i {FOLDER}/{LOCK}) " /proc/locks'
_PARTS = {
    "boot_id": "cat /proc/sys/kernel/random/boot_id",
    "init": "cat /proc/1/stat",
    "uptime": "cat /proc/uptime",
    "snmp": "cat /proc/net/snmp",
    "netstat": "cat /proc/net/netstat",
    "trial": f"grep -oE '{_TRIAL}' {FOLDER}/{PENDING}",
    "guard": _GUARD,
}
COMMAND = "{ " + "; ".join(f"echo '{_HEAD}{name}'; {command}" for name, command in _PARTS.items()) + "; } 2>/dev/null"


@dataclass(frozen=True)
class Look:
    # As the module sysctl_trial_info has it.
    sample: dict[str, Any]
    # The id of the pending trial; None where there is none, or where it is over as soon as somebody looks closer.
    trial: str | None


def parse(answer: str) -> Look:
    """Raises ValueError where the answer is not that of the command."""
    parts = {}
    for part in answer.split(_HEAD)[1:]:
        name, _newline, text = part.partition("\n")
        parts[name.strip()] = text
    missing = [name for name in ("boot_id", "uptime", "snmp", "netstat") if not parts.get(name, "").strip()]
    if missing:
        raise ValueError(f"it does not tell its {', '.join(missing)}")
    now = float(parts["uptime"].split()[0])
    boot_id = _counters.boot_id_of(parts["boot_id"], parts.get("init", ""))
    counters = {**_counters.parse_table(parts["snmp"]), **_counters.parse_table(parts["netstat"])}
    trial = json.loads("{" + ",".join(parts.get("trial", "").split("\n")).strip(",") + "}")
    goes_on = (
        trial.get("phase") == "on_trial"
        and trial.get("boot_id") == boot_id
        and trial.get("deadline", 0) > now
        and parts.get("guard", "").strip() not in ("", "0")
    )
    return Look(_counters.sample_of(now, boot_id, counters), trial.get("id") if goes_on else None)
