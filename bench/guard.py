# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard costs a host, and how fast it is. Root, namespaces of its own.

Targets: under 0.2 % of a core and 20 MiB; old values within two seconds of the evidence. A day is 86,400 looks of the
same code without the waiting in between.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("playbooks/collections", "tests/support"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))
sys.dont_write_bytecode = True

from ansible_collections.nettune.kernel.plugins.module_utils import _guard, _guard_process, _trial  # noqa: E402
from rejects import make_one  # noqa: E402
from trials import start_arguments  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=30, help="how long to watch a guard at work")
    parser.add_argument("--looks", type=int, default=86400, help="looks in a row; a day has 86400")
    parser.add_argument("--bursts", type=int, default=10, help="how often to make rejects rise")
    parser.add_argument("--inside", choices=["cost", "reaction"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        print(f"Python {sys.version.split()[0]}, Linux {os.uname().release}", flush=True)
        in_namespaces("cost", f"--seconds={arguments.seconds}", f"--looks={arguments.looks}", stdout=None)
        # A host of its own each time: what was rejected before counts as the host's habit.
        seconds = [float(in_namespaces("reaction")) for _burst in range(arguments.bursts)]
        figures = f"{min(seconds):.2f} / {statistics.median(seconds):.2f} / {max(seconds):.2f} s"
        print(f"20 rejects a second, {len(seconds)} times: old values {figures} after the first (min / median / max)")
        return
    trials = _trial.Trials()
    trials.start(**start_arguments({"net.ipv4.tcp_fin_timeout": "20"}, confirm_within=80000))
    if arguments.inside == "reaction":
        print(reaction_seconds(trials))
        return
    watch_process(trials, arguments.seconds)
    watch_a_day(trials, arguments.looks)
    trials.roll_back("the bench is over")


def in_namespaces(what, *options, stdout=subprocess.PIPE):
    private = 'mount -t tmpfs t /run; mount -t tmpfs t /var/lib; mount -t tmpfs t /etc/sysctl.d; exec "$@"'
    namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    again = [sys.executable, __file__, f"--inside={what}", *options]
    return subprocess.run([*namespaces, "sh", "-c", private, "sh", *again], check=True, stdout=stdout, text=True).stdout


def watch_process(trials, seconds):
    pids = subprocess.check_output(["pgrep", "-f", _guard_process.ARCHIVE]).split()
    before = sum(map(cpu_seconds, pids))
    began = time.monotonic()
    time.sleep(seconds)
    share = 100 * (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - began)
    own = [proportional_kib(pid) / 1024 for pid in pids]
    print(
        f"at work for {seconds} s: {share:.3f} % of a core; {sum(own):.1f} MiB in {len(own)} processes (proportional)"
    )


def watch_a_day(trials, looks):
    guard = _guard.Guard(trials, trials.pending()["id"])
    marks = []
    began = time.process_time()
    for look in range(looks):
        assert guard.step(), "the trial ended"
        if look in (looks // 10, looks - 1):
            marks.append(
                (proportional_kib(os.getpid()) / 1024, os.path.getsize(trials.state.path(_guard_process.SAMPLES)))
            )
    each = 1e6 * (time.process_time() - began) / looks
    (early, _size), (late, size) = marks
    print(
        f"{looks} looks in a row: {each:.0f} us each; {early:.1f} MiB after a tenth, {late:.1f} MiB at the end",
        end="; ",
    )
    print(f"samples take {size / 1048576:.1f} MiB on disk")


def reaction_seconds(trials):
    """From the first of twenty rejects a second, which this process makes on loopback, to the old values."""
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    server = socket.create_server(("127.0.0.1", 0))
    kept = []
    began = time.monotonic()
    while trials.pending():
        kept.append(make_one(server))
        assert time.monotonic() - began < 30, "the guard did not react"
        time.sleep(0.05)
    return time.monotonic() - began


def cpu_seconds(pid):
    with open(f"/proc/{int(pid)}/schedstat") as stream:
        return int(stream.read().split()[0]) / 1e9


def proportional_kib(pid):
    with open(f"/proc/{int(pid)}/smaps_rollup") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
