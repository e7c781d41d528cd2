# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything by which a trial changes a host, in one list, so that a test can break something before and after each.

Between two of them the host stays as it is: dying after one is dying before the next. Not among them:

- The bytes of a file. They are complete under another name before the rename puts them in place, and whatever lies
  under that name is only ever removed.
- The lock files, which are empty, and the samples of the guard, of which a torn last line is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys


def fault_points(package):
    """[(owner, name)] of functions. package: the name of the host half, with all its modules imported."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith(package + ".")]
    return [
        *((os, name) for name in ("rename", "unlink", "mkdir", "rmdir", "chmod")),
        (subprocess, "Popen"),  # Of the guard.
        # Values: under each name that somebody calls it by.
        *((module, "write_value") for module in modules if hasattr(module, "write_value")),
    ]


def wrap(package, wrapper):
    """Puts wrapper(function) in the place of each."""
    for owner, name in fault_points(package):
        setattr(owner, name, wrapper(getattr(owner, name)))
