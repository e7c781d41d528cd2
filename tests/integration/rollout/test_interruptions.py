# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller killed, or cut off, at random moments of a rollout: every host ends entirely old or new, in time."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import random
import signal
import subprocess
import time
from typing import Any

import controller
import pytest
from labs import CHECKOUT

SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.ip_forward": "1", "net.core.somaxconn": "8192"}
PACE = {
    "tune_sysctl": SET,
    "tune_waves": [1, "100%"],
    "tune_soak": 2,
    "tune_soak_max": 2,
    "tune_look_every": 2,
    "tune_baseline": 1,
    "tune_confirm_grace": 13,
    # Nobody connects here.
    "tune_on_inconclusive": "promote",
}
HOSTS_EACH = 2
# Of a trial; ten seconds more are for the one control, should it fall silent.
DEADLINE = PACE["tune_soak"] + PACE["tune_confirm_grace"] + PACE["tune_baseline"] + 10
STATE = """
    grep -rs . /proc/sys/net | grep -v nf_conntrack_count | sort
    for folder in /etc/sysctl.d /run/sysctl.d; do
        find $folder -printf '%p %y %m\\n' 2>/dev/null | sort
        grep -rsv '^#' $folder
    done
    ls /var/lib/nettune/trial.json 2>/dev/null
    pgrep -f guard[.]pyz >/dev/null && echo a guard
    true
"""


class Rollouts:
    """One lab for a number of rollouts side by side, each over hosts of its own."""

    def __init__(self, lab: Any, number: int, reports: pathlib.Path) -> None:
        self.lab = lab
        self.reports = reports
        self.names = [f"host{n}" for n in range(1, number * HOSTS_EACH + 1)]
        self.groups = [self.names[n : n + HOSTS_EACH] for n in range(0, len(self.names), HOSTS_EACH)]
        lab.up("--hosts", str(len(self.names)))
        self.old = {name: lab.shell(name, STATE) for name in self.names}
        began = time.monotonic()
        assert self.run(self.groups[0]) == 0
        self.seconds = time.monotonic() - began
        self.new = lab.shell(self.names[0], STATE)
        assert self.new != self.old[self.names[0]]
        assert "/etc/sysctl.d/90-nettune.conf" in self.new
        lab.run("down")
        lab.up("--hosts", str(len(self.names)))

    def moments(self) -> list[float]:
        """One for each group, spread over the length of a rollout; the seed is in the output."""
        seed = random.SystemRandom().randrange(10**6)
        chance = random.Random(seed)
        moments = [self.seconds * (n + chance.random()) / len(self.groups) for n in range(len(self.groups))]
        print(f"a rollout takes {self.seconds:.1f} s; seed {seed}; at {', '.join(f'{m:.1f}' for m in moments)} s")
        return moments

    def run(self, hosts: list[str], kill_after: float | None = None) -> int:
        """The exit code of a rollout."""
        variables = {**PACE, "tune_hosts": ",".join(hosts), "tune_report_dir": str(self.reports)}
        command = controller.command("tune", variables, "-i", str(self.lab.inventory))
        rollout = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            rollout.communicate(timeout=kill_after or 150)
        except subprocess.TimeoutExpired:
            # ansible-playbook alone: what it leaves running is part of the question.
            os.kill(rollout.pid, signal.SIGKILL)
            rollout.communicate()
            assert kill_after, "the rollout does not end"
        return rollout.returncode

    def settle(self) -> dict[str, str]:
        """old or new for every host, within the deadline of a trial that began just now."""
        give_up = time.monotonic() + DEADLINE + 10
        ended = {}
        for name in self.names:
            while name not in ended:
                found = self.lab.shell(name, STATE)
                if found in (self.old[name], self.new):
                    ended[name] = "new" if found == self.new else "old"
                assert time.monotonic() < give_up, f"{name} is neither old nor new:\n{found[-2000:]}"
                time.sleep(0.2)
        print(f"{list(ended.values()).count('old')} hosts old, {list(ended.values()).count('new')} new")
        return ended


@pytest.mark.minutes
def test_a_killed_controller(make_lab: Any, tmp_path: pathlib.Path) -> None:
    rollouts = Rollouts(make_lab("plain", "killed"), 10, tmp_path)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(rollouts.run, rollouts.groups, rollouts.moments()))
    assert -signal.SIGKILL in codes, "no rollout was killed in the middle"
    assert "old" in rollouts.settle().values(), "no rollout was killed before it had confirmed"


@pytest.mark.minutes
def test_a_network_that_is_cut(make_lab: Any, tmp_path: pathlib.Path) -> None:
    rollouts = Rollouts(make_lab("plain", "cut"), 5, tmp_path)

    def run(hosts: list[str], moment: float) -> tuple[int, float]:
        began = time.monotonic()
        outage = DEADLINE + 5
        cut = f"sleep {moment}; ip link set mgmt0 down; sleep {outage}; ip link set mgmt0 up"
        for name in hosts:
            rollouts.lab.shell(name, f"setsid -f sh -c '{cut}' </dev/null >/dev/null 2>&1")
        return rollouts.run(hosts), began + moment + outage

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        results = list(pool.map(run, rollouts.groups, rollouts.moments()))
    assert any(code != 0 for code, _back in results), "no rollout noticed"
    back = max(back for _code, back in results)
    while time.monotonic() < back + 1:
        time.sleep(0.2)
    ended = rollouts.settle()
    for hosts, (code, _back) in zip(rollouts.groups, results, strict=True):
        assert code != 0 or {ended[name] for name in hosts} == {"new"}, "a rollout that succeeded left a host old"
