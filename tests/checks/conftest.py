# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks share: commands whose failure is their output, real interpreters, a clean copy of the collection."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
BIN = pathlib.Path(sys.executable).parent

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    return ROOT


@pytest.fixture(scope="session")
def cache() -> pathlib.Path:
    return CACHE


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command, by default with this environment's programs first; fail with its output where it fails."""

    def run(
        *command: str | pathlib.Path,
        cwd: pathlib.Path = ROOT,
        env: Mapping[str, str] | None = None,
        stderr: int = subprocess.STDOUT,
    ) -> subprocess.CompletedProcess[str]:
        merged = {**os.environ, "NO_COLOR": "1", "PATH": f"{BIN}:{os.environ['PATH']}", **(env or {})}
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=cwd,
            env=merged,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            check=False,
        )
        if done.returncode:
            told = done.stdout + (done.stderr or "")
            pytest.fail(f"exit code {done.returncode} from: {' '.join(words)}\n{told}", pytrace=False)
        return done

    return run


@functools.cache
def interpreters() -> dict[tuple[int, int], pathlib.Path]:
    """Real Python 3 interpreters by version; a version manager's shims are not interpreters."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    folders = [pathlib.Path(folder) for folder in os.environ["PATH"].split(":") if not folder.endswith("/shims")]
    folders += [pathlib.Path("/usr/bin"), pathlib.Path("/usr/local/bin"), *pyenv.glob("versions/*/bin")]
    found: dict[tuple[int, int], pathlib.Path] = {}
    for folder in folders:
        if (folder.parent / "pyvenv.cfg").exists():
            continue
        for python in folder.glob("python3.[0-9]*"):
            version = version_of(python)
            if version:
                found.setdefault(version, python)
    return dict(sorted(found.items()))


def version_of(python: pathlib.Path) -> tuple[int, int] | None:
    if not re.fullmatch(r"python3\.\d+", python.name):
        return None
    probe = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
    done = subprocess.run(probe, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    if done.returncode:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


@pytest.fixture(scope="session")
def python_of() -> Callable[..., tuple[str, pathlib.Path]]:
    """The first of the wanted interpreters ("3.6", or "newest") that is here, or a skip that names what is missing."""

    def python_of(*wanted: str) -> tuple[str, pathlib.Path]:
        found = {f"{major}.{minor}": path for (major, minor), path in interpreters().items()}
        for version in wanted:
            named = list(found)[-1] if version == "newest" else version
            if named in found:
                return named, found[named]
        pytest.skip(f"no Python {' or '.join(wanted)} here; found {', '.join(found)}")

    return python_of


@pytest.fixture(scope="session")
def interpreter_path() -> str:
    """A PATH on which python3.N is a real interpreter for every N found."""
    folders = dict.fromkeys(str(path.parent) for path in interpreters().values())
    return ":".join([*folders, "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


@pytest.fixture(scope="session")
def copy_collection(run: Run) -> Callable[[pathlib.Path], pathlib.Path]:
    """Copy what git knows to DIR/ansible_collections/nettune/kernel, where Ansible's tools expect a collection.

    Without the link that serves a checkout only: the built collection has none, and ansible-test forbids such links.
    """

    def copy_collection(directory: pathlib.Path) -> pathlib.Path:
        target = directory / "ansible_collections" / "nettune" / "kernel"
        shutil.rmtree(target, ignore_errors=True)
        listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z").stdout
        for name in filter(None, listed.split("\0")):
            source, copy = ROOT / name, target / name
            if source.is_file():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy)
        return target

    return copy_collection


@pytest.fixture(scope="session")
def molecule(run: Run) -> Callable[..., None]:
    """Run one scenario, with the working files of this checkout; hosts go when this process goes."""

    def molecule(scenario: str, programs: pathlib.Path = BIN, host_python: pathlib.Path | None = None) -> None:
        lab = f"--bound-to {os.getpid()}" + (f" --python {host_python}" if host_python else "")
        settings = {
            "MOLECULE_COMMAND_BORDERS": "false",
            "MOLECULE_GLOB": "molecule/*/molecule.yml",
            "MOLECULE_EPHEMERAL_DIRECTORY": str(CACHE / "molecule" / programs.parent.name / scenario),
            "NETTUNE_LAB_OPTIONS": lab,
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
        print(run(programs / "molecule", "test", "--scenario-name", scenario, env=settings).stdout)

    return molecule
