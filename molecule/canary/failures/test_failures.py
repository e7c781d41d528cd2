# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollouts that fail, each in its way: at the end every server is as it was, and the exit code is not 0."""

from __future__ import annotations

import os
import pathlib
import signal

import pytest
import yaml
from hosts import ROOT, counters, group, on_trial, outcomes, start_rollout, state, state_before, sysctl, wait_for

PACE = pathlib.Path(__file__).parents[1] / "vars" / "pace.yml"
SETTINGS = yaml.safe_load(PACE.read_text(encoding="utf-8"))
# What a host takes to notice by itself that nobody confirmed: ten seconds more for each control, should it fall silent,
# and room for a busy machine.
DEADLINE = SETTINGS["tune_soak_max"] + SETTINGS["tune_confirm_grace"] + 10 * SETTINGS["tune_controls"] + 20
GOOD = ["--extra-vars", f"@{PACE}", "--extra-vars", '{"tune_sysctl": {"net.ipv4.tcp_keepalive_time": 601}}']


@pytest.fixture
def servers():
    return group("servers")


def trials_begun(servers, least):
    """The names of the servers on trial, once there are so many."""

    def begun():
        names = {name for name, host in servers.items() if on_trial(host)}
        return names if len(names) >= least else None

    return wait_for(f"a trial on {least} of the servers", begun, 60)


def assert_all_untouched(servers):
    for host in servers.values():
        assert state(host) == state_before(host)


def test_bad_set_is_rolled_back_on_evidence(servers):
    before = {name: counters(host) for name, host in servers.items()}
    rollout = start_rollout("--extra-vars", f"@{PACE}", "--extra-vars", f"@{ROOT}/examples/nat_timestamps.yml")
    told, _nothing = rollout.communicate(timeout=120)
    assert rollout.returncode != 0, told
    assert_all_untouched(servers)

    def rejects(name):
        after = counters(servers[name])
        names = {"PAWSPassive", "PAWSActive", "PAWSEstab", "PAWSTimewait", "TSEcrRejected"} & set(after)
        return sum(after[counter] - before[name][counter] for counter in names)

    rose = {name for name in servers if rejects(name) > 0}
    assert len(rose) == 1, f"one wave of one canary, and real rejects on it: {rose}\n{told}"
    outcome = outcomes(servers[rose.pop()])[0]
    assert outcome["state"] == "rolled_back"
    assert outcome["keys"] == ["net.ipv4.tcp_timestamps"]


def test_host_lost_in_a_wave_halts_the_rollout(servers):
    rollout = start_rollout(*GOOD, "--extra-vars", '{"tune_waves": [3, "100%"]}')
    wave = trials_begun(servers, 3)
    lost = sorted(wave)[1]
    seconds = DEADLINE
    # Cut off from the controller, not from its clients; and by itself back again.
    servers[lost].check_output(
        "nft 'add table inet cut; add chain inet cut input { type filter hook input priority 0; };"
        " add rule inet cut input tcp dport 22 drop' &&"
        f" (setsid sh -c 'sleep {seconds}; nft delete table inet cut' > /dev/null 2>&1 < /dev/null &)"
    )
    told, _nothing = rollout.communicate(timeout=120)
    assert rollout.returncode != 0, told
    assert lost in told
    others = {name: host for name, host in servers.items() if name != lost}
    assert_all_untouched(others)
    assert not [name for name in others if name not in wave and "tcp_keepalive_time" in str(outcomes(others[name]))]
    wait_for(f"{lost} reachable again", lambda: servers[lost].run("true").rc == 0, seconds + 30)
    assert state(servers[lost]) == state_before(servers[lost])
    assert outcomes(servers[lost])[0]["state"] == "rolled_back"


def test_controller_killed_in_the_soak(servers):
    rollout = start_rollout(*GOOD)
    name = trials_begun(servers, 1).pop()
    assert sysctl(servers[name], "net.ipv4.tcp_keepalive_time") == "601"
    os.killpg(rollout.pid, signal.SIGKILL)
    rollout.wait()
    wait_for(f"{name} old again by itself", lambda: not on_trial(servers[name]), DEADLINE)
    assert_all_untouched(servers)


def test_after_all_that_a_rollout_works(servers):
    rollout = start_rollout(*GOOD, "--extra-vars", '{"tune_waves": ["100%"]}')
    told, _nothing = rollout.communicate(timeout=120)
    assert rollout.returncode == 0, told
    for host in servers.values():
        assert sysctl(host, "net.ipv4.tcp_keepalive_time") == "601"
