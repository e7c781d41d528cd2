# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ends of what is supported: the oldest ansible-core with the oldest host Python, and the newest of both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.matrix


def test_oldest(run, root, python_of, molecule):
    """ansible-core 2.16 is the last that manages hosts with Python 3.6, which EL7 and EL8 have."""
    _version, of_host = python_of("3.6")
    _version, of_controller = python_of("3.12", "3.11", "3.10")
    run("tools/setup", "core-2.16", ".venv-core-2.16", of_controller)
    molecule("default", root / ".venv-core-2.16" / "bin", of_host)


# The modules that run on hosts, all of them (see test_python2.py), with what each cannot be called without.
ON_HOSTS = {
    "net_facts": {},
    "rollout_probe": {"source": "localhost", "probes": [{"address": "127.0.0.1", "port": 1}]},
    "sysctl_trial": {"state": "started", "rollout_id": "r1", "sysctl": {"net.ipv4.tcp_fin_timeout": 20}},
    "sysctl_trial_info": {},
}


@pytest.fixture(scope="module")
def python2(root):
    """Found or fetched; a promise that nobody tries is none, so nothing is skipped."""
    found = subprocess.run(
        [sys.executable, root / "tests" / "support" / "python2.py"],
        env={**os.environ, "PYTHONPATH": str(root / "lab")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_too_old(run, root, python_of, python2):
    """EL7's own Python 2.7 reads the modules just far enough to say what is missing."""
    _version, of_controller = python_of("3.12", "3.11", "3.10")
    run("tools/setup", "core-2.16", ".venv-core-2.16", of_controller)
    ansible = [root / ".venv-core-2.16" / "bin" / "ansible", "localhost", "--connection=local"]
    for module, arguments in ON_HOSTS.items():
        words = ["-e", f"ansible_python_interpreter={python2}", "-m", f"nettune.kernel.{module}"]
        words += ["-a", json.dumps(arguments)] if arguments else []
        done = subprocess.run([*ansible, *words], cwd=root, capture_output=True, text=True, check=False)
        answer = json.loads(done.stdout.partition(" => ")[2])
        assert done.returncode != 0, module
        assert re.fullmatch(
            r"nettune\.kernel needs Python 3\.6 or newer on the host, and \S+/python2\.7 is 2\.7: install python3"
            r" \(on EL 7 the package of that name\) and set ansible_python_interpreter to it",
            answer["msg"],
        ), module
        assert "Traceback" not in done.stdout + done.stderr


def test_newest(run, root, python_of, molecule):
    version, newest = python_of("newest")
    run("tools/setup", "test", f".venv-{version}", newest)
    molecule("default", root / f".venv-{version}" / "bin", newest)
