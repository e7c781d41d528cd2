# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ends of what is supported: the oldest ansible-core with the oldest host Python, and the newest of both."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

pytestmark = pytest.mark.matrix


def test_oldest(run, root, python_of, molecule):
    """ansible-core 2.16 is the last that manages hosts with Python 3.6, which EL7 and EL8 have."""
    _version, of_host = python_of("3.6")
    _version, of_controller = python_of("3.12", "3.11", "3.10")
    run("tools/setup", "core-2.16", ".venv-core-2.16", of_controller)
    molecule("default", root / ".venv-core-2.16" / "bin", of_host)


def test_too_old(run, root, python_of):
    """EL7's own Python 2.7 reads the modules just far enough to say what is missing."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    found = [
        python
        for python in (pathlib.Path("/usr/bin/python2.7"), *pyenv.glob("versions/2.7.*/bin/python2.7"))
        if python.exists()
    ]
    if not found:
        pytest.skip("no Python 2.7 here")
    _version, of_controller = python_of("3.12", "3.11", "3.10")
    run("tools/setup", "core-2.16", ".venv-core-2.16", of_controller)
    ansible = [
        root / ".venv-core-2.16" / "bin" / "ansible",
        "localhost",
        "-e",
        f"ansible_python_interpreter={found[0]}",
        "-m",
    ]
    for module in ("net_facts", "sysctl_trial_info"):
        done = subprocess.run(
            [*ansible, f"nettune.kernel.{module}"], cwd=root, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "needs Python 3.6 or newer" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr


def test_newest(run, root, python_of, molecule):
    version, newest = python_of("newest")
    run("tools/setup", "test", f".venv-{version}", newest)
    molecule("default", root / f".venv-{version}" / "bin", newest)
