# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of apt's sources debootstrap is given."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[3] / "lab" / "debian_mirror.py"


def mirror(folder: pathlib.Path, *uris: str) -> str:
    """What it says where apt has these."""
    program = folder / "apt-get"
    program.write_text("#!/bin/sh\ncat <<'END'\n" + "".join(f"{uri}\n" for uri in uris) + "END\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, TOOL], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("uris", "chosen"),
    [
        (["http://deb.example.com/debian/", "http://other.example.com/debian"], "http://deb.example.com/debian/"),
        (["https://deb.example.com/debian"], "https://deb.example.com/debian"),
        (["file:/srv/debian"], "file:///srv/debian"),
        (["file:///srv/debian"], "file:///srv/debian"),
        (["cdrom:[Debian]/", "http://deb.example.com/debian"], "http://deb.example.com/debian"),
        (["cdrom:[Debian]/", "tor+http://deb.example.com/debian"], "http://deb.debian.org/debian"),
        (["mirror+file:/is/not/there"], "http://deb.debian.org/debian"),
        ([], "http://deb.debian.org/debian"),
    ],
    ids=str,
)
def test_what_debootstrap_can_use(uris: list[str], chosen: str, tmp_path: pathlib.Path) -> None:
    assert mirror(tmp_path, *uris) == chosen


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        ("https://deb.example.com/debian\nhttps://other.example.com/debian\n", "https://deb.example.com/debian"),
        ("# ours\n\nhttp://deb.example.com/debian\tpriority:1\n", "http://deb.example.com/debian"),
        ("mirror+file:{path}\nfile:/srv/debian\n", "file:///srv/debian"),
        ("", "http://deb.debian.org/debian"),
    ],
)
def test_a_list_of_mirrors(lines: str, chosen: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "debian.list"
    path.write_text(lines.format(path=path))
    for uri in (f"mirror+file:{path}", f"mirror+file://{path}"):
        assert mirror(tmp_path, uri) == chosen
