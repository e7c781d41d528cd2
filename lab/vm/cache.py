# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made once and kept in the checkout: each thing is there whole, or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Sequence

import namespaces as ns

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
FOLDER = CHECKOUT / ".cache" / "vm"


class MakeError(Exception):
    """Something could not be made; the text says where its log is."""


def folder(name: str, recipe: Sequence[pathlib.Path], make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """The folder of that name, made by `make` unless it exists for these very recipes."""
    state = hashlib.sha256(b"".join(path.read_bytes() for path in recipe)).hexdigest()[:12]
    found = FOLDER / f"{name}-{state}"
    if found.exists():
        return found
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            unfinished = FOLDER / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                make(unfinished)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            for former in FOLDER.glob(f"{name}-" + "[0-9a-f]" * 12):
                shutil.rmtree(former)
            unfinished.rename(found)
    return found


def run(*command: str | pathlib.Path, directory: pathlib.Path | None = None, text: str = "") -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=ns.die_with_parent,
    )
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise MakeError(f"{' '.join(map(str, command))}: {' / '.join(last)}")


def pack_disk(tree: pathlib.Path, image: pathlib.Path, label: str, megabytes: int) -> None:
    """An ext4 file system with what is in `tree`, of the features that every kernel since 3.10 knows."""
    features = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file"
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-O", features, "-m", "0", "-L", label]
    run(*command, "-d", tree, image, f"{megabytes}M")


def pack_initrd(tree: pathlib.Path, image: pathlib.Path) -> None:
    """An initial RAM disk with what is in `tree`, all of it root's."""
    command = 'find . -print0 | cpio --quiet --null --create --format=newc --owner=0:0 > "$1"'
    run("bash", "-o", "pipefail", "-c", command, "pack", image, directory=tree)


def megabytes_of(tree: pathlib.Path) -> int:
    return sum(path.lstat().st_blocks for path in tree.rglob("*")) // 2048 + 1
