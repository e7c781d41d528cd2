# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks against real hosts without traffic: what is refused, what is undone, and what a user reads of it."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import controller
import module_runs
import pytest
from labs import Lab

HOSTS = ("host1", "host2", "host3")
FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
GOOD = {"tune_sysctl": {FIN_TIMEOUT: 30}}
QUICK = {"tune_soak": 2, "tune_soak_max": 2, "tune_baseline": 0, "tune_waves": [1, "100%"]}
STATE = (
    "cat /proc/sys/net/ipv4/tcp_fin_timeout; find /etc/sysctl.d /run/sysctl.d -type f -exec grep -H '' {} + 2>/dev/null"
)


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab("plain", "rollout")
    lab.up("--hosts", str(len(HOSTS)))
    return lab


@pytest.fixture
def run(lab: Lab, tmp_path: pathlib.Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(playbook: str, variables: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
        settings = {"tune_report_dir": str(tmp_path / "reports"), **QUICK, **variables}
        if "-i" not in options:
            options = ("-i", str(lab.inventory), *options)
        return controller.run(controller.command(playbook, settings, *options))

    return run


def state(lab: Lab) -> dict[str, str]:
    return {host: lab.shell(host, STATE, check=False) for host in HOSTS}


def info(lab: Lab, host: str) -> dict[str, Any]:
    """What sysctl_trial_info says of a host."""
    done = controller.module(lab.inventory, host, "sysctl_trial_info")
    assert done.returncode == 0
    return controller.answer(done)


@pytest.fixture
def _untouched(lab: Lab) -> Iterator[None]:
    """At the end of the test every host is as it was."""
    before = state(lab)
    yield
    assert state(lab) == before


REFUSED = {
    "no set": ({}, "Give one of tune_sysctl .* here are none"),
    "two sets": ({**GOOD, "tune_sysctl_conf": "a.b = 1"}, "Give one of tune_sysctl .* here are both"),
    "empty set": ({"tune_sysctl": {}}, "form.empty_set"),
    "a dictionary for a value": ({"tune_sysctl": {FIN_TIMEOUT: {"a": 1}}}, "form.value_type.*is a dictionary"),
    "a way out of /proc/sys": (
        {"tune_sysctl": {"net/../kernel/core_pattern": 1}},
        "form.invalid_key.*stays below /proc/sys",
    ),
    "a line break": ({"tune_sysctl": {FIN_TIMEOUT: "1\nkernel.panic = 1"}}, "form.unsafe_value"),
    "a key that is none": ({"tune_sysctl": {"net.ipv4.tcp_fin_timeot": 30}}, "tcp_fin_timeout"),
    "an unknown front": ({**GOOD, "tune_topology": {"front": "magic"}}, "value of front must be one of.*got: magic"),
    "a soak of letters": ({**GOOD, "tune_soak": "long"}, "tune_soak.*int"),
    "waves of nobody": ({**GOOD, "tune_waves": [1, "0%"]}, r"tune_waves\[1\] is '0%'"),
    "a guard of another kind": ({**GOOD, "tune_guard": {"max_riss": {}}}, "max_riss"),
    "a limit that is none": ({**GOOD, "tune_limits": {"alpha": 2}}, "alpha is a probability between 0 and 1"),
    "a limit of another kind": ({**GOOD, "tune_limits": {"alfa": 0.01}}, "alfa"),
    "no Python": ({**GOOD, "ansible_python_interpreter": "/no/python3"}, "facts cannot be read.*/no/python3"),
    "nobody answers": ({**GOOD, "ansible_port": 1}, "cannot be reached"),
    "no such group": ({**GOOD, "tune_hosts": "nobody"}, "No host: name an inventory"),
}


# Before any host is asked, there is nothing to report.
NOT_ASKED = (
    "no set",
    "two sets",
    "an unknown front",
    "a soak of letters",
    "a guard of another kind",
    "a limit of another kind",
    "no such group",
)


def refusal(reports: pathlib.Path, stdout: str) -> dict[str, Any]:
    """What the one report, which is where it is said to be, tells of a rollout that did not begin."""
    (path,) = reports.glob("*.json")
    assert stdout.count(f"The rollout does not begin.\n  Report: {path.with_suffix('.html')}\n") == 1
    assert "Why it was refused" in path.with_suffix(".html").read_text()
    record = json.loads(path.read_text())
    assert (record["state"], record["waves"]) == ("refused", [])
    told: dict[str, Any] = record["refused"]
    assert tuple(told["hosts"]) == HOSTS
    return told


@pytest.fixture
def refused(run: Any, tmp_path: pathlib.Path, lab: Lab) -> Callable[..., Any]:
    """The output of a good set that is refused for what the inventory says of its servers, and its refusal()."""

    def refused(**servers: Any) -> tuple[str, dict[str, Any]]:
        more = tmp_path / "more.yml"
        more.write_text(json.dumps({"servers": servers}))
        result = run("tune", GOOD, "-i", str(lab.inventory), "-i", str(more))
        assert result.returncode != 0
        assert "Roll out in waves" not in result.stdout
        return result.stdout, refusal(tmp_path / "reports", result.stdout)

    return refused


@pytest.mark.usefixtures("_untouched")
@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_one_clear_error(run: Any, tmp_path: pathlib.Path, case: str) -> None:
    variables, sentence = REFUSED[case]
    result = run("tune", variables)
    assert result.returncode != 0
    told = re.findall(sentence, result.stdout, flags=re.DOTALL if case == "a soak of letters" else 0)
    # Once, for all three hosts; except where each host has an answer of its own.
    assert len(told) == (len(HOSTS) if case == "nobody answers" else 1), result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert "Roll out in waves" not in result.stdout
    if case in NOT_ASKED:
        assert not (tmp_path / "reports").exists()
    else:
        assert re.search(sentence, "\n".join(refusal(tmp_path / "reports", result.stdout)["why"]))


@pytest.mark.usefixtures("_untouched")
def test_one_host_that_does_not_answer_holds_all_others_back(refused: Any) -> None:
    said, refusal = refused(hosts={"host2": {"ansible_port": 1}})
    assert re.search(r"No host was touched\.\n  host2: cannot be reached", said)
    assert "host1" not in said
    hosts = refusal["hosts"]
    assert [hosts[host]["outcome"] for host in HOSTS] == ["accepted", "in_the_way", "accepted"]
    assert hosts["host2"]["why"][0].startswith("cannot be reached")
    assert hosts["host1"]["kernel"]


@pytest.mark.usefixtures("_untouched")
def test_hosts_that_do_not_agree_on_the_rollout(refused: Any) -> None:
    own = {
        "tune_controls": 2,
        "tune_min_opens": 9,
        "tune_rollout_id": "mine",
        "tune_plan": "{}",
        "tune_fail_on": "never",
    }
    said, refusal = refused(vars={"tune_controls": 1}, hosts={"host2": own})
    for told in (
        "tune_controls differs between hosts (host1: 1, host2: 2)",
        "tune_min_opens differs between hosts (host1: 20, host2: 9)",
        "tune_rollout_id differs between hosts (host1: , host2: mine)",
        "tune_plan differs between hosts (host1: , host2: bf21a9e8fbc5)",
        "tune_fail_on differs between hosts (host1: error, host2: never)",
    ):
        assert said.count(f"{told}: set it for all") == 1
    assert len(refusal["why"]) == 5


@pytest.mark.usefixtures("_untouched")
def test_what_only_a_later_wave_would_take_is_refused_before_the_first(refused: Any) -> None:
    own = {
        "host2": {"tune_guard": {"alpha": 7}, "tune_probe_port": "http", "tune_force": "perhaps"},
        "host3": {"tune_file": "/run/sysctl.d/other.conf", "tune_probe_rate": 0, "tune_guard_min_rejects": 0},
    }
    said, refusal = refused(hosts=own)
    for told in (
        "host2: tune_guard: alpha must be between 1e-12 and 0.5, not 7",
        "host2: tune_probe_port is 'http': write a TCP port from 1 to 65535",
        "host2: tune_force is 'perhaps': write true or false",
        "host3: tune_file: path '/run/sysctl.d/other.conf' must be a file /etc/sysctl.d/NAME.conf",
        "host3: tune_probe_rate is 0: write connections per second, above 0",
        "host3: tune_guard_min_rejects is 0: write a number of rejects from 1 on",
    ):
        assert said.count(told) == 1
    assert [len(refusal["hosts"][host]["why"]) for host in HOSTS] == [0, 3, 3]


@pytest.mark.usefixtures("_untouched")
def test_a_name_that_was_used_is_refused(run: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "reports").mkdir()
    record: dict[str, Any] = {
        "schema": 1,
        "rollout_id": "again",
        "state": "done",
        "waves": [{"number": 1, "outcome": "confirmed"}],
    }
    report = tmp_path / "reports" / "again.json"
    report.write_text(json.dumps(record))
    result = run("tune", {**GOOD, "tune_rollout_id": "again"})
    # What was run is not overwritten by what was not.
    assert json.loads(report.read_text()) == record
    assert "Left as it is, the report of what was run: " in result.stdout
    assert result.returncode != 0
    assert result.stdout.count("Rollout again has been run already") == 1
    assert "Roll out in waves" not in result.stdout


@pytest.mark.usefixtures("_untouched")
@pytest.mark.parametrize("playbook", ["tune", "validate", "rollback"])
def test_an_inventory_without_hosts(run: Any, playbook: str) -> None:
    result = run(playbook, GOOD, "-i", "/dev/null")
    assert result.returncode != 0
    assert result.stdout.count("No host: name an inventory") == 1


@pytest.mark.usefixtures("_untouched")
def test_check_mode_shows_every_key_and_line(run: Any, tmp_path: pathlib.Path) -> None:
    result = run("tune", {**GOOD, "tune_reasons": {FIN_TIMEOUT: "so that it is seen"}}, "--check", "--diff")
    assert result.returncode == 0
    for line in (f"-{FIN_TIMEOUT} = 60", f"+{FIN_TIMEOUT} = 30", "+# so that it is seen", "wave 1: 1 host: host1"):
        assert line in result.stdout
    assert not (tmp_path / "reports").exists()


@pytest.mark.usefixtures("_untouched")
def test_validate_touches_nothing_and_judges(run: Any) -> None:
    assert run("validate", GOOD).returncode == 0
    result = run("validate", {"tune_sysctl": {"net.ipv4.tcp_tw_recycle": 1}})
    assert result.returncode != 0
    assert "host1, host2, host3: the sysctl set is rejected" in result.stdout


@pytest.mark.usefixtures("_untouched")
def test_silence_is_rolled_back(run: Any, tmp_path: pathlib.Path, lab: Lab) -> None:
    result = run("tune", GOOD)
    assert result.returncode != 0
    assert re.search(r"Wave 1: inconclusive: \d+ more connections without a timestamp reject are needed", result.stdout)
    assert "  host1: rolled back\n" in result.stdout
    assert "Wave 2" not in result.stdout
    (stored,) = (tmp_path / "reports").glob("*.json")
    (wave,) = json.loads(stored.read_text())["waves"]
    assert wave["outcome"] == "rolled_back"
    assert {"armed", "on_trial"} & {sample["phase"] for sample in wave["hosts"]["host1"]["guard_samples"]}
    ended = info(lab, "host1")["history"][0]
    assert ended["reason"] == wave["reason"]
    assert not ended["by_evidence"]


@pytest.mark.usefixtures("_untouched")
def test_what_the_guard_goes_by_is_passed_on(run: Any, tmp_path: pathlib.Path, lab: Lab) -> None:
    # The look itself opens a connection. A set of its own, for it is refused from then on.
    guard = {"max_rise": {"Tcp.PassiveOpens": 0}}
    variables = {"tune_sysctl": {FIN_TIMEOUT: 29}, "tune_on_inconclusive": "promote", "tune_soak": 8}
    module_runs.count(lab, HOSTS)
    result = run("tune", {**variables, **module_runs.VARIABLES, "tune_guard": guard})
    assert result.returncode != 0
    assert "Wave 1: roll_back: the guard rolled back host1 (" in result.stdout
    # Facts, start, why its guard rolled back, roll back; and nothing but facts of the others.
    assert [len(module_runs.on(lab, host)) for host in HOSTS] == [4, 1, 1]
    assert info(lab, "host1")["history"][0]["by_evidence"]


def test_what_an_earlier_run_confirmed_stays(run: Any, tmp_path: pathlib.Path, lab: Lab) -> None:
    before = state(lab)
    variables = {"tune_sysctl": {FIN_TIMEOUT: 31}, "tune_rollout_id": "twice", "tune_waves": ["100%"]}
    first = run("tune", {**variables, "tune_on_inconclusive": "promote"})
    assert first.returncode == 0, first.stdout
    lab.shell("host3", "echo 60 > /proc/sys/net/ipv4/tcp_fin_timeout")
    again = run("tune", {**variables, "tune_report_dir": str(tmp_path / "elsewhere")})
    assert again.returncode != 0
    assert "host3: rolled back" in again.stdout
    assert "host1, host2: nothing to undo" in again.stdout
    for host, text in state(lab).items():
        assert text.startswith("60\n" if host == "host3" else "31\n"), host
    assert run("rollback", {}).returncode == 0
    assert state(lab) == before


def test_there_and_back(run: Any, lab: Lab) -> None:
    before = state(lab)
    variables = {**GOOD, "tune_on_inconclusive": "promote"}
    result = run("tune", variables)
    assert result.returncode == 0, result.stdout
    for text in state(lab).values():
        assert text.startswith("30\n")
        assert f"/etc/sysctl.d/90-nettune.conf:{FIN_TIMEOUT} = 30" in text

    again = run("tune", variables)
    assert again.returncode == 0, again.stdout
    assert again.stdout.endswith("Done, 0 hosts changed\n")
    assert "host2, host3: has the set already" in again.stdout

    undone = run("rollback", {})
    assert undone.returncode == 0
    assert re.search(rf"host1, host2, host3: undone: rollout \S+, {FIN_TIMEOUT}\n", undone.stdout)
    assert state(lab) == before
    assert "host1, host2, host3: nothing to undo" in run("rollback", {}).stdout


def test_a_silent_control_is_waited_for_once(run: Any, tmp_path: pathlib.Path, lab: Lab) -> None:
    before = state(lab)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        variables = {"tune_sysctl": {FIN_TIMEOUT: 28}, "tune_on_inconclusive": "promote"}
        variables |= {"tune_soak": 16, "tune_soak_max": 16, "tune_look_every": 1}
        rollout = pool.submit(run, "tune", variables)
        give_up = time.monotonic() + 60
        while not lab.shell("host1", "ls /var/lib/nettune/trial.json 2>/dev/null", check=False):
            assert time.monotonic() < give_up
            time.sleep(0.1)
        # Longer than it is waited for, and over before its own wave begins.
        cut = "ip link set mgmt0 down; sleep 13; ip link set mgmt0 up"
        outage = pool.submit(lab.inside("host2").run, ["sh", "-c", cut])
        result = rollout.result()
        outage.result()
    assert result.returncode == 0, result.stdout
    assert "Timed out" not in result.stdout
    (stored,) = (tmp_path / "reports").glob("*.json")
    observations = json.loads(stored.read_text())["waves"][0]["observations"]
    assert observations["controls"]["host2"]["lost"] == "it did not answer"
    assert not observations["controls"]["host3"]["lost"]
    first, second = (look["elapsed"] for look in observations["looks"][:2])
    assert first > 10
    assert second - first < 10
    assert run("rollback", {}).returncode == 0
    assert state(lab) == before


@pytest.mark.usefixtures("_untouched")
def test_a_host_under_trial_by_somebody_else(run: Any, tmp_path: pathlib.Path, lab: Lab) -> None:
    def trial(**arguments: Any) -> None:
        assert controller.module(lab.inventory, "host2", "sysctl_trial", arguments).returncode == 0

    trial(state="started", rollout_id="theirs", guard={"baseline_seconds": 0}, sysctl={"net.core.somaxconn": 2048})
    try:
        result = run("tune", {**GOOD, "tune_on_inconclusive": "promote", "tune_waves": ["100%"]})
    finally:
        trial(state="rolled_back", rollout_id="theirs")
    assert result.returncode != 0
    assert re.search(
        r"No host was touched.\n  host2: a trial is pending here: rollout theirs by root .*somaxconn", result.stdout
    )
    assert "Roll out in waves" not in result.stdout
    assert refusal(tmp_path / "reports", result.stdout)["hosts"]["host2"]["outcome"] == "in_the_way"
