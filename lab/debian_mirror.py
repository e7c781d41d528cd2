# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian mirror that this machine's apt uses, as debootstrap can use it:   python debian_mirror.py"""

from __future__ import annotations

import pathlib
import subprocess
import urllib.parse
from collections.abc import Iterable, Iterator

EVERYBODYS = "http://deb.debian.org/debian"


def mirror() -> str:
    return next(known("Debian"), EVERYBODYS)


def known(label: str) -> Iterator[str]:
    """Those of apt's own sources with that label."""
    form = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    try:
        done = subprocess.run([*form, f"Label: {label}"], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # not a Debian
        return iter(())
    return usable(done.stdout.splitlines())


def usable(uris: Iterable[str]) -> Iterator[str]:
    """Those that debootstrap knows how to read; of a list of mirrors on this machine its first, and no discs."""
    for uri in uris:
        scheme, _colon, rest = uri.strip().partition(":")
        if scheme == "mirror+file":
            yield from _listed(pathlib.Path(urllib.parse.urlsplit(uri).path))
        elif scheme in ("http", "https"):
            yield uri.strip()
        elif scheme == "file":
            yield f"file:///{rest.lstrip('/')}"


def _listed(path: pathlib.Path) -> Iterable[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):  # it may be compressed
        return []
    mirrors = [line.split()[0] for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return list(usable(line for line in mirrors if not line.startswith("mirror")))[:1]


if __name__ == "__main__":
    print(mirror())
