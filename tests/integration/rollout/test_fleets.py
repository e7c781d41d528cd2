# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets as they are: a part of it, one host, half of it done already, other people at work."""

from __future__ import annotations

import concurrent.futures
import json
import re
import time
from collections.abc import Callable
from typing import Any

import controller
import pytest
from fleet import CONFIRMED, FIN_TIMEOUT, PENDING, Fleet
from labs import CHECKOUT

Make = Callable[[int], Fleet]


def fates(fleet: Fleet, **values: str) -> str:
    return " ".join(fleet.fates(**values).values())


def wait_for_trial(fleet: Fleet, host: str) -> None:
    give_up = time.monotonic() + 60
    while PENDING not in fleet.state(host):
        assert time.monotonic() < give_up
        time.sleep(0.1)


def planned(fleet: Fleet, variables: dict[str, Any], *options: str) -> list[str]:
    """The waves that are shown."""
    result = fleet.run("tune", variables, *options)
    return re.findall(r"^    wave \d+: \d+ hosts?: (.*)$", result.stdout, flags=re.MULTILINE)


def test_a_limit_and_one_fork(make_fleet: Make) -> None:
    fleet = make_fleet(3)
    variables = {"tune_waves": [1, "100%"], "tune_canaries": ["host3", "host1"]}
    result = fleet.run("tune", variables, "--limit", "host2:host3", "--forks", "1")
    assert result.returncode == 0
    assert "host1: named in tune_canaries, but not part of this rollout" in result.stdout
    assert "wave 1: 1 host: host3\n" in result.stdout
    assert fates(fleet) == "untouched new new"


def test_one_host_in_the_words_of_ansibles_own_callback(make_fleet: Make) -> None:
    fleet = make_fleet(1)
    variables = {"tune_soak": 8, "tune_soak_max": 8, "tune_look_every": 2}
    result = fleet.run("tune", variables, ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default")
    assert result.returncode == 0
    assert fates(fleet) == "new"
    (path,) = fleet.reports.glob("*.html")
    assert "PLAY RECAP" in result.stdout
    # The plan, how it goes, the verdict, the report.
    told = (r"wave 1: 1 host: host1\b", r"\+\d+ s  0 timestamp rejects", "Wave 1: inconclusive: ", f"Report: {path}\\b")
    at = [match.start() if (match := re.search(words, result.stdout)) else -1 for words in told]
    assert -1 not in at
    assert at == sorted(at)


def test_more_hosts_in_a_wave_than_forks(make_fleet: Make) -> None:
    """The deadline of the first host lasts until the last one has begun, and each has waited for its guard."""
    fleet = make_fleet(3)
    # Too short for one round after another, if rounds added nothing.
    short = {"tune_waves": ["100%"], "tune_baseline": 2, "tune_confirm_grace": 4}
    result = fleet.run("tune", short, "--forks", "1")
    assert result.returncode == 0
    assert fates(fleet) == "new new new"


def test_a_trial_of_somebody_else_that_began_while_an_earlier_wave_soaked(make_fleet: Make) -> None:
    fleet = make_fleet(3)
    theirs = {"state": "started", "rollout_id": "theirs", "sysctl": {FIN_TIMEOUT: 20}, "guard": {"baseline_seconds": 0}}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        variables = {"tune_waves": [1, "100%"], "tune_soak": 8, "tune_soak_max": 8}
        rollout = pool.submit(fleet.run, "tune", variables)
        wait_for_trial(fleet, "host1")
        assert controller.module(fleet.lab.inventory, "host2", "sysctl_trial", theirs).returncode == 0
        result = rollout.result()
    assert result.returncode != 0
    assert re.search(r"host2: a trial is pending here: rollout theirs by root", result.stdout)
    assert "Wave 2 of 2 is rolled back" in result.stdout
    # It goes on, to its own end.
    keep = {"state": "confirmed", "rollout_id": "theirs"}
    assert controller.module(fleet.lab.inventory, "host2", "sysctl_trial", keep).returncode == 0
    assert fleet.fates(new="20")["host2"] == "new"
    found = fleet.fates()
    assert (found["host1"], found["host3"]) == ("new", "old")


def test_where_half_is_done_already_the_canary_is_of_the_other_half(make_fleet: Make) -> None:
    fleet = make_fleet(4)
    first = fleet.run("tune", {}, "--limit", "host1:host2")
    assert first.returncode == 0
    done = {host: fleet.state(host) for host in ("host1", "host2")}
    result = fleet.run("tune", {"tune_waves": [1, "100%"], "tune_controls": 5})
    assert result.returncode == 0
    assert "wave 1: 1 host: host3 (beside host4)\n" in result.stdout
    assert re.search(r"host1, host2: has the set already", result.stdout)
    assert fates(fleet) == "new new new new"
    assert {host: fleet.state(host) for host in done} == done


def test_failure_domains_and_strata_of_the_inventory(make_fleet: Make) -> None:
    fleet = make_fleet(5)
    racks = {host: {"place": {"rack": rack}} for host, rack in zip(fleet.hosts, "aaabb", strict=True)}
    racks["host5"]["kind"] = "odd"
    inventory = fleet.with_variables(racks)
    wanted = {
        "tune_waves": [1, "100%"],
        "tune_failure_domain": "place.rack",
        "tune_max_out_per_group": 1,
        "tune_strata": ["kind"],
    }
    refused = fleet.run("tune", {**wanted, "tune_canaries": ["host1", "host3"]}, "--check", *inventory)
    assert refused.returncode != 0
    assert refused.stdout.count("tune_canaries names host1, host3, all of failure domain a, of which 1 may be out") == 1
    refused = fleet.run("tune", {**wanted, "tune_failure_domain": "rack"}, "--check", *inventory)
    assert refused.returncode != 0
    assert refused.stdout.count("host1, host2, host3, host4, host5: there is no rack (tune_failure_domain)") == 1
    refused = fleet.run("tune", {**wanted, "tune_canaries": ["web1"]}, "--check", *inventory)
    assert refused.returncode != 0
    assert refused.stdout.count("tune_canaries names web1, which the inventory does not have") == 1
    assert set(fleet.fates().values()) == {"untouched"}
    # A host of each kind first, and never two of one rack.
    waves = [["host1", "host5"], ["host2", "host4"], ["host3"]]
    assert planned(fleet, wanted, *inventory) == [", ".join(hosts) for hosts in waves]
    (path,) = fleet.reports.glob("*.json")
    record = json.loads(path.read_text())
    assert [list(wave["hosts"]) for wave in record["waves"]] == waves
    assert [record["strata"][host] for host in ("host1", "host5")] == ["-", "odd"]
    assert set(fleet.fates().values()) == {"new"}


def test_two_rollouts_in_one_run(make_fleet: Make) -> None:
    fleet = make_fleet(3)
    tune = str(CHECKOUT / "playbooks" / "tune.yml")
    playbook = fleet.play(
        {
            "ansible.builtin.import_playbook": tune,
            "vars": {"tune_hosts": "host1,host2", "tune_sysctl": {FIN_TIMEOUT: 30}},
        },
        {
            "ansible.builtin.import_playbook": tune,
            "vars": {"tune_hosts": "host3", "tune_sysctl": {"net.core.somaxconn": 8192}},
        },
    )
    # Extra variables would be of both.
    result = fleet.run(playbook, {"tune_sysctl": None})
    assert result.returncode == 0
    live = [fleet.lab.shell(host, "cd /proc/sys/net; cat ipv4/tcp_fin_timeout core/somaxconn") for host in fleet.hosts]
    assert [text.split() for text in live] == [["30", "4096"], ["30", "4096"], ["60", "8192"]]


@pytest.mark.parametrize("waves", [["100%"], [1, "100%"]])
def test_two_people_at_once(make_fleet: Make, waves: list[Any]) -> None:
    fleet = make_fleet(2)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            fleet.run, "tune", {"tune_waves": waves, "tune_rollout_id": "first", "tune_soak": 15, "tune_soak_max": 15}
        )
        wait_for_trial(fleet, "host1")
        theirs = {"tune_waves": waves, "tune_rollout_id": "second", "tune_sysctl": {FIN_TIMEOUT: 20}}
        second = fleet.run("tune", theirs)
        assert not first.done(), "the second came too late"
    assert second.returncode != 0
    assert re.search(
        r"host1.*: a trial is pending here: rollout first by root .*with net.ipv4.tcp_fin_timeout, until \S+",
        second.stdout,
    )
    assert first.result().returncode == 0
    assert fates(fleet) == "new new"
    assert all(CONFIRMED in fleet.state(host) for host in fleet.hosts)
