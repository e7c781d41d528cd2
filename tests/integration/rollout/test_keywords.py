# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong, in whatever play: the wave goes back, and no later wave is touched.

Ansible's own keywords do not see to that: an unreachable host lets the next batch begin, and enters no rescue. Those of
a play that would stand against it are overridden, or refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import module_runs
import pytest
from fleet import Fleet

Make = Callable[[int], Fleet]

WAVES = {"tune_waves": [1, 2, "100%"]}
MEMBERS = [["host1"], ["host2", "host3"], ["host4"]]
OLD, NEW, UNTOUCHED = "old", "new", "untouched"


def unreachable(once: str) -> dict[str, str]:
    """From the moment on at which a variable of the role says so."""
    return {"ansible_port": f"{{{{ 1 if {once} else 22 }}}}"}


GONE_BEFORE = unreachable("tune__planned is defined")
GONE_IN_SOAK = unreachable("(tune__started | default({})).trial is defined")
GONE_IN_CONFIRM = unreachable("(tune__gate | default({})).verdict | default('')")
GONE_IN_RESCUE = unreachable("tune__blame is defined")
FAILS = "fails"

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, [NEW, NEW, NEW, NEW]),
    "canary fails": ({"host1": FAILS}, [OLD, UNTOUCHED, UNTOUCHED, UNTOUCHED]),
    "canary is unreachable": ({"host1": GONE_BEFORE}, [UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED]),
    "canary is lost in the soak": ({"host1": GONE_IN_SOAK}, [OLD, UNTOUCHED, UNTOUCHED, UNTOUCHED]),
    "canary is lost before it is confirmed": ({"host1": GONE_IN_CONFIRM}, [OLD, UNTOUCHED, UNTOUCHED, UNTOUCHED]),
    "member fails": ({"host2": FAILS}, [NEW, OLD, OLD, UNTOUCHED]),
    "member is unreachable": ({"host2": GONE_BEFORE}, [NEW, UNTOUCHED, OLD, UNTOUCHED]),
    "member is lost in the soak": ({"host3": GONE_IN_SOAK}, [NEW, OLD, OLD, UNTOUCHED]),
    "member is lost before it is confirmed": ({"host2": GONE_IN_CONFIRM}, [NEW, OLD, OLD, UNTOUCHED]),
    "one fails, one is lost": ({"host2": FAILS, "host3": GONE_IN_SOAK}, [NEW, OLD, OLD, UNTOUCHED]),
    "rescue fails too": ({"host2": FAILS, "host3": GONE_IN_RESCUE}, [NEW, OLD, OLD, UNTOUCHED]),
    "last wave fails": ({"host4": FAILS}, [NEW, NEW, NEW, OLD]),
}


def broken(fleet: Fleet, what: dict[str, Any]) -> tuple[str, ...]:
    """The options of a run in which this goes wrong."""
    for host, how in what.items():
        if how == FAILS:
            path = "/proc/sys/net/ipv4/tcp_fin_timeout"
            fleet.lab.shell(host, f"mount --bind {path} {path} && mount -o remount,bind,ro {path}")
    return fleet.with_variables({host: how for host, how in what.items() if how != FAILS})


@pytest.mark.parametrize("case", CASES)
def test_what_goes_wrong_in_the_playbook(make_fleet: Make, case: str) -> None:
    what, fates = CASES[case]
    fleet = make_fleet(4)
    module_runs.count(fleet.lab, fleet.hosts)
    result = fleet.run("tune", {**WAVES, **module_runs.VARIABLES}, *broken(fleet, what))
    assert fleet.fates() == dict(zip(fleet.hosts, fates, strict=True))
    assert (result.returncode == 0) == (not what)
    assert "Traceback" not in result.stdout + result.stderr
    (path,) = fleet.reports.glob("*.json")
    # Named also where none is left in the play.
    reached = [list(wave["hosts"]) for wave in json.loads(path.read_text())["waves"]]
    if what:
        assert "is rolled back, and no further wave starts" in result.stdout
        assert set(what) <= set(reached[-1])
    assert reached == MEMBERS[: len(reached)]
    runs = {host: len(module_runs.on(fleet.lab, host)) for host in fleet.hosts}
    # Facts, start, confirm, roll back.
    assert max(runs.values()) <= 4, runs
    if case == "member is lost before it is confirmed":
        assert runs == {"host1": 3, "host2": 2, "host3": 4, "host4": 1}


KEYWORDS: dict[str, dict[str, Any]] = {
    "ignore_errors": {"ignore_errors": True},
    "ignore_unreachable": {"ignore_unreachable": True},
    "all at once": {
        "any_errors_fatal": False,
        "ignore_errors": True,
        "ignore_unreachable": True,
        "run_once": True,
        "throttle": 1,
    },
}


@pytest.mark.parametrize("serial", [1, 2])
@pytest.mark.parametrize("how", ["fails", "unreachable"])
@pytest.mark.parametrize("keywords", KEYWORDS)
def test_what_goes_wrong_in_a_play_of_ones_own(make_fleet: Make, keywords: str, how: str, serial: int) -> None:
    """With nobody else in the batch, and with one on whom nothing is wrong."""
    fleet = make_fleet(serial + 1)
    play = fleet.play(
        {
            "hosts": "all",
            "gather_facts": False,
            "serial": serial,
            **KEYWORDS[keywords],
            "roles": [{"role": "nettune.kernel.tune"}],
        },
        {"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": "A later play runs"}}]},
    )
    what: dict[str, Any] = {"host1": FAILS if how == "fails" else GONE_IN_SOAK}
    # A good host of the batch goes back at once, and not when its guard gives up.
    patience = {"tune_confirm_grace": 120} if how == "fails" else {}
    result = fleet.run(play, patience, *broken(fleet, what))
    assert list(fleet.fates().values()) == [OLD] * serial + [UNTOUCHED]
    assert result.returncode != 0
    assert "A later play runs" not in result.stdout


# What ends before the role or after it, on which host, and what becomes of the three.
META: dict[str, tuple[dict[str, tuple[str, str]], list[str]]] = {
    "end_batch before, end_play after": (
        {"pre_tasks": ("end_batch", "host1"), "post_tasks": ("end_play", "host2")},
        [UNTOUCHED, NEW, UNTOUCHED],
    ),
    "end_batch after, end_play before": (
        {"post_tasks": ("end_batch", "host1"), "pre_tasks": ("end_play", "host2")},
        [NEW, UNTOUCHED, UNTOUCHED],
    ),
}


@pytest.mark.parametrize("case", META)
def test_a_play_of_ones_own_that_ends_early(make_fleet: Make, case: str) -> None:
    ends, fates = META[case]
    fleet = make_fleet(3)
    tasks = {
        section: [{"ansible.builtin.meta": what, "when": f"inventory_hostname == '{host}'"}]
        for section, (what, host) in ends.items()
    }
    own = {"hosts": "all", "gather_facts": False, "serial": 1, "roles": ["nettune.kernel.tune"], **tasks}
    later = {"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": "A later play runs"}}]}
    result = fleet.run(fleet.play(own, later), {})
    assert result.returncode == 0
    assert "A later play runs" in result.stdout
    assert list(fleet.fates().values()) == fates


def test_batches_of_a_play_of_ones_own(make_fleet: Make) -> None:
    fleet = make_fleet(2)
    play = fleet.play({"hosts": "all", "gather_facts": False, "serial": 1, "roles": ["nettune.kernel.tune"]})
    refused = fleet.run(play, {"tune_rollout_id": "one"})
    assert refused.returncode != 0
    assert refused.stdout.count("tune_rollout_id names one rollout, and in a play with serial each batch is one") == 1
    assert set(fleet.fates().values()) == {UNTOUCHED}
    assert fleet.run(play, {}).returncode == 0
    assert set(fleet.fates().values()) == {NEW}
    assert len(list(fleet.reports.glob("*.json"))) == 2


def test_a_batch_that_breaks_the_limit_of_a_failure_domain(make_fleet: Make) -> None:
    fleet = make_fleet(2)
    inventory = fleet.with_variables({host: {"rack": "a"} for host in fleet.hosts})
    play = fleet.play({"hosts": "all", "gather_facts": False, "roles": ["nettune.kernel.tune"]})
    result = fleet.run(play, {"tune_failure_domain": "rack", "tune_max_out_per_group": 1}, *inventory)
    assert result.returncode != 0
    assert "Wave 1 is planned for host1, and the play has host1, host2" in result.stdout
    assert set(fleet.fates().values()) == {UNTOUCHED}


@pytest.mark.parametrize("strategy", ["free", "ansible.builtin.host_pinned"])
def test_a_strategy_without_waves_is_refused(make_fleet: Make, strategy: str) -> None:
    fleet = make_fleet(2)
    play = fleet.play({"hosts": "all", "gather_facts": False, "strategy": strategy, "roles": ["nettune.kernel.tune"]})
    result = fleet.run(play, {})
    assert result.returncode != 0
    assert f"The play has strategy {strategy}, with which no host waits for another's verdict" in result.stdout
    assert set(fleet.fates().values()) == {UNTOUCHED}


@pytest.mark.parametrize("percentage", [0, 100])
def test_a_play_that_tolerates_failed_hosts_is_refused(make_fleet: Make, percentage: int) -> None:
    """Ansible would leave the rescue as soon as a host of the batch has failed, before the others are rolled back."""
    fleet = make_fleet(1)
    keywords = {"hosts": "all", "gather_facts": False, "max_fail_percentage": percentage}
    result = fleet.run(fleet.play({**keywords, "roles": ["nettune.kernel.tune"]}), {})
    assert result.returncode != 0
    assert result.stdout.count("The play has max_fail_percentage, with which Ansible leaves a failed wave before") == 1
    assert set(fleet.fates().values()) == {UNTOUCHED}


ROLE = {"name": "nettune.kernel.tune"}
LATER = {"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": "A later play runs"}}]}
# The role in a play, with a condition or without.
WAYS: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "roles": lambda condition: {"roles": [{"role": ROLE["name"], **condition}]},
    "import_role": lambda condition: {"tasks": [{"ansible.builtin.import_role": ROLE, **condition}]},
    "include_role": lambda condition: {"tasks": [{"ansible.builtin.include_role": ROLE, **condition}]},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("member", ["host1", "host2"])
def test_a_role_for_some_hosts_of_the_batch_is_refused(make_fleet: Make, member: str, way: str) -> None:
    """Also the first of the batch, which speaks for all; and after a rollout of the same run, which has left a plan."""
    fleet = make_fleet(2)
    condition = {"when": f"inventory_hostname == '{member}'"}
    plays = [
        {
            "hosts": "all",
            "gather_facts": False,
            "ignore_errors": True,
            "vars": {"tune_sysctl": {"net.ipv4.tcp_fin_timeout": value}},
            **WAYS[way](keywords),
        }
        for value, keywords in ((30, {}), (40, condition))
    ]
    if way == "include_role" or member == "host1":
        left_out = {"host1": "host2", "host2": "host1"}[member]
        sentence = (
            f"{left_out}: was left out of the checks, and is in the batch: run the role for all hosts of the play"
        )
    else:
        sentence = "The role is left out on host1, which speaks for all hosts of the batch"
    for playbook, fate in ((plays[1:], UNTOUCHED), (plays, NEW)):
        result = fleet.run(fleet.play(*playbook, LATER), {"tune_sysctl": None})
        assert result.returncode != 0
        assert result.stdout.count(sentence) == 1
        assert "A later play runs" not in result.stdout
        assert set(fleet.fates().values()) == {fate}


@pytest.mark.parametrize("way", ["import_role", "include_role"])
def test_a_rescue_that_would_go_on_to_the_next_batch_is_refused(make_fleet: Make, way: str) -> None:
    fleet = make_fleet(2)

    def play(**keywords: Any) -> dict[str, Any]:
        said = [{"ansible.builtin.debug": {"msg": "Said whatever became of it"}}]
        block = {"block": WAYS[way]({})["tasks"], keywords.pop("section"): said}
        return {"hosts": "all", "gather_facts": False, "tasks": [block], **keywords}

    refused = fleet.run(fleet.play(play(section="rescue", serial=1)), {})
    assert (
        refused.stdout.count("The role is in a block with rescue, after which Ansible goes on to the next batch") == 2
    )
    assert set(fleet.fates().values()) == {UNTOUCHED}
    # No rescue, so it stops at the first batch.
    failed = fleet.run(fleet.play(play(section="always", serial=1)), {}, *broken(fleet, {"host2": FAILS}))
    assert failed.returncode != 0
    assert failed.stdout.count("Said whatever became of it") == 2
    assert list(fleet.fates().values()) == [NEW, OLD]
    # There is no next batch.
    fleet.lab.shell("host2", "umount /proc/sys/net/ipv4/tcp_fin_timeout")
    alone = fleet.run(fleet.play(play(section="rescue")), {})
    assert alone.returncode == 0
    assert set(fleet.fates().values()) == {NEW}


def test_throttle_does_not_keep_hosts_of_a_wave_from_starting_together(make_fleet: Make) -> None:
    """One by one, each would begin when the time before of the one before it is over."""
    fleet = make_fleet(2)
    play = {"hosts": "all", "gather_facts": False, "throttle": 1, "roles": ["nettune.kernel.tune"]}
    assert fleet.run(fleet.play(play), {"tune_baseline": 5}).returncode == 0
    (path,) = fleet.reports.glob("*.json")
    hosts = json.loads(path.read_text())["waves"][0]["hosts"]
    first, last = sorted(datetime.fromisoformat(host["deadline"].replace("Z", "+00:00")) for host in hosts.values())
    assert (last - first).total_seconds() < 5


@pytest.mark.parametrize("how", ["fails", "unreachable", "ended"])
def test_a_host_that_the_run_lost_before_is_not_left_out(make_fleet: Make, how: str) -> None:
    fleet = make_fleet(2)
    lost = {"when": "inventory_hostname == 'host2'"}
    first: dict[str, Any] = {
        "fails": {"ansible.builtin.fail": {}},
        "unreachable": {"ansible.builtin.ping": {}, "vars": {"ansible_port": 1}},
        "ended": {"ansible.builtin.meta": "end_host"},
    }[how]
    before = {"hosts": "all", "gather_facts": False, "tasks": [{**first, **lost}]}
    sentence = "  host2: failed, was out of reach, or was ended (end_host) earlier in this run of Ansible"
    own = {"hosts": "all", "gather_facts": False, "roles": ["nettune.kernel.tune"]}
    if how == "ended":
        # This play's own business, and no other's.
        playbook = fleet.play({**own, "pre_tasks": before["tasks"]})
    else:
        playbook = fleet.play(before, {"ansible.builtin.import_playbook": "nettune.kernel.tune"})
    result = fleet.run(playbook, {}, "--check")
    assert result.returncode != 0
    assert result.stdout.count(sentence) == 1
    assert "Wave 1" not in result.stdout


def test_a_playbook_that_is_imported_under_a_condition(make_fleet: Make) -> None:
    """Left out after a rollout of the same run, it does not take that one up again."""
    fleet = make_fleet(2)
    tune = {"ansible.builtin.import_playbook": "nettune.kernel.tune"}
    result = fleet.run(fleet.play(tune, {**tune, "when": "1 > 2"}, LATER), {"tune_waves": ["100%"]})
    assert result.returncode == 0
    assert result.stdout.count("Wave 1 of 1: host1, host2\n") == 1
    assert "A later play runs" in result.stdout
    assert set(fleet.fates().values()) == {NEW}


def test_a_strategy_from_the_settings_does_not_reach_the_playbook(make_fleet: Make) -> None:
    fleet = make_fleet(4)
    result = fleet.run("tune", WAVES, *broken(fleet, {"host2": FAILS}), ANSIBLE_STRATEGY="free")
    assert result.returncode != 0
    assert list(fleet.fates().values()) == [NEW, OLD, OLD, UNTOUCHED]
