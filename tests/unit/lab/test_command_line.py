# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which broken pipe is nobody's concern, and which is."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

LAB = pathlib.Path(__file__).resolve().parents[3] / "lab"
# Says something, does something, says something; or writes to another process that has ended.
PROGRAM = """
import argparse, os, pathlib, sys
import command_line

def both(arguments):
    print("first", flush=arguments.elsewhere)
    pathlib.Path(arguments.done).touch()
    print("second")
    if arguments.elsewhere:
        raise BrokenPipeError("the keeper has ended")

parser = argparse.ArgumentParser()
parser.add_argument("done")
parser.add_argument("--elsewhere", action="store_true")
parser.set_defaults(function=both)
command_line.run("program", parser, ())
"""


def run(stdout: int, *words: str, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(LAB), "PYTHONUNBUFFERED": unbuffered},
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_without_a_reader_all_is_done(tmp_path: pathlib.Path, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run(writing, str(tmp_path / "done"), unbuffered=unbuffered)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "done").exists()


def test_what_breaks_elsewhere_is_told(tmp_path: pathlib.Path) -> None:
    done = run(subprocess.DEVNULL, str(tmp_path / "done"), "--elsewhere")
    assert done.returncode != 0
    assert "the keeper has ended" in done.stderr
