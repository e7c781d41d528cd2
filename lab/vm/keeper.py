# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that a virtual machine lives and dies with:   keeper.py NAME CALLER BOUND_TO COMMAND...

qemu dies with it, by the kernel's hand; it dies with CALLER, until that one writes to its input that it shall stay; and
it ends the machine when the process BOUND_TO ends (0: none) or nobody could find the machine any more.
"""

from __future__ import annotations

import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import namespaces as ns
from vm.machine import Machine


def main() -> None:
    name, caller, bound_to, *command = sys.argv[1:]
    ns.set_process_name(f"vm:{name}")
    ns.die_with_parent()
    if os.getppid() != int(caller):
        return
    machine = Machine(name)
    # By itself: whoever has just started it may find its command line still empty, and never know it again.
    machine.record_init(os.getpid())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ends = select.poll()
    ends.register(sys.stdin, select.POLLIN)
    if bound_to != "0":
        ends.register(os.pidfd_open(int(bound_to)), select.POLLIN)
    stays = False
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=ns.die_with_parent)
    try:
        ends.register(os.pidfd_open(qemu.pid), select.POLLIN)
        while machine.directory.exists():
            ready = [handle for handle, _event in ends.poll(1000)]
            if sys.stdin.fileno() in ready and not stays and os.read(sys.stdin.fileno(), 1):
                ns.die_with_parent(False)
                ends.unregister(sys.stdin)
                stays = True
                machine.write("stays", True)
            elif ready:
                break
    finally:
        qemu.kill()
        qemu.wait()
        if stays and bound_to != "0":
            shutil.rmtree(machine.control_directory, ignore_errors=True)
            shutil.rmtree(machine.directory, ignore_errors=True)


if __name__ == "__main__":
    main()
