# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long validation takes a host: a set of 60 keys against many different hosts, on one core.

    PYTHONPATH=playbooks/collections python bench/validate.py [hosts]
"""

from __future__ import annotations

import json
import pathlib
import resource
import sys
import time
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils import parameters
from ansible_collections.nettune.kernel.plugins.plugin_utils.validation import validate

FACTS = pathlib.Path(__file__).resolve().parents[1] / "examples" / "facts"
KEYS = 60


def host(number: int, stored: list[dict[str, Any]]) -> dict[str, Any]:
    """One of the stored hosts, made different in kernel, memory and values."""
    facts = dict(stored[number % len(stored)])
    release = facts["kernel"]["release"]
    facts["kernel"] = {**facts["kernel"], "release": f"{release}-{number % 97}"}
    facts["memory_bytes"] = (1 + number % 64) << 30
    facts["sysctl"] = {**facts["sysctl"], "net.core.somaxconn": str(128 + number)}
    return facts


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    stored = [json.loads(path.read_text()) for path in sorted(FACTS.glob("*.json"))]
    gateway = next(facts for facts in stored if facts.get("sysctl_complete"))
    catalogue = parameters.catalogue()
    writable = [
        (key, value)
        for key, value in gateway["sysctl"].items()
        if key.startswith(("net.ipv4.tcp_", "net.core.")) and not getattr(catalogue.find(key), "read_only", True)
    ]
    sysctl = dict(writable[:KEYS])
    assert len(sysctl) == KEYS
    spent = 0.0
    findings = 0
    for number in range(count):
        facts = host(number, stored)
        began = time.perf_counter()
        result = validate(f"host{number}", facts, sysctl=sysctl, declared_topology={"front": "lvs_dr"})
        spent += time.perf_counter() - began
        findings += len(result.findings)
        if number + 1 in (count // 10, count):
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(
                f"{number + 1} hosts, {KEYS} keys: {1000 * spent / (number + 1):.2f} ms a host, "
                f"{(number + 1) / spent:.0f} hosts a second, {memory} MiB at most"
            )
    print(f"{findings} findings")


if __name__ == "__main__":
    main()
