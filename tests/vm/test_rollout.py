# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rollout over machines of which no two have the same kernel, from the first refusal to the last rollback."""

from __future__ import annotations

import concurrent.futures
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import BROUGHT, KERNELS, Machine
from .rollouts import Rollouts

# Each key with a kernel that has it: a host's own set is what its kernel knows of these.
PROPOSED = {
    "net.ipv4.tcp_fin_timeout": "30",
    "net.ipv4.tcp_child_ehash_entries": "4096",  # from 6.1 on
    "net.ipv4.tcp_plb_rehash_rounds": "10",  # from 6.2 on
}
FILE = "/etc/sysctl.d/90-nettune.conf"
# Whatever a rollout that touched the host would have left there.
TRACES = "find /etc/sysctl.d /run/sysctl.d /var/lib/nettune -name '*nettune*' 2>/dev/null"


class Fleet:
    def __init__(self, machines: list[Machine], missing: list[str], directory: pathlib.Path) -> None:
        self.missing = missing
        self.machines = {machine.host: machine for machine in machines}
        self.before = self.values()
        self.sets = {host: {key: PROPOSED[key] for key in known} for host, known in self.before.items()}
        hosts = {host: {"own_set": own} for host, own in self.sets.items()}
        self.rollouts = Rollouts(machines, directory, {"hosts": hosts, "vars": {"tune_sysctl": "{{ own_set }}"}})

    def values(self) -> dict[str, dict[str, str]]:
        """Of each host, those of the keys that its kernel has."""
        return {host: values_of(machine) for host, machine in self.machines.items()}

    def traces(self) -> dict[str, str]:
        return {host: machine.output(TRACES) for host, machine in self.machines.items()}


def values_of(machine: Machine) -> dict[str, str]:
    lines = machine.output(["sysctl", "--ignore", *PROPOSED]).splitlines()
    return dict(line.split(" = ") for line in lines)


@pytest.fixture(scope="module")
def fleet(new_machine: Callable[[str, str], Machine], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A machine of each kernel that can be had here, all started at once; three, also with one that was brought."""
    kernels = [BROUGHT, KERNELS[0], KERNELS[-1]] if BROUGHT else KERNELS
    machines, missing = [], []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for starting in [pool.submit(new_machine, kernel, "fleet") for kernel in kernels]:
            try:
                machines.append(starting.result())
            except pytest.skip.Exception as reason:
                missing.append(str(reason))
    by_release = {machine.release: machine for machine in machines}
    if len(by_release) < 2:
        pytest.skip(f"a rollout over several kernels needs two: {'; '.join(missing)}")
    return Fleet([*by_release.values()], missing, tmp_path_factory.mktemp("rollouts"))


def test_what_a_kernel_lacks_is_refused_before_any_host_is_touched(fleet: Fleet, tell: Callable[[str], None]) -> None:
    releases = sorted(machine.release for machine in fleet.machines.values())
    tell("; ".join([f"rollout over kernels {', '.join(releases)}", *fleet.missing]))
    done = fleet.rollouts.run("tune", {"tune_sysctl": PROPOSED})
    assert done.returncode != 0
    for key in PROPOSED:
        lacking = [host for host, own in fleet.sets.items() if key not in own]
        if lacking:
            # One line for all of them, with the kernel of the first.
            release = fleet.machines[lacking[0]].release
            assert f"{', '.join(lacking)}: error kernel.not_yet_there: {key} = " in done.stdout
            assert f"{key} = {PROPOSED[key]}: kernel {release} does not have it yet" in done.stdout
    assert fleet.values() == fleet.before
    assert set(fleet.traces().values()) == {""}


def test_each_kernel_gets_its_own_set_and_is_among_the_canaries(fleet: Fleet) -> None:
    variables: dict[str, Any] = {
        "tune_rollout_id": "kernels",
        "tune_strata": ["kernel.release"],
        "tune_waves": [1, "100%"],  # the first one grows until it holds one of each kind
        "tune_on_inconclusive": "promote",  # nobody connects to them
    }
    done = fleet.rollouts.run("tune", variables)
    assert done.returncode == 0

    record = fleet.rollouts.record("kernels")
    assert record["state"] == "done"
    assert [sorted(wave["hosts"]) for wave in record["planned"]] == [sorted(fleet.machines)]
    assert record["strata"] == {host: machine.release for host, machine in fleet.machines.items()}
    hosts = record["waves"][0]["hosts"]
    written = {host: {key: value["after"] for key, value in hosts[host]["values"].items()} for host in hosts}
    assert written == fleet.sets
    assert fleet.values() == fleet.sets
    for host, machine in fleet.machines.items():
        lines = [line for line in machine.read(FILE).splitlines() if line and not line.startswith("#")]
        assert dict(line.split(" = ") for line in lines) == fleet.sets[host]

    # What is confirmed is there after a crash, by the distribution's own means, on the kernel with the longest set.
    host = max(fleet.sets, key=lambda host: len(fleet.sets[host]))
    fleet.machines[host].reboot_hard()
    assert values_of(fleet.machines[host]) == fleet.sets[host]

    assert fleet.rollouts.run("rollback", {}).returncode == 0
    assert fleet.values() == fleet.before
    assert [machine.output(f"cat {FILE}") for machine in fleet.machines.values()] == [""] * len(fleet.machines)
