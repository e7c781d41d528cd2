# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/validate.yml takes for many stored hosts, Ansible's own time included.

    python bench/validate_playbook.py [hosts ...]

Without numbers: 100 and 500 hosts, so that growth shows. CPU time is of all processes together; memory is the most that
the main process held. The engine alone: bench/validate.py.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import validate

SET = {
    "net.core.somaxconn": 8192,
    "net.ipv4.ip_local_port_range": "10240 60999",
    "net.ipv4.tcp_fin_timeout": 30,
    "net.ipv4.tcp_tw_reuse": 1,
}


class Measured(NamedTuple):
    hosts: int
    wall: float
    cpu: float
    mebibytes: float


def measure(hosts: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        tree = json.loads((validate.FACTS / "kernel-6.18-nat-gateway.json").read_text())["sysctl"]
        for number in range(hosts):
            facts = validate.stored_host(number, tree, "net.ipv4.conf.*.rp_filter = 2\n")
            pathlib.Path(folder, f"host{number}.json").write_text(json.dumps(facts))
        variables = {"tune_sysctl": SET, "tune_facts_dir": folder, "tune_fail_on": "never"}
        began, before = time.monotonic(), _cpu()
        program = pathlib.Path(sys.executable).parent / "ansible-playbook"
        playbook = subprocess.Popen(
            [program, "playbooks/validate.yml", "-e", json.dumps(variables)],
            cwd=validate.ROOT,
            env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"},
            stdout=subprocess.DEVNULL,
        )
        most = 0.0
        while playbook.poll() is None:
            most = max(most, _resident(playbook.pid))
            time.sleep(0.2)
        if playbook.returncode:
            raise SystemExit(f"the playbook failed: {playbook.returncode}")
        return Measured(hosts, time.monotonic() - began, _cpu() - before, most)


def _cpu() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _resident(process: int) -> float:
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def main() -> int:
    for count in [int(argument) for argument in sys.argv[1:]] or [100, 500]:
        one = measure(count)
        print(
            f"{one.hosts} hosts: {one.wall:.0f} s, {1000 * one.wall / one.hosts:.0f} ms a host "
            f"({1000 * one.cpu / one.hosts:.0f} ms of CPU), {one.mebibytes:.0f} MiB at most",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
