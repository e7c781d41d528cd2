# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action in a playbook, with facts of a real host, and what its user reads."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
GATEWAY = "kernel-6.18-nat-gateway.json"
ACTION = "nettune.kernel.sysctl_validate"
MODERN = {"kernel": {"release": "6.1.0"}}


def play(
    folder: pathlib.Path, tasks: list[dict[str, Any]], *options: str, host: Any = None
) -> subprocess.CompletedProcess[str]:
    """Runs the tasks here, or on a throw-away host whose facts nobody else changes meanwhile."""
    book = folder / "play.yml"
    book.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    program = str(pathlib.Path(sys.executable).parent / "ansible-playbook")
    command = [program, "-i", "web1,", "-c", "local", str(book), *options]
    return subprocess.run(
        command if host is None else host.command(command),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
    )


def test_facts_of_the_host_and_check_mode(tmp_path: pathlib.Path, netns: Any) -> None:
    tasks: list[dict[str, Any]] = [
        {"nettune.kernel.net_facts": {}},
        {
            ACTION: {
                "sysctl": {"net.ipv4.tcp_fin_timeout": "{{ 10 + 20 }}", "net/ipv4/tcp_keepalive_time": 600},
                "topology": {"role": ["l7_proxy"], "clients_behind_nat": "unknown"},
                "reasons": {"net.ipv4.tcp_fin_timeout": "orphans"},
            },
            "register": "review",
        },
        {
            "ansible.builtin.assert": {
                "that": [
                    "review is not changed",
                    "review.verdict == 'accepted'",
                    "review.plan | map(attribute='key') == ['net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_time']",
                    "review.plan | map(attribute='proposed') == ['30', '600']",
                    "review.plan[0].now == ansible_facts.nettune.sysctl['net.ipv4.tcp_fin_timeout']",
                    "review.plan[0].after_boot is not none",
                    "review.plan[0].why == 'orphans'",
                ]
            }
        },
    ]
    for options in ((), ("--check", "--diff")):
        done = play(tmp_path, tasks, *options, host=netns)
        assert done.returncode == 0, done.stdout + done.stderr


def test_review_of_a_file(tmp_path: pathlib.Path) -> None:
    tasks: list[dict[str, Any]] = [
        {
            ACTION: {
                "sysctl_conf": f"{{{{ lookup('ansible.builtin.file', '{EXAMPLES}/seeds/003_everything.conf') }}}}",
                "facts": f"{{{{ lookup('ansible.builtin.file', '{EXAMPLES}/facts/{GATEWAY}') | from_json }}}}",
                "topology": {"role": ["nat_gateway"]},
            },
            "register": "review",
            "ignore_errors": True,
        },
        {"ansible.builtin.assert": {"that": ["review is failed", "review.plan | length == 33", "review.waived == []"]}},
    ]
    done = play(tmp_path, tasks)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "web1: the sysctl set is rejected" in done.stdout + done.stderr
    assert "927000000 pages are 3.5 TiB; this host has 16 GiB" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"sysctl": {"net.core.somaxconn": 1}},
            "web1: there are no facts with a kernel.release of it: run nettune.kernel.net_facts first",
        ),
        ({"sysctl": {}, "facts": MODERN}, "The sysctl set is empty."),
        (
            {"sysctl": {"net.core.somaxconn": {"a": 1}}, "facts": MODERN},
            "The value of net.core.somaxconn is a dictionary.",
        ),
        ({"sysctl": {"net.ipv4/../../kernel.core_pattern": 1}, "facts": MODERN}, "error form.invalid_key"),
        ({"sysctl": {"net.core.somaxconn": "1\n2"}, "facts": MODERN}, "is not one printable line"),
        (
            {"sysctl": {"a.b": 1}, "facts": MODERN, "topology": {"front": "nit"}},
            "web1: topology.front 'nit' is unknown",
        ),
        ({"sysctl": {"a.b": 1}, "facts": MODERN, "sysctls": 1}, "web1: there is no argument sysctls"),
        (
            {"sysctl_conf": "net.core.somaxconn 4096", "facts": MODERN},
            "line 1: 'net.core.somaxconn 4096' is not a setting",
        ),
    ],
    ids=["no facts", "empty", "dictionary", "path", "newline", "topology", "argument", "line"],
)
def test_bad_input_gets_one_clear_error(arguments: dict[str, Any], sentence: str, tmp_path: pathlib.Path) -> None:
    done = play(tmp_path, [{ACTION: arguments}])
    output = done.stdout + done.stderr
    assert done.returncode == 2
    assert sentence in output
    assert "Traceback" not in output
