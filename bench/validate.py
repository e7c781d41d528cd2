# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the engine takes a host, on one core: 60 keys against many stored hosts, no two of them alike.

    python bench/validate.py [hosts ...]

Without numbers: 1,000, 3,000 and 10,000 hosts, to see whether time and memory grow with them. What is timed is
validate() alone: making up the hosts is not. It is CPU time, so other work on the machine disturbs it little.
"""

from __future__ import annotations

import json
import multiprocessing
import pathlib
import random
import resource
import sys
import time
from collections import Counter
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "playbooks" / "collections"))

from ansible_collections.nettune.kernel.plugins.plugin_utils import parameters  # noqa: E402
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import validate  # noqa: E402

FACTS = ROOT / "examples" / "facts"
TARGET_MS = 1.0

# Sixty keys as a large set has them: most of them fine, some that depend on the host, some that are folklore.
SET: dict[str, Any] = {
    "fs.file-max": 2097152,
    "kernel.sysrq": 0,
    "net.core.default_qdisc": "fq",
    "net.core.netdev_budget": 600,
    "net.core.netdev_max_backlog": 16384,
    "net.core.optmem_max": 131072,
    "net.core.rmem_default": 212992,
    "net.core.rmem_max": 16777216,
    "net.core.somaxconn": 8192,
    "net.core.wmem_default": 212992,
    "net.core.wmem_max": 16777216,
    "net.ipv4.conf.all.accept_redirects": 0,
    "net.ipv4.conf.all.accept_source_route": 0,
    "net.ipv4.conf.all.arp_announce": 2,
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.all.log_martians": 1,
    "net.ipv4.conf.all.rp_filter": 2,
    "net.ipv4.conf.all.secure_redirects": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.accept_redirects": 0,
    "net.ipv4.conf.default.rp_filter": 2,
    "net.ipv4.conf.eth0.rp_filter": 1,
    "net.ipv4.icmp_echo_ignore_broadcasts": 1,
    "net.ipv4.icmp_ignore_bogus_error_responses": 1,
    "net.ipv4.ip_forward": 0,
    "net.ipv4.ip_local_port_range": "10240 60999",
    "net.ipv4.ip_local_reserved_ports": "11211,20000-20010",
    "net.ipv4.neigh.default.gc_thresh1": 1024,
    "net.ipv4.neigh.default.gc_thresh2": 4096,
    "net.ipv4.neigh.default.gc_thresh3": 8192,
    "net.ipv4.tcp_abort_on_overflow": 0,
    "net.ipv4.tcp_congestion_control": "cubic",
    "net.ipv4.tcp_ecn": 2,
    "net.ipv4.tcp_fastopen": 1,
    "net.ipv4.tcp_fin_timeout": 30,
    "net.ipv4.tcp_keepalive_intvl": 30,
    "net.ipv4.tcp_keepalive_probes": 5,
    "net.ipv4.tcp_keepalive_time": 600,
    "net.ipv4.tcp_max_orphans": 262144,
    "net.ipv4.tcp_max_syn_backlog": 8192,
    "net.ipv4.tcp_max_tw_buckets": 262144,
    "net.ipv4.tcp_mem": "786432 1048576 1572864",
    "net.ipv4.tcp_moderate_rcvbuf": 1,
    "net.ipv4.tcp_mtu_probing": 1,
    "net.ipv4.tcp_no_metrics_save": 1,
    "net.ipv4.tcp_notsent_lowat": 131072,
    "net.ipv4.tcp_orphan_retries": 3,
    "net.ipv4.tcp_retries2": 8,
    "net.ipv4.tcp_rmem": "4096 131072 16777216",
    "net.ipv4.tcp_sack": 1,
    "net.ipv4.tcp_slow_start_after_idle": 0,
    "net.ipv4.tcp_syn_retries": 3,
    "net.ipv4.tcp_synack_retries": 2,
    "net.ipv4.tcp_syncookies": 1,
    "net.ipv4.tcp_timestamps": 1,
    "net.ipv4.tcp_tw_reuse": 1,
    "net.ipv4.tcp_window_scaling": 1,
    "net.ipv4.tcp_wmem": "4096 65536 16777216",
    "net.netfilter.nf_conntrack_max": 1048576,
    "net.netfilter.nf_conntrack_tcp_timeout_established": 86400,
}

KERNELS = (
    ("2.6.32-754.el6.x86_64", "centos"),
    ("3.10.0-1160.el7.x86_64", "centos"),
    ("4.18.0-553.el8_10.x86_64", "rhel"),
    ("4.19.0-27-amd64", "debian"),
    ("5.4.0-200-generic", "ubuntu"),
    ("5.10.0-33-amd64", "debian"),
    ("5.14.0-503.el9.x86_64", "rocky"),
    ("6.1.0-28-amd64", "debian"),
    ("6.8.0-49-generic", "ubuntu"),
    ("6.12.8", "fedora"),
    ("6.18.44", "debian"),
)
FRONTS = ("none", "nat", "lvs_dr", "lvs_nat", "lvs_tun", "l7")
ROLES = ("server", "l7_proxy", "database", "nat_gateway", "kubernetes_node")


class Measured(NamedTuple):
    hosts: int
    seconds: float
    findings: int
    rejected: int
    # Peak of the whole process, which starts anew for each number of hosts.
    mebibytes: float


def stored_host(number: int, tree: dict[str, str], file_text: str) -> dict[str, Any]:
    """Facts that are the same in every run, and not those of any other number."""
    chance = random.Random(number)
    release, vendor = chance.choice(KERNELS)
    interfaces = [f"eth{index}" for index in range(chance.randint(1, 6))]
    # One host in ten lacks what a module or an option of its kernel would bring.
    lacking = set(chance.sample(sorted(tree), len(tree) // 50)) if chance.random() < 0.1 else set()
    sysctl = {key: value for key, value in tree.items() if key not in lacking}
    for name in interfaces:
        for key, value in tree.items():
            prefix, conf, leaf = key.rpartition(".default.")
            if conf and prefix in ("net.ipv4.conf", "net.ipv4.neigh"):
                sysctl[f"{prefix}.{name}.{leaf}"] = value
    sysctl["net.core.somaxconn"] = str(128 + number)
    return {
        "kernel": {"release": release, "vendor": vendor},
        "memory_bytes": chance.randint(1, 512) << 30,
        "page_size": 4096,
        "cpus": chance.choice((2, 4, 16, 64)),
        "interfaces": [
            {
                "name": name,
                "mtu": chance.choice((1500, 9000)),
                "speed_mbps": chance.choice((None, 1000, 10000, 25000)),
                "state": "up",
                "addresses": [f"10.{number >> 8 & 255}.{number & 255}.{index + 1}/24"],
            }
            for index, name in enumerate(interfaces)
        ],
        "sysctl": sysctl,
        "sysctl_complete": chance.random() > 0.2,
        "sockets": {"tcp": {"ESTABLISHED": chance.randint(0, 50000), "TIME_WAIT": chance.randint(0, 50000)}},
        "listeners": [
            {"protocol": "tcp", "address": "0.0.0.0", "port": port, "backlog": chance.choice((128, 511, 4096))}
            for port in chance.sample(range(1, 65536), chance.randint(1, 20))
        ],
        "service_manager": "systemd",
        "virtualization": {"container": None, "own_network_namespace": False},
        "sysctl_files": [
            {"path": path, "name": path.rpartition("/")[2], "text": file_text + f"kernel.panic = {number % 10}\n"}
            for path in ("/usr/lib/sysctl.d/50-default.conf", "/etc/sysctl.d/99-site.conf", "/etc/sysctl.conf")
        ],
        "topology": {
            "front": {"value": chance.choice(FRONTS), "confidence": "certain", "evidence": []},
            "role": [{"value": chance.choice(ROLES), "confidence": "certain", "evidence": []}],
        },
    }


def measure(hosts: int) -> Measured:
    gateway = json.loads((FACTS / "kernel-6.18-nat-gateway.json").read_text())
    tree: dict[str, str] = gateway["sysctl"]
    file_text = "# As a distribution ships it.\nnet.ipv4.conf.*.rp_filter = 2\nnet.ipv4.tcp_syncookies = 1\n"
    spent, findings, rejected = 0.0, 0, 0
    for number in range(hosts):
        facts = stored_host(number, tree, file_text)
        began = time.process_time()
        result = validate(f"host{number}", facts, sysctl=SET)
        spent += time.process_time() - began
        findings += len(result.findings)
        rejected += result.rejected
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(hosts, spent, findings, rejected, peak)


def check_that_hosts_differ() -> None:
    tree = {"net.core.somaxconn": "4096"}
    kernels = Counter(stored_host(number, tree, "")["kernel"]["release"] for number in range(1000))
    texts = {json.dumps(stored_host(number, tree, "")) for number in range(1000)}
    assert len(texts) == 1000
    assert len(kernels) == len(KERNELS)


def main() -> int:
    assert len(SET) == 60, len(SET)
    check_that_hosts_differ()
    counts = [int(argument) for argument in sys.argv[1:]] or [1000, 3000, 10000]
    began = time.process_time()
    parameters.catalogue()
    validate("first", {"kernel": {"release": "6.1.0"}}, sysctl=SET)
    print(f"once: {time.process_time() - began:.2f} s to read the catalogue and the rules")
    # A process each, so that the peak of one does not hide that of another; forked, so that it starts warm.
    context = multiprocessing.get_context("fork")
    measured = []
    for count in counts:
        with context.Pool(1) as pool:
            one = pool.apply(measure, (count,))
        measured.append(one)
        print(
            f"{one.hosts} hosts, {len(SET)} keys: {1000 * one.seconds / one.hosts:.2f} ms a host, "
            f"{one.hosts / one.seconds:.0f} hosts a second, {one.mebibytes:.0f} MiB at most; "
            f"{one.findings / one.hosts:.1f} findings a host, {one.rejected} hosts reject"
        )
    first, last = measured[0], measured[-1]
    slope = (last.seconds / last.hosts) / (first.seconds / first.hosts)
    print(
        f"{last.hosts / first.hosts:.0f} times the hosts: {slope:.2f} times the time a host, "
        f"{last.mebibytes / first.mebibytes:.2f} times the memory"
    )
    milliseconds = 1000 * last.seconds / last.hosts
    print(
        f"target {TARGET_MS:.0f} ms a host: {'met' if milliseconds < TARGET_MS else f'missed, {milliseconds:.2f} ms'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
