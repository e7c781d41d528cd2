# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible inventory of a lab."""

from __future__ import annotations

import shlex
from typing import Any

import yaml
from state import Lab
from topology import Topology

# What OpenSSH 9 takes by itself guards what is recorded today from machines to come, for 0.1 s of CPU at each end.
KEY_EXCHANGE = "curve25519-sha256"


def ssh_options(lab: Lab) -> list[str]:
    """Nothing of the user's own ssh settings, keys and known hosts takes part."""
    options = {
        "UserKnownHostsFile": lab.known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "ConnectTimeout": 10,
        "KexAlgorithms": KEY_EXCHANGE,
    }
    return ["-F", "/dev/null", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]


def render(lab: Lab, topology: Topology, addresses: dict[str, str], python: str) -> str:
    groups: dict[str, Any] = {}
    for host in topology.hosts:
        group = groups.setdefault(host.group, {"hosts": {}})
        group["hosts"][host.name] = {"ansible_host": addresses[host.name]}
    for name, variables in topology.group_vars.items():
        groups[name]["vars"] = variables
    connection = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": shlex.join(ssh_options(lab)),
        "ansible_control_path_dir": str(lab.control_directory),
        "ansible_python_interpreter": python,
    }
    head = f"# Lab {lab.name}: {topology.summary}. Made by lab/lab.py, gone when the lab goes down.\n"
    return head + yaml.safe_dump({"all": {"vars": connection, "children": groups}}, sort_keys=False, width=200)
