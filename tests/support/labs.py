# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs for tests: named after this test run, bound to its process, and gone at its end."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from namespace_host import Namespace

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
LAB = CHECKOUT / "lab" / "lab.py"
INSTANCE = f"test{os.getpid()}"


class Lab:
    """One lab of this test run, driven through the command line as a user would."""

    def __init__(self, name: str, tag: str = "") -> None:
        self.name = name
        self.instance = INSTANCE + tag
        self.directory = CHECKOUT / ".lab" / f"{name}.{self.instance}"
        self.inventory = self.directory / "inventory.yml"

    def run(self, command: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, str(LAB), command, self.name, "--instance", self.instance, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def up(self, *words: str) -> str:
        return self.run("up", "--bound-to", str(os.getpid()), *words).stdout

    def down(self) -> None:
        self.run("down")

    def shell(self, host: str, command: str, check: bool = True) -> str:
        return self.run("shell", "--host", host, "--", command, check=check).stdout

    def inside(self, host: str) -> Namespace:
        """The host without its network, which may be down."""
        children = pathlib.Path(f"/proc/{self.init}/task/{self.init}/children").read_text().split()
        (pid,) = (pid for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text() == f"lab:{host}\n")
        return Namespace(int(pid))

    def read(self, name: str) -> dict:
        return json.loads((self.directory / f"{name}.json").read_text(encoding="utf-8"))

    @property
    def init(self) -> int:
        return self.read("init")["pid"]

    def counters(self, host: str) -> dict[str, int]:
        """All of /proc/net/netstat and /proc/net/snmp, as `TcpExt.PAWSEstab`."""
        lines = [line.split() for line in self.shell(host, "cat /proc/net/netstat /proc/net/snmp").splitlines()]
        return {
            f"{names[0][:-1]}.{name}": int(value)
            for names, values in zip(lines[::2], lines[1::2], strict=True)
            for name, value in zip(names[1:], values[1:], strict=True)
        }


@pytest.fixture(scope="session")
def lab_is_possible() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab needs Linux and root")
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    missing = [tool for tool in ("ip", "nft", "ssh", "sshd") if shutil.which(tool, path=path) is None]
    if missing:
        pytest.skip(f"the lab needs {', '.join(missing)}, which this machine does not have")


@pytest.fixture(scope="module")
def make_lab(lab_is_possible: None) -> Iterator[Callable[..., Lab]]:
    made = []

    def make(name: str, tag: str = "") -> Lab:
        made.append(Lab(name, tag))
        return made[-1]

    yield make
    for lab in made:
        lab.down()
