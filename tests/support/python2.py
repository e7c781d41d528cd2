# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the path of a Python 2.7, what EL7 hosts have:   PYTHONPATH=lab python python2.py

One that is here already, or that of Debian 11, unpacked in the checkout and not installed.
"""

from __future__ import annotations

import os
import pathlib
import sys

from vm import cache, debian

SUITE = "bullseye"
PACKAGES = ("python2.7-minimal", "libpython2.7-minimal", "libpython2.7-stdlib")
# It looks for its library where it was built to be installed.
WRAPPER = """\
#!/bin/sh
tree=$(dirname "$(readlink -f "$0")")/tree/usr
PYTHONHOME=$tree exec "$tree/bin/python2.7" "$@"
"""


def get() -> pathlib.Path:
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    for python in (pathlib.Path("/usr/bin/python2.7"), *pyenv.glob("versions/2.7.*/bin/python2.7")):
        if python.exists():
            return python
    return cache.folder("python-2.7", [pathlib.Path(__file__)], _unpack) / "python2.7"


def _unpack(folder: pathlib.Path) -> None:
    suite = debian.Suite(SUITE, folder / "apt")
    for package in PACKAGES:
        suite.unpack(package, folder / "tree")
    wrapper = folder / "python2.7"
    wrapper.write_text(WRAPPER, encoding="ascii")
    wrapper.chmod(0o755)


if __name__ == "__main__":
    try:
        print(get())
    except debian.UnreachableError as problem:
        sys.exit(f"no Python 2.7 here, and {problem}")
