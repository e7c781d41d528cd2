# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that can lose its power: its disk (/etc, /var/lib) outlives the boots, everything else begins anew with each.

The disk belongs to a host of namespaces that runs nothing. A boot is a host of namespaces inside of it: new network
namespace, empty /run, a boot id of its own; then /etc/sysctl.d is applied.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import uuid
from collections.abc import Sequence
from typing import Any

from namespace_host import UNSHARE, Namespace
from trials import PATH, SET_OWN_VALUES

HERE = pathlib.Path(__file__).resolve().parent
STATE = "/var/lib/nettune"

# What is on the disk of a new host; the state folder is a small file system of its own, which can get full.
NEW_DISK = f"""
set -e
umount -q {STATE} 2>/dev/null || true
rm -rf /etc/sysctl.d {STATE}
mkdir /etc/sysctl.d
"""
SMALL_STATE = f"mkdir -m 700 {STATE} && mount -t tmpfs -o size=1m,mode=700 nettune-test {STATE}"
# The interfaces of every host. gone0 can go, and takes its keys along.
NETWORK = f"""
ip link set lo up
ip link add gone0 type veth peer name gone1
{SET_OWN_VALUES}"""
BOOT = f"""
set -e
mount -t tmpfs -o mode=755 nettune-test /run
mount -t sysfs sysfs /sys
echo "$0" >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
{NETWORK}
cat /etc/sysctl.d/*.conf 2>/dev/null | sysctl -q -p - >/dev/null 2>&1 || true
trap '' CHLD
echo ready
exec cat >/dev/null
"""
# What a set makes of a host that has just booted.
REFERENCE = f"""
{NETWORK}
python3 "$0"
cat >/run/reference
sysctl -q -p /run/reference >&2
rm /run/reference
python3 "$0"
"""


class Step:
    """A step of a trial that is under way on a host."""

    def __init__(self, host: Namespace, name: str, arguments: dict[str, Any], freeze_at: int, when: str) -> None:
        self._process = host.popen(
            ["python3", str(HERE / "step.py"), name, json.dumps(arguments), str(freeze_at), when],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **host.environment},
        )
        assert self._process.stdout
        self.pid = self._process.stdout.readline().strip()

    def wait_until_frozen(self) -> bool:
        """Whether it came to the point; its answer is lost where it did."""
        assert self._process.stdout
        self._first = self._process.stdout.readline()
        return self._first == "frozen\n"

    _first = ""

    def end(self) -> dict[str, Any]:
        """Lets it go on to its end: {operations}, {refused}, or {} where it was killed."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.close()
        output = self._first + self._process.stdout.read()
        self._process.wait()
        last = output.rstrip().rpartition("\n")[2]
        if last.startswith("{"):
            answer: dict[str, Any] = json.loads(last)
            return answer
        assert "Traceback" not in output, output
        return {}


class Machine:
    def __init__(self, disk: Namespace) -> None:
        self._disk = disk
        self._power: subprocess.Popen[str] | None = None
        self.host: Namespace

    def install(self, file: str | None, small_state: bool) -> None:
        """A new disk. file: what somebody wrote where the set's file will be."""
        self.power_off()
        self._disk.run(["sh", "-c", NEW_DISK + (SMALL_STATE if small_state else "")])
        if file is not None:
            self._disk.write(PATH, file)
            self._disk.run(["chmod", "640", PATH])

    def boot(self) -> None:
        self._power = self._disk.popen(
            [*UNSHARE, "sh", "-c", BOOT, str(uuid.uuid4())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # unshare complains when its child is killed.
        )
        assert self._power.stdout
        assert self._power.stdout.readline() == "ready\n", "the host did not boot"
        pid = self._power.pid
        # nsenter, whose child is unshare, whose child is the first process of the boot.
        for _generation in range(2):
            pid = int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text())
        self.host = Namespace(pid)

    def power_off(self) -> None:
        """Everything that runs there ends at once."""
        if self._power:
            assert self._power.stdin
            assert self._power.stdout
            subprocess.run(["kill", "-KILL", str(self.host.pid)], check=False, stderr=subprocess.DEVNULL)
            self._power.stdin.close()
            self._power.stdout.close()
            self._power.wait(timeout=20)
            self._power = None

    def shell(self, script: str, *words: str, check: bool = True, input: str = "") -> str:
        return self.host.run(["sh", "-c", script, *words], check=check, input=input, timeout=20).stdout

    def begin(self, name: str, arguments: dict[str, Any], freeze_at: int = 0, when: str = "before") -> Step:
        return Step(self.host, name, arguments, freeze_at, when)

    def inspect(self) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads(self.host.run(["python3", str(HERE / "inspect_host.py")]).stdout)
        return seen

    def guards(self) -> dict[str, str]:
        """{"supervisor": process id, "guard": process id} of those that live."""
        parents = {}
        for line in self.shell("ps -ww -eo pid,ppid,args").splitlines():
            pid, parent, words = line.split(None, 2)
            if "guard.pyz" in words:
                parents[pid] = parent
        return {"supervisor" if pid in parents.values() else "guard": pid for pid in parents}

    def reference(self, content: str) -> tuple[dict[str, str], dict[str, str]]:
        """All values of a host that has just booted, without and with the set's file."""
        words = ["unshare", "--net", "sh", "-c", REFERENCE, str(HERE / "inspect_host.py")]
        done: Sequence[str] = self.host.run(words, input=content).stdout.splitlines()
        before, after = (json.loads(line)["tree"] for line in done)
        return before, after
