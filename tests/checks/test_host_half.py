# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host half on the oldest and on the newest Python: what EL7 and EL8 hosts have, and what comes next."""

from __future__ import annotations

import pytest

HOST_HALF = ["plugins/module_utils", "plugins/modules"]

COMPILE = """\
import sys
for name in sys.argv[1:]:
    with open(name, "rb") as source:
        compile(source.read(), name, "exec")
"""

pytestmark = pytest.mark.parametrize("wanted", ["3.6", "newest"])


def test_compiles(wanted, python_of, run, root):
    _version, python = python_of(wanted)
    files = [path for folder in HOST_HALF for path in sorted((root / folder).glob("*.py"))]
    assert files
    run(python, "-c", COMPILE, *files)


def test_unit_tests(wanted, python_of, run, root):
    version, python = python_of(wanted)
    venv = f".venv-host-half-{version}"
    run("tools/setup", "host-half", venv, python)
    # That environment has no pytest-xdist, so the options of pyproject.toml are replaced, and nothing shares tests out.
    options = ["--override-ini=addopts=--import-mode=importlib", "--confcutdir=tests/unit"]
    options += ["-p", "no:cacheprovider", "--quiet"]
    run(root / venv / "bin" / "python", "-m", "pytest", *options, "tests/unit/module_utils")
