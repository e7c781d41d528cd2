# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a set that does nothing is promoted on hosts that have rejects and slow connects of their own.

    python bench/noise.py [--runs N] [--seed N] [--jobs N] [--records FOLDER] [--quick]

Each run rolls a keepalive time, which no short connection feels, out through all waves of a lab nat_front of its own.
The clients there share the few ports of a NAT: timestamps are rejected all the time, and connects are slow or fail. A
seed draws how many come to each server, and in which bursts. Needs root (it brings labs up) and the environment of
`make test`. Exits with 1 where a run was not promoted.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "lab"))

import load  # noqa: E402
from state import Lab  # noqa: E402

LAB = [sys.executable, str(ROOT / "lab" / "lab.py")]
SERVERS = 4
CONNECTS_BEFORE = 40  # to each server; by then ports come again
MOST_SECONDS_BEFORE = 120  # where the seed draws few connects to one of them
ROLLOUT = {
    "tune_hosts": "servers",
    "tune_sysctl": {"net.ipv4.tcp_keepalive_time": 601},
    "tune_waves": [1, "100%"],
    "tune_soak": 16,
    "tune_look_every": 2,
    "tune_baseline": 5,
    "tune_probe_port": 80,
    "tune_observers": ["clients"],
}
# With more connects a second, so that a short soak has enough of them.
QUICK = {"tune_soak": 8, "tune_baseline": 3, "tune_probe_rate": 5}
INTERRUPTED = "no verdict"


class Run(NamedTuple):
    seed: int
    seconds: float
    output: str
    waves: list[dict[str, Any]]  # of its record
    confirmed: bool

    @property
    def verdict(self) -> str:
        if self.confirmed:
            return "promote"
        return (self.waves[-1]["verdict"] if self.waves else None) or INTERRUPTED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each has the next one")
    parser.add_argument("--jobs", type=int, default=2, help="labs side by side")
    parser.add_argument("--records", type=pathlib.Path, help="keep the reports in this folder")
    parser.add_argument("--quick", action="store_true", help="a short soak, for tests")
    options = parser.parse_args()
    pace = {**ROLLOUT, **QUICK} if options.quick else ROLLOUT
    print(f"{options.runs} runs, soaks of {pace['tune_soak']} s, {os.cpu_count()} cores, Linux {os.uname().release}")
    print("of the hosts in all waves: timestamp rejects and connections of others; of the clients: slow or failed")
    print("connects of their own; the test that came nearest to its limit, in hundredths of the way there")
    headings = f"{'seed':>6}{'verdict':>14}{'seconds':>9}{'rejects':>9}{'opens':>7}{'slow':>6}{'opens':>7}  nearest"
    print(headings, flush=True)
    ended: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        reports = (options.records or pathlib.Path(folder)).resolve()
        seeds = range(options.seed, options.seed + options.runs)
        runs = [pool.submit(run, seed, pace, reports) for seed in seeds]
        for done in concurrent.futures.as_completed(runs):
            one = done.result()
            ended[one.verdict] += 1
            print(line(one), flush=True)
            if not one.confirmed:
                print(f"\n{one.output}\n", flush=True)
    print(f"promoted in {ended['promote']} of {options.runs} runs; verdicts: {dict(ended)}")
    return 0 if ended["promote"] == options.runs else 1


def run(seed: int, pace: dict[str, Any], reports: pathlib.Path) -> Run:
    instance = f"noise{os.getpid()}-{seed}"
    lab = ["nat_front", "--instance", instance]
    began = time.monotonic()
    try:
        call([*LAB, "up", *lab, "--hosts", str(SERVERS), "--bound-to", str(os.getpid())])
        call([*LAB, "load", *lab[:1], "start", *lab[1:], "--seed", str(seed)])
        up = Lab(f"nat_front.{instance}")
        load.wait_for(up, CONNECTS_BEFORE, MOST_SECONDS_BEFORE)
        status, output = roll_out(up.inventory, {**pace, **variables(up, seed, reports)})
    except (load.LoadError, subprocess.CalledProcessError) as problem:
        status, output = 1, f"{problem}"
    finally:
        call([*LAB, "down", *lab])
    record = reports / f"noise-{seed}.json"
    waves = json.loads(record.read_text(encoding="utf-8"))["waves"] if record.exists() else []
    return Run(seed, time.monotonic() - began, output, waves, status == 0)


def call(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def variables(lab: Lab, seed: int, reports: pathlib.Path) -> dict[str, Any]:
    """Connections are opened by the controller, past the NAT, and by the clients, through it."""
    spec = json.loads((lab.load / "spec.json").read_text(encoding="utf-8"))
    through = [
        {"name": server, "host": address, "port": spec["port"], "type": "http", "rate": 2, "from": ["observers"]}
        for server, address in spec["targets"].items()
    ]
    names = {"tune_rollout_id": f"noise-{seed}", "tune_report_dir": str(reports)}
    return {**names, "tune_probes": [{"each": True}, *through]}


def roll_out(inventory: pathlib.Path, variables: dict[str, Any]) -> tuple[int, str]:
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "nettune.kernel.rollout", "ANSIBLE_NOCOLOR": "1"}
    playbook = pathlib.Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [str(playbook), "playbooks/tune.yml", "-i", str(inventory), "-e", json.dumps(variables)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def line(one: Run) -> str:
    tests = [test for wave in one.waves for test in (wave["figures"] or {}).get("tests", [])]
    rejects = [test for test in tests if (test["group"], test["kind"]) == ("timestamp_rejects", "wave")]
    slow = [test for test in tests if (test["group"], test["kind"]) == ("slow_connects", "probe")]
    nearest = max(tests, key=lambda test: test["share"], default=None)
    counts = [sum(test[what] for test in some) for some in (rejects, slow) for what in ("events", "opens")]
    figures = f"{counts[0]:>9}{counts[1]:>7}{counts[2]:>6}{counts[3]:>7}"
    told = f"{100 * nearest['share']:.0f}: {nearest['group']} of {nearest['subject']}" if nearest else ""
    return f"{one.seed:>6}{one.verdict:>14}{one.seconds:>9.0f}{figures}  {told}"


if __name__ == "__main__":
    sys.exit(main())
