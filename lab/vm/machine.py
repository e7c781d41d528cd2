# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual machine, up or not: what it leaves in `.vm/NAME`, and how it is reached."""

from __future__ import annotations

import os
import signal

import inventory
import lab_init
import state


class Machine(state.Lab):
    """Kept like a lab; its init is the keeper of its qemu."""

    root = state.ROOT.parent / ".vm"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.serial = self.directory / "serial.log"
        self.log = self.directory / "qemu.log"

    def ssh(self) -> list[str]:
        """The command line that logs in; what follows is run there."""
        port = str(self.read("port"))
        options = [*inventory.ssh_options(self), "-o", "LogLevel=ERROR", "-i", str(self.key), "-p", port]
        return ["ssh", *options, "root@127.0.0.1"]

    def text_of(self, path: str) -> str:
        try:
            return (self.directory / path).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def remove(self) -> None:
        pid = self.init_pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)  # it waits for the end of its qemu
            lab_init.wait_until(lambda: lab_init.gone(pid), 10)
        super().remove()


def all_machines() -> list[Machine]:
    found = sorted(Machine.root.iterdir()) if Machine.root.is_dir() else []
    return [Machine(path.name) for path in found if path.is_dir()]
