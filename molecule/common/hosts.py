# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scenarios' tests ask of hosts, and do to them."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import time

import testinfra

ROOT = pathlib.Path(__file__).resolve().parents[2]
EPHEMERAL = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = EPHEMERAL / "lab.yml"
STATE = pathlib.Path(__file__).with_name("state.sh").read_text(encoding="utf-8")


def group(name):
    """The hosts of a group, by name."""
    hosts = testinfra.get_hosts([f"ansible://{name}"], ansible_inventory=str(INVENTORY))
    return {name_of(host): host for host in hosts}


def name_of(host):
    return host.backend.get_pytest_id().removeprefix("ansible://")


def state(host):
    """Everything that a rollout can change, a line each."""
    return host.check_output(STATE).splitlines()


def state_before(host):
    """The same, as it was when the scenario began."""
    return (EPHEMERAL / f"{name_of(host)}.before").read_text(encoding="utf-8").splitlines()


def sysctl(host, key):
    return host.file("/proc/sys/" + key.replace(".", "/")).content_string.strip()


def counters(host):
    """The counters of /proc/net/netstat and /proc/net/snmp by name; a name that is absent does not exist there."""
    lines = host.check_output("cat /proc/net/netstat /proc/net/snmp").splitlines()
    found = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found.update(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
    return found


def on_trial(host):
    return host.run("ls /run/sysctl.d 2> /dev/null").stdout.strip() != ""


def outcomes(host):
    """How the trials of a host ended, newest first."""
    module = ["-m", "nettune.kernel.sysctl_trial_info"]
    command = ["ansible", name_of(host), "--one-line", "--inventory", INVENTORY, *module]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(said.partition("=>")[2])["history"]


def start_rollout(*arguments):
    """A rollout that goes on by itself, in a process group of its own."""
    command = ["ansible-playbook", ROOT / "playbooks" / "tune.yml", "--inventory", INVENTORY]
    command += ["--extra-vars", f"tune_report_dir={EPHEMERAL}/reports", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_for(what, condition, seconds):
    """What the condition gives once it is true; a failure where it is not in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.3)
