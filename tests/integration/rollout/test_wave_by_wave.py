# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One wave a run, from one plan, with whatever time in between."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import yaml
from fleet import Fleet

Make = Callable[[int], Fleet]
NAMED = {"tune_waves": [1, 1, "100%"], "tune_rollout_id": "by-hand"}


def fates(fleet: Fleet) -> str:
    return " ".join(fleet.fates().values())


def handed_over(fleet: Fleet, variables: dict[str, Any], *options: str) -> tuple[int, str]:
    """The exit code, and the plan that the next node of a workflow is given."""
    environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_SHOW_CUSTOM_STATS": "1"}
    result = fleet.run("tune", variables, *options, **environment)
    told = re.search(r"\tRUN: (\{.*\})\s*$", result.stdout, flags=re.MULTILINE)
    return result.returncode, json.loads(told[1])["tune_plan"] if told else ""


def test_from_the_shell(make_fleet: Make) -> None:
    fleet = make_fleet(4)

    def refused(why: str, **variables: Any) -> None:
        result = fleet.run("tune", {**NAMED, **variables})
        assert result.returncode != 0
        assert result.stdout.count(why) == 1
        assert "Roll out in waves" not in result.stdout

    refused("tune_wave 2 needs the plan that the run with tune_wave 1 made", tune_wave=2)
    (told,) = json.loads((fleet.reports / "by-hand.json").read_text())["refused"]["why"]
    assert told.startswith("tune_wave 2 needs the plan")
    (fleet.reports / "by-hand.json").unlink()
    assert fleet.run("tune", {**NAMED, "tune_wave": 1}, "--check").returncode == 0
    assert not list(fleet.reports.glob("*.json"))

    first = fleet.run("tune", {**NAMED, "tune_wave": 1})
    assert first.returncode == 0
    assert "This run: wave 1 of 3. The next: tune_wave 2, or rest, with tune_rollout_id by-hand" in first.stdout
    assert fates(fleet) == "new untouched untouched untouched"

    refused("Wave 3 of rollout by-hand must wait: wave 2 is not confirmed", tune_wave=3)
    refused("Wave 1 of rollout by-hand is confirmed already: the next is wave 2", tune_wave=1)
    other = {"net.ipv4.tcp_fin_timeout": 31}
    refused("Another set was planned by rollout by-hand for host1, host2, host3", tune_wave=2, tune_sysctl=other)
    refused("Rollout by-hand has been run already")
    assert fates(fleet) == "new untouched untouched untouched"
    record = json.loads((fleet.reports / "by-hand.json").read_text())
    assert (record["state"], [wave["number"] for wave in record["waves"]]) == ("between_waves", [1])
    assert record["refused"]["why"][0].startswith("Rollout by-hand has been run already")

    second = fleet.run("tune", {**NAMED, "tune_wave": "2"})
    assert second.returncode == 0
    assert "Wave 2 of 3: host2\n" in second.stdout
    assert fates(fleet) == "new new untouched untouched"

    assert fleet.run("tune", {**NAMED, "tune_wave": "rest"}).returncode == 0
    assert fates(fleet) == "new new new new"
    record = json.loads((fleet.reports / "by-hand.json").read_text())
    assert [wave["outcome"] for wave in record["waves"]] == ["confirmed"] * 3
    assert (record["state"], record["refused"]) == ("done", None)


def test_in_a_workflow(make_fleet: Make) -> None:
    """Each node begins with nothing but the variables that the one before handed over."""
    fleet = make_fleet(3)
    waves = {"tune_waves": [1, 1, "100%"]}

    def node(number: int, **variables: Any) -> tuple[int, str]:
        return handed_over(fleet, {**waves, "tune_report_dir": str(fleet.directory / f"node{number}"), **variables})

    # A plan that was shown, and approved.
    code, plan = handed_over(fleet, {**waves, "tune_wave": 1}, "--check")
    assert code == 0
    assert fates(fleet) == "untouched untouched untouched"
    code, confirmed = node(1, tune_wave=1, tune_plan=plan)
    assert code == 0
    assert json.loads(confirmed) == {**json.loads(plan), "confirmed": 1}
    assert fates(fleet) == "new untouched untouched"
    assert node(2, tune_wave=2, tune_plan=plan)[0] != 0
    code, confirmed = node(2, tune_wave="rest", tune_plan=confirmed)
    assert code == 0
    assert json.loads(confirmed)["confirmed"] == 3
    assert fates(fleet) == "new new new"


def test_hosts_that_join_and_leave_between_waves(make_fleet: Make) -> None:
    fleet = make_fleet(4)
    before = fleet.run("tune", {**NAMED, "tune_waves": [1, "100%"], "tune_wave": 1}, "--limit", "host1,host2,host3")
    assert before.returncode == 0
    inventory = yaml.safe_load(fleet.lab.inventory.read_text())
    del inventory["all"]["children"]["servers"]["hosts"]["host3"]
    path = fleet.directory / "later.yml"
    path.write_text(yaml.safe_dump(inventory))
    partly = fleet.run("tune", {**NAMED, "tune_wave": 2}, "--limit", "host1,host2")
    assert partly.returncode != 0
    assert "This run leaves out host3 of wave 2 of rollout by-hand: check tune_hosts and --limit" in partly.stdout
    after = fleet.run("tune", {**NAMED, "tune_wave": 2}, "-i", str(path))
    assert after.returncode == 0
    assert "host4: not in the plan, and left alone" in after.stdout
    assert "host3: in the plan, but not here any more" in after.stdout
    assert fates(fleet) == "new new untouched untouched"


def test_a_wave_that_does_not_hold(make_fleet: Make) -> None:
    fleet = make_fleet(3)
    assert fleet.run("tune", {**NAMED, "tune_wave": 1}).returncode == 0
    assert fleet.run("rollback", {}).returncode == 0
    result = fleet.run("tune", {**NAMED, "tune_wave": 2})
    assert result.returncode != 0
    assert "Wave 1 of rollout by-hand does not hold any more: host1 no longer has the set" in result.stdout
    assert fates(fleet) == "old untouched untouched"


def test_a_wave_that_was_rolled_back(make_fleet: Make) -> None:
    fleet = make_fleet(3)
    silence = {**NAMED, "tune_on_inconclusive": "roll_back"}
    assert fleet.run("tune", {**silence, "tune_wave": 1}).returncode != 0
    result = fleet.run("tune", {**NAMED, "tune_wave": 2})
    assert result.returncode != 0
    assert "Wave 1 of rollout by-hand was rolled back: correct the set and begin a new rollout" in result.stdout
    assert fates(fleet) == "old untouched untouched"
