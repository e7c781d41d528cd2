# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the processes whose sysctls these are."""

import os


def names(wanted):
    """{name: pid} of the wanted names that run in this network namespace: others have sysctls of their own."""
    found = {}
    here = _namespace("self")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        name = _name(pid)
        # Not privileged enough to see the namespace of others: then the name has to do.
        if name in wanted and _namespace(pid) in (here, None):
            found.setdefault(name, int(pid))
    return found


def _name(pid):
    # Without the layers of open(), four times as quick: there may be thousands of processes.
    try:
        descriptor = os.open("/proc/%s/comm" % pid, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, 64).decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return None  # It has ended.
    finally:
        os.close(descriptor)


def _namespace(pid):
    try:
        return os.readlink("/proc/%s/ns/net" % pid)
    except OSError:
        return None
