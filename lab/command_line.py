# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands lab.py and vm have in common."""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import shutil
import sys


class UsageError(Exception):
    """What was asked cannot be done here; the text says what to do instead."""


def with_label(name: str, instance: str | None) -> str:
    """The name of one that is beside others of the same name."""
    if not instance:
        return name
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", instance):
        raise UsageError(f"--instance {instance!r}: use letters, digits, - and _")
    return f"{name}.{instance}"


def process(pid: int) -> int:
    """A handle of the process that something is bound to."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        raise UsageError(f"--bound-to {pid}: no such process") from error


def find_programs(who_needs: str, packages: dict[str, str]) -> None:
    """Each program with the Debian package that has it; also from where only root's PATH leads."""
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"
    missing = " ".join(package for program, package in packages.items() if shutil.which(program) is None)
    if missing:
        raise UsageError(f"{who_needs} {missing}: apt-get install {missing}")


def for_ssh(command: list[str]) -> list[str]:
    """As with ssh, one word may be a whole command line; several words reach the command as they are."""
    return command if len(command) < 2 else [shlex.join(command)]


def run(program: str, parser: argparse.ArgumentParser, errors: tuple[type[Exception], ...]) -> None:
    """Call the function that the arguments name. What follows -- is a command for elsewhere, and never parsed here."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    arguments = parser.parse_args(words[:end])
    arguments.command = words[end + 1 :]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(write_through=False)  # a reader who has gone shall stop nothing in the middle
    expected: tuple[type[Exception], ...] = (UsageError, TimeoutError, *errors)
    try:
        arguments.function(arguments)
    except expected as error:
        sys.exit(f"{program}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{program}: interrupted")
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read along, `head` for example, has gone, and all is done.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
