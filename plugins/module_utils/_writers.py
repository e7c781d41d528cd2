# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Others that write network sysctls, by what they leave on the host. Their presence, not that they wrote anything."""

import glob
import os
import re

from ._files import read_text

# Writers that are known by their process, under the name that /proc/PID/comm shows (15 characters at most).
PROCESSES = {
    "tuned": "tuned",
    "NetworkManager": "NetworkManager",
    "dockerd": "docker",
    "kubelet": "kubelet",
    "kube-proxy": "kube-proxy",
    "k3s-server": "k3s",
    "firewalld": "firewalld",
    "bpftune": "bpftune",
    "cilium-agent": "cilium",
    "calico-node": "calico",
}
_PATHS = (
    ("NetworkManager", "/run/NetworkManager"),
    ("docker", "/run/docker.sock"),
    ("kubelet", "/var/lib/kubelet/config.yaml"),
    ("firewalld", "/run/firewalld"),
    ("cloud-init", "/run/cloud-init/status.json"),
    ("cni", "/etc/cni/net.d/*.conf*"),
)


def find(processes):
    """[{name, evidence}]. processes: {process name: pid}."""
    evidence = {}
    profile = (read_text("/etc/tuned/active_profile") or "").strip()
    if profile:
        evidence.setdefault("tuned", []).append("/etc/tuned/active_profile: %s" % profile)
    if re.search(r"^ENABLED=yes", read_text("/etc/ufw/ufw.conf") or "", re.MULTILINE):
        evidence.setdefault("ufw", []).append("/etc/ufw/ufw.conf: ENABLED=yes")
    for name, pattern in _PATHS:
        for path in sorted(glob.glob(pattern))[:1] if "*" in pattern else [pattern] * os.path.exists(pattern):
            evidence.setdefault(name, []).append(path)
    for process, pid in sorted(processes.items()):
        if process in PROCESSES:
            evidence.setdefault(PROCESSES[process], []).append("process %d (%s)" % (pid, process))
    return [{"name": name, "evidence": "; ".join(seen)} for name, seen in sorted(evidence.items())]
