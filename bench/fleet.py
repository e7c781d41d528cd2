# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout costs: 25 keys over many lab hosts, beside one ansible.posix.sysctl task a key, and beside four pings.

    python bench/fleet.py [hosts ...]

Without numbers: 10, 50 and 200 hosts. Needs root (it brings labs up) and the environment of `make test`. Everything of
one size runs in turn in the same lab with the same forks, so that the ratios hold where the seconds do not. The
targets: at least 10 times faster than the task a key, at most 1.5 times the pings, no dearer a host at the largest
size than at the smallest. Exits with 1 where one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile
from typing import NamedTuple

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAB = [sys.executable, str(ROOT / "lab" / "lab.py")]
# ansible.posix comes inside this package.
ANSIBLE = "ansible==12.3.0"
POSIX = ROOT / ".cache" / "ansible-posix"
TIMES_FASTER = 10
TIMES_THE_FLOOR = 1.5

# No value is a default, so each is a change.
KEYS = {
    "net.ipv4.tcp_keepalive_time": 700,
    "net.ipv4.tcp_keepalive_intvl": 40,
    "net.ipv4.tcp_keepalive_probes": 6,
    "net.ipv4.tcp_fin_timeout": 45,
    "net.ipv4.tcp_retries2": 12,
    "net.ipv4.tcp_syn_retries": 5,
    "net.ipv4.tcp_synack_retries": 4,
    "net.ipv4.tcp_orphan_retries": 3,
    "net.ipv4.tcp_max_syn_backlog": 2048,
    "net.ipv4.tcp_mtu_probing": 1,
    "net.ipv4.tcp_slow_start_after_idle": 0,
    "net.ipv4.tcp_notsent_lowat": 131072,
    "net.ipv4.tcp_no_metrics_save": 1,
    "net.ipv4.tcp_rmem": "4096 131072 8388608",
    "net.ipv4.tcp_wmem": "4096 16384 8388608",
    "net.ipv4.ip_local_port_range": "20000 60999",
    "net.ipv4.tcp_ecn": 1,
    "net.ipv4.tcp_reordering": 5,
    "net.ipv4.conf.all.accept_redirects": 0,
    "net.ipv4.conf.all.secure_redirects": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.accept_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv4.conf.all.log_martians": 1,
    "net.core.somaxconn": 8192,
}
# One wave without a soak, and without traffic: what is left is what the rollout itself does.
ROLLOUT = {
    "tune_sysctl": KEYS,
    "tune_waves": ["100%"],
    "tune_baseline": 0,
    "tune_soak": 1,
    "tune_soak_max": 1,
    "tune_look_every": 1,
    "tune_on_inconclusive": "promote",
    "tune_topology": {"role": ["server"], "front": "none", "clients_behind_nat": False},
}
SOAK = ROLLOUT["tune_soak"]
PINGS = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.ping": {}}] * 4}]
TASK_A_KEY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"ansible.posix.sysctl": {"name": key, "value": str(value), "sysctl_file": "/etc/sysctl.d/80-bench.conf"}}
            for key, value in KEYS.items()
        ],
    }
]


class Costs(NamedTuple):
    """Seconds for all hosts."""

    pings: float
    rollout: float
    task_a_key: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hosts", nargs="*", type=int, default=[10, 50, 200])
    parser.add_argument("--forks", type=int, default=20)
    options = parser.parse_args()
    fetch_posix()
    print(
        f"{len(KEYS)} keys, {options.forks} forks, {os.cpu_count()} cores, Linux {os.uname().release}; seconds a host"
    )
    print(f"{'hosts':>6}{'pings':>9}{'rollout':>9}{'task a key':>12}{'rollout/pings':>15}{'task a key/rollout':>20}")
    measured = {}
    for hosts in options.hosts:
        costs = measured[hosts] = measure(hosts, options.forks)
        each = [cost / hosts for cost in costs]
        print(
            f"{hosts:>6}{each[0]:>9.3f}{each[1]:>9.3f}{each[2]:>12.3f}"
            f"{costs.rollout / costs.pings:>15.2f}{costs.task_a_key / costs.rollout:>20.1f}",
            flush=True,
        )
    missed = misses(measured)
    print("\n".join(missed) if missed else "All targets are met.")
    return 1 if missed else 0


def misses(measured: dict[int, Costs]) -> list[str]:
    said = []
    for hosts, costs in measured.items():
        if costs.task_a_key < TIMES_FASTER * costs.rollout:
            said.append(f"{hosts} hosts: less than {TIMES_FASTER} times faster than a task a key")
        if costs.rollout > TIMES_THE_FLOOR * costs.pings:
            said.append(f"{hosts} hosts: more than {TIMES_THE_FLOOR} times the four pings")
    smallest, largest = min(measured), max(measured)
    if measured[largest].rollout / largest > measured[smallest].rollout / smallest:
        said.append(f"a host costs more among {largest} than among {smallest}")
    return said


def fetch_posix() -> None:
    """Only ansible.posix of the package that carries it."""
    found = POSIX / "ansible_collections" / "ansible" / "posix"
    if found.exists():
        return
    print(f"Fetching ansible.posix out of {ANSIBLE}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--dest", folder, ANSIBLE]
        subprocess.run(pip, check=True)
        with zipfile.ZipFile(next(pathlib.Path(folder).glob("*.whl"))) as wheel:
            wheel.extractall(
                POSIX, [name for name in wheel.namelist() if name.startswith("ansible_collections/ansible/posix/")]
            )


def measure(hosts: int, forks: int) -> Costs:
    lab = ["plain", "--instance", f"fleet{os.getpid()}"]
    subprocess.run(
        [*LAB, "up", *lab, "--hosts", str(hosts), "--bound-to", str(os.getpid())],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        inventory = subprocess.run([*LAB, "inventory", *lab, "--path"], check=True, capture_output=True, text=True)
        with tempfile.TemporaryDirectory() as folder:
            common = ["-i", inventory.stdout.strip(), "--forks", str(forks)]
            books = {}
            for name, book in {"pings": PINGS, "task_a_key": TASK_A_KEY}.items():
                books[name] = pathlib.Path(folder) / f"{name}.yml"
                books[name].write_text(yaml.dump(book), encoding="utf-8")
            seconds(books["pings"], common)  # opens the connections that all others then use
            variables = json.dumps({**ROLLOUT, "tune_report_dir": folder})
            return Costs(
                seconds(books["pings"], common),
                seconds(ROOT / "playbooks" / "tune.yml", [*common, "-e", variables]) - SOAK,
                seconds(books["task_a_key"], common),
            )
    finally:
        subprocess.run([*LAB, "down", *lab], check=True, stdout=subprocess.DEVNULL)


def seconds(book: pathlib.Path, arguments: list[str]) -> float:
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / 'playbooks' / 'collections'}:{POSIX}",
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=600s",
        "ANSIBLE_STDOUT_CALLBACK": "nettune.kernel.rollout",
    }
    command = [str(pathlib.Path(sys.executable).with_name("ansible-playbook")), str(book), *arguments]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{book.name} failed:\n{done.stdout}{done.stderr}")
    return took


if __name__ == "__main__":
    sys.exit(main())
