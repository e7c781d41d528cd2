# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook validate without hosts: from stored facts and from Ansible's fact cache, with files for CI."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
FACTS = ROOT / "examples" / "facts"
SEEDS = ROOT / "examples" / "seeds"
OLD, PROXY, NEW = "kernel-3.10-behind-nat", "kernel-4.19-l7-proxy-behind-lvs-dr", "kernel-6.18-nat-gateway"
GOOD = {"tune_sysctl": {"net.core.somaxconn": 8192}}
BAD = {"tune_sysctl": {"net.ipv4.tcp_tw_recycle": 1}}
FORMATS = {"findings.json", "findings.sarif", "findings.junit.xml", "findings.txt"}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: pathlib.Path) -> Run:
    """Runs the playbook in the test's folder. A host that is touched after all leaves a line in the file `touched`."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path / "touched"}\nexit 255\n')
    ssh.chmod(0o755)

    def run(variables: dict[str, Any], *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program = pathlib.Path(sys.executable).parent / "ansible-playbook"
        return subprocess.run(
            [str(program), "nettune.kernel.validate", "-e", json.dumps(variables), *options],
            cwd=tmp_path,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_SSH_EXECUTABLE": str(ssh),
                "ANSIBLE_INVENTORY": "/dev/null",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def inventory(tmp_path: pathlib.Path) -> str:
    """Of hosts that do not exist."""
    path = tmp_path / "inventory.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {OLD: {}, PROXY: {}, NEW: {}}, "vars": {"ansible_user": "x"}}}))
    return str(path)


def test_a_host_that_is_touched_leaves_a_trace(run: Run, inventory: str, tmp_path: pathlib.Path) -> None:
    done = run(GOOD, "-i", inventory)
    assert done.returncode != 0
    assert OLD in (tmp_path / "touched").read_text()


def test_without_inventory_the_hosts_are_those_of_the_folder(run: Run, tmp_path: pathlib.Path) -> None:
    done = run({**GOOD, "tune_facts_dir": str(FACTS)})
    assert done.returncode == 0, done.stdout + done.stderr
    for host in (OLD, PROXY, NEW):
        assert f"{host} " in done.stdout.partition("PLAY RECAP")[2]
    assert not (tmp_path / "touched").exists()
    # Nor was any file asked for.
    assert {item.name for item in tmp_path.iterdir()} == {"ssh"}


def test_some_hosts_of_the_folder(run: Run) -> None:
    done = run({**GOOD, "tune_facts_dir": str(FACTS), "tune_hosts": "*nat*"})
    recap = done.stdout.partition("PLAY RECAP")[2]
    assert done.returncode == 0
    assert OLD in recap
    assert PROXY not in recap


def test_an_inventory_names_the_hosts(run: Run, inventory: str, tmp_path: pathlib.Path) -> None:
    done = run({**GOOD, "tune_facts_dir": str(FACTS)}, "-i", inventory, "--limit", NEW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert OLD not in done.stdout
    assert not (tmp_path / "touched").exists()


def test_a_host_without_stored_facts_fails_and_the_others_are_heard(
    run: Run, inventory: str, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "facts"
    folder.mkdir()
    for host in (PROXY, NEW):
        shutil.copy(FACTS / f"{host}.json", folder)
    (folder / f"{NEW}.json").write_text("{")
    findings = tmp_path / "out" / "findings"
    done = run(
        {**GOOD, "tune_facts_dir": "facts", "tune_findings_dir": str(findings), "tune_fail_on": "never"},
        "-i",
        inventory,
    )
    assert done.returncode != 0
    assert f"there are no stored facts: facts/{OLD}.json does not exist" in done.stdout
    assert f"stored facts are no JSON: facts/{NEW}.json: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    stored = json.loads((findings / "findings.json").read_text())["hosts"]
    assert stored[PROXY]["verdict"] == "accepted"
    assert "does not exist" in stored[OLD]["problem"]
    assert "no JSON" in stored[NEW]["problem"]
    suites = ET.parse(findings / "findings.junit.xml").getroot()
    assert {suite.get("name"): suite.get("errors") for suite in suites} == {
        OLD: "1", PROXY: "0", NEW: "1", "all hosts together": "0",
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_folder_without_facts_is_no_success(run: Run, tmp_path: pathlib.Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    done = run({**GOOD, "tune_facts_dir": folder})
    assert done.returncode != 0
    assert f"No host: there is no inventory, and {tmp_path / folder} (tune_facts_dir) holds no HOST.json" in done.stdout


def test_a_set_as_a_file_with_the_lines_in_sarif(run: Run, tmp_path: pathlib.Path) -> None:
    shutil.copy(SEEDS / "003_everything.conf", tmp_path)
    done = run(
        {
            "tune_sysctl_conf_file": "003_everything.conf",
            "tune_facts_dir": str(FACTS),
            "tune_findings_dir": "findings",
        }
    )
    assert done.returncode != 0
    assert "the sysctl set is rejected" in done.stdout
    assert {item.name for item in (tmp_path / "findings").iterdir()} == FORMATS
    assert f"{OLD}: the sysctl set is rejected" in (tmp_path / "findings" / "findings.txt").read_text()
    (mem,) = (
        result
        for result in json.loads((tmp_path / "findings" / "findings.sarif").read_text())["runs"][0]["results"]
        if result["ruleId"] == "buffers.pages_beyond_memory" and OLD in result["message"]["text"]
    )
    (place,) = mem["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "003_everything.conf", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 25},
    }
    assert place["logicalLocations"][0]["fullyQualifiedName"] == f"{OLD}/net.ipv4.tcp_mem"


def test_a_set_of_the_inventory_with_its_lines(run: Run, inventory: str, tmp_path: pathlib.Path) -> None:
    variables = tmp_path / "group_vars"
    variables.mkdir()
    (variables / "all.yml").write_text("---\ntune_sysctl:\n  net.core.somaxconn: 8192\n  net/ipv4/tcp_tw_recycle: 1\n")
    done = run({"tune_facts_dir": str(FACTS), "tune_findings_dir": "findings"}, "-i", inventory)
    assert done.returncode != 0
    places = {
        json.dumps(location.get("physicalLocation"), sort_keys=True)
        for result in json.loads((tmp_path / "findings" / "findings.sarif").read_text())["runs"][0]["results"]
        for location in result["locations"]
        if location["logicalLocations"][0]["name"] == "net.ipv4.tcp_tw_recycle"
    }
    assert places == {
        json.dumps(
            {
                "artifactLocation": {"uri": "group_vars/all.yml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 4},
            },
            sort_keys=True,
        )
    }


def test_text_in_a_variable(run: Run) -> None:
    folder = {"tune_facts_dir": str(FACTS), "tune_hosts": NEW}
    assert run({**folder, "tune_sysctl_conf": "net.core.somaxconn = 8192\n"}).returncode == 0
    assert run({**folder, "tune_sysctl_conf": "net.ipv4.tcp_tw_recycle = 1\n"}).returncode != 0


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "here are none"),
        ({**GOOD, "tune_sysctl_conf_file": "x"}, "here are both"),
        ({"tune_sysctl_conf_file": "x.conf"}, "there is no file"),
        ({**GOOD, "tune_topology": {"front": "magic"}}, "magic"),
    ],
)
def test_refused_with_one_clear_error(run: Run, variables: dict[str, Any], sentence: str) -> None:
    done = run({**variables, "tune_facts_dir": str(FACTS), "tune_hosts": NEW})
    assert done.returncode != 0
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_fail_on(run: Run) -> None:
    folder = {"tune_facts_dir": str(FACTS), "tune_hosts": NEW}
    assert run({**folder, **BAD, "tune_fail_on": "never"}).returncode == 0
    warned = {"tune_sysctl": {"net.ipv4.tcp_timestamps": 0}}
    assert run({**folder, **warned}).returncode == 0
    assert run({**folder, **warned, "tune_fail_on": "warning"}).returncode != 0


def test_files_cannot_be_written(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    done = run({**GOOD, "tune_facts_dir": str(FACTS), "tune_findings_dir": "file/findings"})
    assert done.returncode != 0
    assert "the findings cannot be written" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_check_mode_writes_nothing(run: Run, tmp_path: pathlib.Path) -> None:
    done = run({**GOOD, "tune_facts_dir": str(FACTS), "tune_findings_dir": "findings"}, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {item.name for item in tmp_path.iterdir()} == {"ssh"}


def test_stored_once_validated_later(run: Run, tmp_path: pathlib.Path) -> None:
    """This machine stands in for the host that is read; only its facts are."""
    live = ("-i", "web1,", "-c", "local")
    python = {"ansible_python_interpreter": sys.executable}
    done = run({**GOOD, **python, "tune_store_facts_dir": "facts"}, *live)
    assert done.returncode == 0, done.stdout + done.stderr
    stored = json.loads((tmp_path / "facts" / "web1.json").read_text())
    assert stored["kernel"]["release"] == os.uname().release
    later = run({**GOOD, "tune_facts_dir": "facts"})
    assert later.returncode == 0, later.stdout + later.stderr
    assert "web1 " in later.stdout.partition("PLAY RECAP")[2]
    assert not (tmp_path / "touched").exists()


def test_the_fact_cache(run: Run, tmp_path: pathlib.Path) -> None:
    cache = {
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "cache"),
    }
    live = ("-i", "web1,", "-c", "local")
    assert run({**GOOD, "ansible_python_interpreter": sys.executable}, *live, **cache).returncode == 0
    # The same host, which cannot be reached any more, and one that was never heard of.
    cached = run({**GOOD, "tune_facts_cached": True}, "-i", "web1,", **cache)
    assert cached.returncode == 0, cached.stdout + cached.stderr
    unknown = run({**GOOD, "tune_facts_cached": True, "tune_store_facts_dir": "facts"}, "-i", "web1,web2", **cache)
    assert unknown.returncode != 0
    assert "there are no facts with a kernel.release of it" in unknown.stdout
    assert [item.name for item in (tmp_path / "facts").iterdir()] == ["web1.json"]
    assert not (tmp_path / "touched").exists()


def test_hosts_that_do_not_fit_each_other(run: Run, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "facts"
    folder.mkdir()
    for host, change in (
        (OLD, lambda facts: facts["sysctl"].update({"net.ipv4.tcp_tw_recycle": "1", "net.ipv4.tcp_timestamps": "1"})),
        (NEW, lambda facts: facts["kernel"].update({"timestamp_offset_per_tuple": True})),
    ):
        stored = json.loads((FACTS / f"{host}.json").read_text())
        change(stored.get("nettune", stored))
        (folder / f"{host}.json").write_text(json.dumps(stored))
    request = {**GOOD, "tune_facts_dir": str(folder), "tune_findings_dir": "findings"}
    done = run(request)
    assert done.returncode != 0
    assert "The hosts do not fit each other, as said above: fleet.recycle_meets_offsets." in done.stdout
    assert json.loads((tmp_path / "findings" / "findings.json").read_text())["fleet"]["verdict"] == "rejected"
    sarif = json.loads((tmp_path / "findings" / "findings.sarif").read_text())
    assert "fleet.recycle_meets_offsets" in {result["ruleId"] for result in sarif["runs"][0]["results"]}
    assert f"{OLD}: error fleet.recycle_meets_offsets: net.ipv4.tcp_tw_recycle is on ({OLD})" in done.stdout
    waiver = {"rule": "fleet.recycle_meets_offsets", "reason": "these two never meet"}
    done = run({**request, "tune_waivers": [waiver]})
    assert done.returncode == 0, done.stdout
    assert "fleet.recycle_meets_offsets: net" not in done.stdout
    # Heard of also where no host is left, since each rejects its own set.
    done = run({**request, **BAD})
    assert "fleet.recycle_meets_offsets: net" in done.stdout


def test_what_tells_hosts_apart_and_why_a_key_differs(run: Run, tmp_path: pathlib.Path) -> None:
    """Variables of hosts reach the rules over hosts: the names of strata, templated, and reasons."""
    folder = tmp_path / "facts"
    folder.mkdir()
    hosts = {f"web{number}": {"tune_sysctl": {"net.core.somaxconn": 8192}} for number in range(3)}
    hosts["web2"]["tune_sysctl"] = {"net.core.somaxconn": 16384}
    for host in hosts:
        shutil.copy(FACTS / f"{NEW}.json", folder / f"{host}.json")
    inventory = tmp_path / "hosts.yml"

    def uneven(**of_web2: Any) -> bool:
        hosts["web2"] = {"tune_sysctl": {"net.core.somaxconn": 16384}, **of_web2}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": {"kind": "{{ site | default('a') }}"}}}))
        done = run({"tune_facts_dir": str(folder), "tune_strata": ["kind"]}, "-i", str(inventory))
        assert done.returncode == 0, done.stdout
        return "fleet.uneven_within_stratum" in done.stdout

    assert uneven()
    assert not uneven(site="b")
    assert not uneven(tune_reasons={"net.core.somaxconn": "it serves the short connections"})
