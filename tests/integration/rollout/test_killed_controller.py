# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL of ansible-playbook at random moments of a rollout: every host ends entirely old or entirely new, in time."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Any

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.ip_forward": "1", "net.core.somaxconn": "8192"}
PACE = {
    "tune_sysctl": SET,
    "tune_waves": [1, "100%"],
    "tune_soak": 2,
    "tune_looks": 1,
    "tune_baseline": 1,
    "tune_confirm_grace": 13,
    "tune_min_opens": 0,
}
MOMENTS = 10
HOSTS_EACH = 2
DEADLINE = PACE["tune_soak"] + PACE["tune_confirm_grace"] + PACE["tune_baseline"]
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


def run_and_kill(lab: Any, hosts: list[str], seconds: float, reports: pathlib.Path) -> int:
    """Starts a rollout over some hosts and kills it after so many seconds; its exit code."""
    command = [pathlib.Path(sys.executable).with_name("ansible-playbook"), "playbooks/tune.yml"]
    command += ["-i", lab.directory / "inventory.yml", "-e", json.dumps({**PACE, "tune_hosts": ",".join(hosts)})]
    command += ["-e", f"tune_report_dir={reports}"]
    rollout = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        rollout.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # Of ansible-playbook alone: what it leaves running is part of the question.
        os.kill(rollout.pid, signal.SIGKILL)
        rollout.communicate()
    return rollout.returncode


def test_every_host_ends_old_or_new(make_lab: Any, tmp_path: pathlib.Path) -> None:
    lab = make_lab("plain", "killed")
    lab.up("--hosts", str(MOMENTS * HOSTS_EACH))
    names = [f"host{number}" for number in range(1, MOMENTS * HOSTS_EACH + 1)]
    groups = [names[start : start + HOSTS_EACH] for start in range(0, len(names), HOSTS_EACH)]
    old = {name: lab.shell(name, STATE) for name in names}

    began = time.monotonic()
    assert run_and_kill(lab, groups[0], 120, tmp_path) == 0
    whole = time.monotonic() - began
    new = lab.shell(groups[0][0], STATE)
    assert new != old[groups[0][0]]
    assert "/etc/sysctl.d/90-nettune.conf" in new

    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    moments = [whole * (number + chance.random()) / MOMENTS for number in range(MOMENTS)]
    print(f"a rollout takes {whole:.1f} s; seed {seed}; killed at {', '.join(f'{moment:.1f}' for moment in moments)} s")
    lab.run("down")
    lab.up("--hosts", str(MOMENTS * HOSTS_EACH))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        codes = list(
            pool.map(lambda pair: run_and_kill(lab, pair[0], pair[1], tmp_path), zip(groups, moments, strict=True))
        )
    assert -signal.SIGKILL in codes, "no rollout was killed in the middle"

    give_up = time.monotonic() + DEADLINE + 10
    kept = []
    for name in names:
        while True:
            found = lab.shell(name, STATE)
            if found in (old[name], new):
                kept.append("new" if found == new else "old")
                break
            assert time.monotonic() < give_up, f"{name} is neither old nor new (seed {seed}):\n{found[-2000:]}"
            time.sleep(0.5)
    print(f"{kept.count('old')} hosts old, {kept.count('new')} new")
    assert "old" in kept, "no rollout was killed before it had confirmed"
