# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints everything of this host that a trial can change, as JSON; reads it without the code under test."""

from __future__ import annotations

import json
import os
import stat

STATE = "/var/lib/nettune"
ONLY_DURING_A_TRIAL = ("trial.json", "drift.json", "guard.json", "guard.pyz")
COUNTS_BY_ITSELF = "nf_conntrack_count"


def tree():
    values = {}
    for folder, _folders, names in os.walk("/proc/sys/net"):
        for name in set(names) - {COUNTS_BY_ITSELF}:
            path = os.path.join(folder, name)
            try:
                with open(path) as stream:
                    values[path[len("/proc/sys/") :]] = " ".join(stream.read().split())
            except OSError:
                continue  # Some can only be written, and interfaces may leave.
    return values


def files(top):
    found = {}
    for folder, _folders, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            about = os.lstat(path)
            with open(path) as stream:
                found[path] = [stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, stream.read()]
    return found


def guards():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                if b"guard.pyz" in stream.read():
                    found.append(f"process {pid}")
        except OSError:
            continue  # It ended meanwhile.
    return found


def left():
    names = os.listdir(STATE) if os.path.isdir(STATE) else []
    return sorted(
        [f"{STATE}/{name}" for name in names if name in ONLY_DURING_A_TRIAL]
        + (["/run/sysctl.d"] if os.path.isdir("/run/sysctl.d") else [])
    )


def document(name, nothing):
    """What is remembered under that name; `nothing` where there is no such file."""
    try:
        with open(f"{STATE}/{name}") as stream:
            return json.load(stream)["document"]
    except OSError:
        return nothing
    except ValueError:
        return "damaged"


if __name__ == "__main__":
    print(
        json.dumps(
            {
                "tree": tree(),
                "files": files("/etc/sysctl.d"),
                "left": left() + guards(),
                "history": document("history.json", []),
                "confirmed": document("confirmed.json", []),
                "originals": document("originals.json", {"values": {}, "files": {}}),
            }
        )
    )
