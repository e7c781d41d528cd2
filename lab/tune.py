# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolls an example out over lab nat_front, with clients at work, and says how the servers were left: `make tune`."""

from __future__ import annotations

import argparse
import concurrent.futures
import fcntl
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import inventory
import load
import yaml
from state import Lab

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
LAB = "nat_front"
# Small enough for a demonstration: sixteen seconds are some 130 connections a server.
PACE = {
    "tune_hosts": "servers",
    "tune_soak": 16,
    "tune_look_every": 2,
    "tune_baseline": 5,
    "tune_confirm_grace": 30,
    "tune_probe_port": 80,
}
CONNECTS_BEFORE = 60
# Everything that a rollout may change on a host; equal text before and after is equality byte for byte.
SNAPSHOT = """
cd /proc/sys && grep -rs . net | grep -v nf_conntrack_count | LC_ALL=C sort
for folder in /etc/sysctl.d /run/sysctl.d; do
    find "$folder" -printf '%p %y %m %U:%G %l\\n' 2>/dev/null | LC_ALL=C sort
    find "$folder" -type f -exec sha256sum {} + 2>/dev/null | LC_ALL=C sort
done
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", default="l7_proxy", help="a file of examples/, without its ending")
    parser.add_argument("arguments", nargs="*", help="further arguments for ansible-playbook, after --")
    options = parser.parse_args()
    path = EXAMPLES / f"{options.example}.yml"
    if path.parent != EXAMPLES or not path.is_file():
        known = ", ".join(sorted(file.stem for file in EXAMPLES.glob("*.yml")))
        print(f"There is no example {options.example!r}: choose one of {known}.", file=sys.stderr)
        return 2
    example = yaml.safe_load(path.read_text(encoding="utf-8"))
    lab = Lab(f"{LAB}.tune")
    (ROOT / ".lab").mkdir(exist_ok=True)
    alone = open(ROOT / ".lab" / "tune.lock", "w", encoding="ascii")  # noqa: SIM115 (held until this process ends)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("`make tune` runs in this checkout already: wait for it, or use another checkout.", file=sys.stderr)
        return 2
    try:
        _lab("up", "--bound-to", str(os.getpid()), *_beginning(example))
        _lab("load", "start")
        load.wait_for(lab, CONNECTS_BEFORE, seconds=60)
        before = _snapshots(lab)
        print(f"Rolling out {path.relative_to(ROOT)}: {example_line(example)}", flush=True)
        status = _rollout(lab, path, options.arguments)
        after = _snapshots(lab)
        print("\nWhat the clients saw")
        print(load.table(lab, load.totals(lab, None)).partition("\n")[2])
        print("\nHow the servers are left")
        for line in _account(before, after, example):
            print(f"  {line}")
        sys.stdout.flush()
    finally:
        _lab("down")
    return status


def example_line(example: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in example["tune_sysctl"].items())


def _beginning(example: dict[str, Any]) -> list[str]:
    """What the servers of the lab start with, where the example wants it otherwise than the kernel."""
    return [word for key, value in example.get("lab_sysctl", {}).items() for word in ("--set", f"{key}={value}")]


def _lab(command: str, *arguments: str) -> None:
    name_first = [command, LAB, "--instance", "tune"]
    if command == "load":
        name_first = [command, LAB, *arguments, "--instance", "tune"]
        arguments = ()
    subprocess.run([sys.executable, str(ROOT / "lab" / "lab.py"), *name_first, *arguments], check=True)


def _rollout(lab: Lab, example: pathlib.Path, arguments: list[str]) -> int:
    command = [
        str(pathlib.Path(sys.executable).with_name("ansible-playbook")),
        "playbooks/tune.yml",
        "--inventory",
        str(lab.inventory),
        "--extra-vars",
        json.dumps(PACE),
        "--extra-vars",
        f"@{example}",
        *arguments,
    ]
    environment = {
        **os.environ,
        "ANSIBLE_STDOUT_CALLBACK": "nettune.kernel.rollout",
        "ANSIBLE_FORCE_COLOR": str(sys.stdout.isatty()),
    }
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _servers(lab: Lab) -> dict[str, str]:
    groups = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))["all"]["children"]
    return {name: variables["ansible_host"] for name, variables in groups["servers"]["hosts"].items()}


def _snapshots(lab: Lab) -> dict[str, str]:
    def snapshot(address: str) -> str:
        command = ["ssh", *inventory.ssh_options(lab), "-i", str(lab.key), f"root@{address}", SNAPSHOT]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    servers = _servers(lab)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return dict(zip(servers, pool.map(snapshot, servers.values()), strict=True))


def _account(before: dict[str, str], after: dict[str, str], example: dict[str, Any]) -> list[str]:
    wanted = {
        f"{key.replace('.', '/')}:{' '.join(str(value).split())}" for key, value in example["tune_sysctl"].items()
    }
    stories: dict[str, list[str]] = {}
    for server, text in after.items():
        live = {" ".join(line.split()) for line in text.splitlines()}
        persisted = any(line.startswith("/etc/sysctl.d/90-nettune.conf ") for line in text.splitlines())
        pending = any(".trial.conf" in line for line in text.splitlines())
        if text == before[server]:
            story = "as before, byte for byte (/proc/sys/net, /etc/sysctl.d, /run/sysctl.d)"
        elif wanted <= live and persisted and not pending:
            story = "on the new set, persisted in /etc/sysctl.d/90-nettune.conf"
        else:
            story = "NEITHER OLD NOR NEW"
        stories.setdefault(story, []).append(server)
    return [f"{', '.join(servers)}: {story}" for story, servers in stories.items()]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (subprocess.CalledProcessError, load.LoadError) as problem:
        print(f"lab: {problem}", file=sys.stderr)
        sys.exit(1)
