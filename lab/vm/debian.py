# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of any Debian suite, from the mirror that this machine's apt uses, without installing them."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile

import debian_mirror
import namespaces as ns

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class UnreachableError(Exception):
    """The suite, or a package of it, cannot be had here."""


class Suite:
    """A suite with its security updates; lists and downloads are kept in `cache`, apt's own are not touched."""

    def __init__(self, name: str, cache: pathlib.Path) -> None:
        self.name = name
        for folder in ("lists", "archives"):
            (cache / folder / "partial").mkdir(parents=True, exist_ok=True)
        sources = cache / "sources.list"
        origins = [f"{debian_mirror.mirror()} {name}"]
        security = next(debian_mirror.known("Debian-Security"), None)
        origins += [f"{security} {name}-security"] if security else []
        lines = [f"deb [arch=amd64 signed-by={KEYRING}] {origin} main\n" for origin in origins]
        sources.write_text("".join(lines), encoding="utf-8")
        settings = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": cache / "lists",
            "Dir::Cache": cache,
            "Dir::Cache::archives": cache / "archives",
            "APT::Sandbox::User": "root",  # the checkout need not be open to apt's own user
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
        }
        self._options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        self._apt("apt-get", "update", "--error-on=any")

    def dependencies(self, package: str) -> list[str]:
        lines = self._apt("apt-cache", "depends", package).splitlines()
        return [line.split()[1] for line in lines if line.strip().startswith("Depends:")]

    def unpack(self, package: str, folder: pathlib.Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as download:
            self._apt("apt-get", "download", package, directory=download)
            (file,) = pathlib.Path(download).glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", file, folder], check=True, preexec_fn=ns.die_with_parent)

    def _apt(self, program: str, *words: str, directory: str | None = None) -> str:
        command = [program, *self._options, *words]
        done = subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=600,
            preexec_fn=ns.die_with_parent,
        )
        if done.returncode != 0:
            reasons = [line for line in done.stderr.splitlines() if line.startswith("E:")] or [done.stderr.strip()]
            raise UnreachableError(f"Debian's suite {self.name} cannot be reached here: {reasons[0]}")
        return done.stdout
