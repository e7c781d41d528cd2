# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system that all virtual machines begin with."""

from __future__ import annotations

import pathlib
import subprocess

import debian_mirror
import namespaces as ns
from vm import cache

RECIPE = cache.HERE / "make_root"
# debootstrap mounts /proc; whatever ends it or us, its mounts and processes end with these namespaces.
ALONE = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
FREE_MEGABYTES = 1024


def _make(folder: pathlib.Path) -> None:
    log = folder.parent / "root.log"
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(
            [*ALONE, RECIPE, debian_mirror.mirror(), folder / "tree"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            preexec_fn=ns.die_with_parent,
        )
    if done.returncode != 0:
        last = " / ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])
        raise cache.MakeError(f"the root file system could not be made: {last}; the whole log is {log}")
    cache.pack_disk(
        folder / "tree", folder / "root.ext4", "vm-root", cache.megabytes_of(folder / "tree") + FREE_MEGABYTES
    )


def _folder() -> pathlib.Path:
    return cache.folder("root", [RECIPE], _make)


def disk() -> pathlib.Path:
    return _folder() / "root.ext4"


def initrd() -> pathlib.Path:
    """The same as an initial RAM disk, for a kernel that has no driver for any disk."""

    def make(folder: pathlib.Path) -> None:
        cache.pack_initrd(_folder() / "tree", folder / "root")

    return cache.folder("root-in-memory", [RECIPE], make) / "root"


def host_key() -> str:
    key: str = (_folder() / "tree" / "etc" / "ssh" / "ssh_host_ed25519_key.pub").read_text(encoding="ascii")
    return " ".join(key.split()[:2])
