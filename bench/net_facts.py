# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long net_facts takes on a host: its own time, without Ansible's start and transport.

Measures here, which only reads, and in a network namespace with many sockets, which is made for it and goes with it.
Target: under 150 ms. Run it with the interpreter to measure; anything from Python 3.6 on.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "playbooks", "collections"))
sys.dont_write_bytecode = True

START = time.perf_counter()
from ansible_collections.nettune.kernel.plugins.module_utils._net_facts import SUBSETS, collect  # noqa: E402

IMPORT_MS = 1000 * (time.perf_counter() - START)
PER_ADDRESS = 20000  # Ports to connect from, to each loopback address.


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--sockets", type=int, default=20000, help="connections to leave in TIME_WAIT (as root)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        spend(arguments.sockets)
        measure(f"after {arguments.sockets} connections", "all", arguments.rounds)
        return
    print(f"Python {sys.version.split()[0]}, Linux {os.uname().release}, imports {IMPORT_MS:.1f} ms", flush=True)
    for subset in SUBSETS:
        measure(f"this host, subset={subset}", subset, arguments.rounds)
    if arguments.sockets and os.geteuid() == 0:
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        again = [sys.executable, __file__, "--inside", f"--rounds={arguments.rounds}", f"--sockets={arguments.sockets}"]
        subprocess.check_call(namespaces + again)


def measure(what, subset, rounds):
    times = []
    for _round in range(rounds):
        start = time.perf_counter()
        facts = collect(subset)
        times.append(1000 * (time.perf_counter() - start))
    figures = f"min {min(times):6.1f}  median {statistics.median(times):6.1f}  max {max(times):6.1f} ms"
    print(f"{what:28}{figures}  ({rounds} runs, {len(facts.get('sysctl', ()))} keys, {states(facts)})", flush=True)


def states(facts):
    return (facts.get("sockets") or {}).get("tcp", "sockets not read")


def spend(count):
    """Leaves so many connections in TIME_WAIT: the accepting side closes first."""
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as stream:
        stream.write("10000 65000")
    with socket.socket() as server:
        server.bind(("0.0.0.0", 80))
        server.listen(128)
        for number in range(count):
            address = f"127.0.0.{1 + number // PER_ADDRESS}"
            with socket.create_connection((address, 80)):
                server.accept()[0].close()


if __name__ == "__main__":
    main()
