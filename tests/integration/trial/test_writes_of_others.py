# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trial takes back its own writes, and nobody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from trials import start_arguments

from .conftest import SET

STATE = "/var/lib/nettune"

# Starts a trial, and dies right after its first write and one of somebody else.
DIES_AFTER_ITS_FIRST_WRITE = """
import json, os, signal, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _enforce, _trial

write = _enforce.write_value

def first(key, value):
    write(key, value)
    write("net.core.somaxconn", "77")
    os.kill(os.getpid(), signal.SIGKILL)

_enforce.write_value = first
_trial.Trials().start(**json.loads(sys.argv[1]))
"""


@pytest.mark.parametrize("ended_by", ["guard", "next look"])
def test_where_nothing_was_written_yet_nothing_is_put_back(host: Any, ended_by: str) -> None:
    module = host.namespace.popen(
        [sys.executable, "-m", "ansible_collections.nettune.kernel.plugins.modules.sysctl_trial"],
        stdin=subprocess.PIPE,
        env={**os.environ, **host.namespace.environment},
    )
    arguments = {"state": "started", "sysctl": SET, "rollout_id": "r1", "guard": {"baseline_seconds": 60}}
    module.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    module.stdin.close()
    host.namespace.wait_for(["grep", "-q", "armed", f"{STATE}/samples.jsonl"])
    if ended_by == "next look":
        host.namespace.run(["pkill", "-KILL", "-f", "guard.pyz"])
    host.write("net.ipv4.ip_forward", "1")
    # The very value that the trial was about to give it.
    host.write("net.ipv4.tcp_fin_timeout", SET["net.ipv4.tcp_fin_timeout"])
    written = host.whole()
    host.namespace.run(["pkill", "-KILL", "-f", "modules.sysctl_trial"])
    module.wait()
    if ended_by == "guard":
        host.wait_until_over()
    outcome = host.info()["history"][0]
    assert outcome["reason"] == "whoever started or confirmed it died in the middle"
    assert outcome["drift"] == []
    assert host.whole() == written
    assert host.left_behind() == []


def test_what_the_first_write_cannot_have_caused_is_not_put_back(host: Any) -> None:
    script = ["python3", "-c", DIES_AFTER_ITS_FIRST_WRITE]
    arguments = start_arguments({"net.ipv4.ip_forward": "1", "net.ipv4.tcp_fin_timeout": "20"}, confirm_within=60)
    before = host.whole()
    somaxconn = host.value("net.core.somaxconn")
    host.namespace.run([*script, json.dumps(arguments)], check=False, env=host.namespace.environment)
    host.wait_until_over()
    assert host.value("net.core.somaxconn") == "77"
    host.write("net.core.somaxconn", somaxconn)
    assert host.whole() == before


def test_a_dropped_key_that_somebody_else_wrote_is_left_alone_and_reported(host: Any) -> None:
    before = host.whole()
    host.trial("started")
    host.trial("confirmed")
    host.write("net.ipv4.tcp_tw_reuse", "0")
    fewer = {"sysctl": {"net.ipv4.tcp_fin_timeout": "30"}, "rollout_id": "r2"}
    predicted = host.trial("started", _ansible_check_mode=True, **fewer)
    real = host.trial("started", **fewer)
    assert real["drift"] == predicted["drift"] == [{"key": "net.ipv4.tcp_tw_reuse", "expected": "1", "found": "0"}]
    assert real["values"] == predicted["values"] == {"net.ipv4.tcp_fin_timeout": {"before": "20", "after": "30"}}
    assert "it is '0', nettune gave it '1'" in json.dumps(real["warnings"])
    assert host.info()["drift"] == []
    host.trial("confirmed")
    assert host.value("net.ipv4.tcp_tw_reuse") == "0"
    host.trial("rolled_back")
    (drift,) = host.trial("rolled_back")["drift"]
    assert (drift["key"], drift["found"]) == ("net.ipv4.tcp_tw_reuse", "0")
    host.write("net.ipv4.tcp_tw_reuse", "2")
    assert host.whole() == before


# Starts a trial, and dies among its writes: after one that the kernel took a part of, and one of somebody else.
DIES_WITH_A_VALUE_HALF_WRITTEN = """
import json, os, signal, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _enforce, _trial

write = _enforce.write_value

def half(key, value):
    try:
        write(key, value)
    except OSError:
        write("net.ipv4.tcp_fin_timeout", "44")
        os.kill(os.getpid(), signal.SIGKILL)

_enforce.write_value = half
_trial.Trials().start(**json.loads(sys.argv[1]))
"""


@pytest.mark.parametrize("refused", ["8192 0 6291456", "0 131072 6291456"], ids=["in the middle", "at once"])
def test_what_the_kernel_made_of_a_value_is_told_from_a_write_of_somebody_else(host: Any, refused: str) -> None:
    before = host.whole()
    arguments = start_arguments(
        {"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_rmem": refused, "net.ipv4.tcp_fin_timeout": "20"},
        confirm_within=60,
    )
    host.namespace.run(
        ["python3", "-c", DIES_WITH_A_VALUE_HALF_WRITTEN, json.dumps(arguments)],
        check=False,
        env=host.namespace.environment,
    )
    (drift,) = host.wait_until_over()["drift"]
    assert (drift["key"], drift["expected"], drift["found"]) == ("net.ipv4.tcp_fin_timeout", "20", "44")
    assert host.value("net.ipv4.tcp_fin_timeout") == "44"
    host.write("net.ipv4.tcp_fin_timeout", "60")
    assert host.whole() == before


def test_a_value_of_somebody_else_where_the_kernel_refused_the_one_of_the_trial_stays(host: Any) -> None:
    tcp_rmem = "16384 131072 6291456"
    writes = f'write("net.ipv4.tcp_fin_timeout", "44"); write("net.ipv4.tcp_rmem", "{tcp_rmem}")'
    script = DIES_WITH_A_VALUE_HALF_WRITTEN.replace('write("net.ipv4.tcp_fin_timeout", "44")', writes)
    arguments = start_arguments({"net.ipv4.tcp_rmem": "8192 0 6291456"}, confirm_within=60)
    host.namespace.run(["python3", "-c", script, json.dumps(arguments)], check=False, env=host.namespace.environment)
    (drift,) = host.wait_until_over()["drift"]
    assert (drift["key"], drift["found"]) == ("net.ipv4.tcp_rmem", tcp_rmem)
    assert host.value("net.ipv4.tcp_rmem") == tcp_rmem
