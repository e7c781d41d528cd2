# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the processes whose sysctls these are."""

import os

from ._files import read_text


def names(wanted):
    """{name: pid} of the wanted names that run in this network namespace: others have sysctls of their own."""
    found = {}
    here = _namespace("self")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        name = (read_text("/proc/%s/comm" % pid) or "").rstrip("\n")
        # Not privileged enough to see the namespace of others: then the name has to do.
        if name in wanted and _namespace(pid) in (here, None):
            found.setdefault(name, int(pid))
    return found


def _namespace(pid):
    try:
        return os.readlink("/proc/%s/ns/net" % pid)
    except OSError:
        return None
