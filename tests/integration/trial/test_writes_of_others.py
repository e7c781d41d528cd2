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
INFO = "ansible_collections.nettune.kernel.plugins.modules.sysctl_trial_info"

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


# Dies right after the kernel took a value of the set for another one, with all others written.
DIES_WITH_ANOTHER_VALUE = """
import json, os, signal, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _enforce, _trial

write, fatal, arguments = _enforce.write_value, sys.argv[1], json.loads(sys.argv[2])

def dying(key, value):
    write(key, value)
    if key == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

_enforce.write_value = dying
_trial.Trials().start(**arguments)
"""
PORTS = {"net.ipv4.ip_local_port_range": "500 60001", "net.ipv4.ip_unprivileged_port_start": "0x190"}
FRAGMENTS = {"net.ipv4.ipfrag_low_thresh": "8000000", "net.ipv4.ipfrag_high_thresh": "0x895440"}


@pytest.mark.parametrize("values", [PORTS, FRAGMENTS], ids=["ports", "fragments"])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("dies", [False, True], ids=["refused", "died"])
def test_a_value_taken_for_another_goes_back_whatever_it_depends_on(
    host: Any, values: dict[str, str], order: int, dies: bool
) -> None:
    before = host.whole()
    values = dict(list(values.items())[::order])
    if dies:
        fatal = list(PORTS if values.keys() == PORTS.keys() else FRAGMENTS)[1]
        words = ["python3", "-c", DIES_WITH_ANOTHER_VALUE, fatal, json.dumps(start_arguments(values, 60))]
        host.namespace.run(words, check=False, env=host.namespace.environment)
        outcome = host.wait_until_over()
    else:
        assert host.trial("started", sysctl=values)["msg"].endswith("read back. Everything was put back")
        outcome = host.info()["history"][0]
    assert outcome["drift"] == []
    assert host.whole() == before


# Ends where somebody else writes among the writes of a set that is refused.
REFUSED_WHILE_SOMEBODY_WRITES = """
import json, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _enforce, _sysctl_file, _trial

def full(path, content, like=None):
    _enforce.write_value("net.ipv4.tcp_fin_timeout", "44")
    raise OSError(28, "No space left on device")

_sysctl_file.write = full
try:
    _trial.Trials().start(**json.loads(sys.argv[1]))
except _trial.TrialError as problem:
    print(problem)
"""


def test_what_was_not_put_back_is_named(host: Any) -> None:
    arguments = json.dumps(start_arguments(SET, confirm_within=60))
    words = ["python3", "-c", REFUSED_WHILE_SOMEBODY_WRITES, arguments]
    said = host.namespace.run(words, env=host.namespace.environment).stdout
    assert said.endswith("Everything was put back, except net.ipv4.tcp_fin_timeout\n")


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_what_cannot_be_put_back_at_once_does_not_hide_what_putting_back_changed(
    host: Any, family: str, confirmed: bool
) -> None:
    """With one family read-only, the other one goes back, and the interface that forwarded before still does."""
    other, denied = {
        "ipv4": ("ipv6", "net.ipv6.conf.lo.hop_limit"),
        "ipv6": ("ipv4", "net.ipv4.tcp_fin_timeout"),
    }[family]
    host.write(f"net.{family}.conf.lo.forwarding", "1")
    before = host.whole()
    host.trial("started", sysctl={denied: "33", f"net.{family}.conf.all.forwarding": "1"})
    if confirmed:
        host.trial("confirmed")
    folder = f"/proc/sys/net/{other}"
    host.namespace.run(["sh", "-c", f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"])
    assert "cannot be put back" in host.trial("rolled_back")["msg"]
    host.namespace.run(["umount", folder])
    assert host.wait_until_over()["drift"] == []
    assert host.whole() == before


# Starts a trial, and its container is killed among the writes: the guard too. It begins anew in its old network.
CONTAINER_IS_KILLED = """
import json, os, signal, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _enforce, _guard_process, _trial

write = _enforce.write_value

def dying(key, value):
    write(key, value)
    if key == "net.ipv4.tcp_fin_timeout":
        os.kill(os.getpid(), signal.SIGKILL)

_enforce.write_value = dying
_guard_process.start = lambda *arguments: None
_trial.Trials().start(**json.loads(sys.argv[1]))
"""


@pytest.mark.parametrize("key", ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"])
def test_a_container_that_begins_anew_in_its_network_is_as_before(host: Any, key: str) -> None:
    before = host.whole()
    arguments = json.dumps(start_arguments({key: "1", "net.ipv4.tcp_fin_timeout": "20"}, confirm_within=60))
    words = ["python3", "-c", CONTAINER_IS_KILLED, arguments]
    host.namespace.run(words, check=False, env=host.namespace.environment)
    # The first process of a new process namespace began at another time, so it is another start of the host.
    again = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", sys.executable, "-m", INFO]
    answer = host.namespace.run(again, input='{"ANSIBLE_MODULE_ARGS": {}}', env=host.namespace.environment).stdout
    outcome = json.loads(answer)["history"][0]
    assert outcome["reason"] == "the host rebooted before the trial was confirmed"
    assert outcome["drift"] == []
    assert host.whole() == before


@pytest.mark.parametrize("key", ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"])
@pytest.mark.parametrize("dropped", [False, True])
def test_undoing_leaves_alone_what_the_kernel_took_from_a_later_interface(host: Any, key: str, dropped: bool) -> None:
    host.trial("started", sysctl={key: "1"})
    host.trial("confirmed")
    host.namespace.run(["ip", "link", "add", "new0", "type", "veth", "peer", "name", "new1"])
    forwarding = f"net.{key.split('.')[1]}.conf.new0.forwarding"
    assert host.value(forwarding) == "1"
    if dropped:
        host.trial("started", sysctl={"net.ipv4.tcp_fin_timeout": "20"}, rollout_id="r2")
        assert host.value(forwarding) == "0"
        host.trial("confirmed")
    assert host.trial("rolled_back", **({"to": "original"} if dropped else {}))["drift"] == []
    assert host.value(forwarding) == "0"


def test_an_interface_that_came_back_under_its_name_is_reported(host: Any) -> None:
    make = "ip link add gone0 type veth peer name eth0.7"
    host.namespace.run(["sh", "-c", make])
    host.trial("started", sysctl={"net.ipv6.conf.default.hop_limit": "33"})
    host.namespace.run(["sh", "-c", f"ip link del gone0; {make}"])
    drift = host.trial("rolled_back")["drift"]
    assert [(entry["key"], entry["expected"], entry["found"]) for entry in drift] == [
        ("net.ipv6.conf.eth0/7.hop_limit", "64", "33"),
        ("net.ipv6.conf.gone0.hop_limit", "64", "33"),
    ]
