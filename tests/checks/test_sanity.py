# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-test sanity: every test that it has, on every Python that is here, without ignore entries."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import sys

import pytest

# ansible-test fetches a script that installs pip from outside PyPI. Python carries a pip: this does the same with it.
GET_PIP = """\
import subprocess, sys
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install"] + arguments))
"""


@pytest.fixture
def home(cache):
    """A home where ansible-test finds that script and keeps its environments, with the user's own pip settings."""
    home = cache / "sanity" / "home"
    scripts = home / ".ansible" / "test" / "cache"
    scripts.mkdir(parents=True, exist_ok=True)
    (scripts / f"get_pip_{wanted_pip().replace('.', '_')}.py").write_text(GET_PIP)
    for settings in (".config", ".pip"):
        link = home / settings
        if not link.is_symlink():
            link.symlink_to(pathlib.Path.home() / settings)
    return home


def wanted_pip():
    """The version of pip that this ansible-test asks for."""
    spec = importlib.util.find_spec("ansible_test")
    source = pathlib.Path(spec.submodule_search_locations[0], "_internal", "python_requirements.py").read_text()
    return re.search(r"pip='([0-9.]+)'", source).group(1)


@pytest.mark.minutes
def test_sanity(run, cache, home, copy_collection, interpreter_path):
    collection = copy_collection(cache / "sanity")
    assert not list(collection.glob("tests/sanity/ignore*")), "fix what sanity finds; do not list it"
    # The copy lies below a repository that ignores it: without a repository of its own it would look empty.
    run("git", "init", "--quiet", cwd=collection)
    told = run(
        "ansible-test", "sanity", "--local", "--color", "no",
        cwd=collection,
        env={"HOME": str(home), "PATH": f"{pathlib.Path(sys.executable).parent}:{interpreter_path}"},
    ).stdout  # fmt: skip
    assert "All targets skipped" not in told
    print(*re.findall("Skipping sanity test .*", told), sep="\n")
