# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts that take their samples from a real Prometheus, which scrapes real exporters on the hosts of a lab."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.nettune.kernel.plugins.plugin_utils import prometheus
from labs import CHECKOUT, Lab

SERVERS = [f"web{number}" for number in range(1, 4)]
OBSERVER = "nat"
NARROW = "web3"
# Each host's own guard does not judge: only the fleet's figures can find the damage.
# Most looks bring no new sample.
SCRAPE_EVERY = "10s"
PACE = {
    "tune_waves": [1, "100%"],
    "tune_soak": 16,
    "tune_soak_max": 48,
    "tune_look_every": 2,
    "tune_baseline": 10,
    "tune_probe_port": 80,
    "tune_guard": {"enabled": False},
    "tune_observers": [OBSERVER],
}


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    missing = [name for name in ("prometheus", "prometheus-node-exporter") if not shutil.which(name)]
    if missing:
        pytest.skip(f"needs the Debian packages {' and '.join(missing)}")
    lab = make_lab("nat_front", "prom")
    lab.up("--hosts", str(len(SERVERS)), "--set", "net.ipv4.tcp_timestamps=0")
    return lab


def address(lab: Lab, host: str) -> str:
    inventory = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))
    groups = inventory["all"]["children"].values()
    found: str = next(group["hosts"][host]["ansible_host"] for group in groups if host in group["hosts"])
    return found


@pytest.fixture(scope="module")
def url(lab: Lab) -> str:
    exporter = "prometheus-node-exporter --collector.disable-defaults --collector.netstat --collector.stat"
    for host in [*SERVERS, OBSERVER]:
        start(lab, host, f"{exporter} {prometheus.FLAG}")
    # As it comes, without the flag.
    start(lab, NARROW, f"{exporter} --web.listen-address=:9101")
    targets = [f"{address(lab, host)}:9100" for host in [*SERVERS, OBSERVER]] + [f"{address(lab, NARROW)}:9101"]
    settings = {
        "global": {"scrape_interval": SCRAPE_EVERY},
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": targets}]}],
    }
    lab.shell("router", f"mkdir /var/lib/prometheus; echo '{json.dumps(settings)}' > /etc/lab-prometheus.yml")
    start(lab, "router", "prometheus --config.file=/etc/lab-prometheus.yml --storage.tsdb.path=/var/lib/prometheus")
    found = f"http://{address(lab, 'router')}:9090"
    give_up = time.monotonic() + 60
    while up(found) < len(targets):
        assert time.monotonic() < give_up, "Prometheus does not reach all exporters"
        time.sleep(0.3)
    return found


def start(lab: Lab, host: str, command: str) -> None:
    log = f"/var/log/{command.split()[0]}.log"
    lab.shell(host, f"setsid -f {command} </dev/null >>{log} 2>&1")


def up(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?query=sum(up)", timeout=5) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return 0
    return int(result[0]["value"][1]) if result else 0


def rejects(lab: Lab, host: str) -> int:
    counters = lab.counters(host)
    return sum(counters.get(f"TcpExt.{name}", 0) for name in ("PAWSEstab", "PAWSTimewait", "TSEcrRejected"))


@pytest.fixture
def _traffic(lab: Lab) -> Iterator[None]:
    """Until ports come again, so that timestamps could be rejected."""
    lab.run("load", "start", "--seconds", "600")
    give_up = time.monotonic() + 60
    before = opens(lab)
    while opens(lab) - before < 60:
        assert time.monotonic() < give_up, "the clients do not reach 60 connections"
        time.sleep(0.5)
    yield
    lab.run("load", "stop")


def opens(lab: Lab) -> int:
    return lab.counters(SERVERS[0])["Tcp.PassiveOpens"]


def test_an_exporter_that_keeps_back_what_is_watched(rollout: Any, lab: Lab, url: str) -> None:
    instance = f"{address(lab, NARROW)}:9101"
    more = {"tune_prometheus_url": url, "tune_prometheus_instance": instance, "tune_observers": []}
    done = rollout(lab, {**PACE, **more, "tune_hosts": NARROW, "tune_sysctl": {"net.ipv4.tcp_fin_timeout": 30}})
    assert done.returncode != 0
    assert f"{NARROW}: node_exporter does not export what is to be watched: start it with --collector" in done.stdout
    assert "PAWS" in done.stdout
    assert "Roll out in waves" not in done.stdout


def test_a_host_that_is_not_scraped(rollout: Any, lab: Lab, url: str) -> None:
    variables = {**PACE, "tune_prometheus_url": url, "tune_hosts": "servers", "tune_observers": ["clients"]}
    done = rollout(lab, {**variables, "tune_sysctl": {"net.ipv4.tcp_fin_timeout": 30}})
    assert done.returncode != 0
    assert f"{url} has no recent samples of client (" in done.stdout
    assert "Roll out in waves" not in done.stdout


def test_our_own_connections_prove_nothing(rollout: Any, record: Any, lab: Lab, url: str) -> None:
    """Nobody else connects to the host. Between two samples there are connects of several looks."""
    probes = [{"each": True, "port": 80, "rate": 4}]
    variables = {**PACE, "tune_hosts": NARROW, "tune_prometheus_url": url, "tune_probes": probes, "tune_soak_max": 20}
    done = rollout(lab, {**variables, "tune_sysctl": {"net.ipv4.tcp_keepalive_time": 602}})
    assert done.returncode != 0, done.stdout
    (wave,) = record()["waves"]
    assert wave["verdict"] == "inconclusive", wave["reason"]
    counted = wave["figures"]["hosts"][NARROW]
    assert counted["connects"] > 20
    assert counted["opens"] == 0, counted
    assert wave["figures"]["excluded"] == {}


@pytest.mark.usefixtures("_traffic")
def test_a_good_set_is_promoted_and_a_bad_one_rolled_back(rollout: Any, record: Any, lab: Lab, url: str) -> None:
    variables = {**PACE, "tune_hosts": "servers", "tune_prometheus_url": url}
    good = rollout(lab, {**variables, "tune_sysctl": {"net.ipv4.tcp_keepalive_time": 601}, "tune_waves": ["100%"]})
    assert good.returncode == 0, good.stdout
    (wave,) = record()["waves"]
    subject = wave["observations"]["hosts"]["web1"]
    # Times and boot ids are those of Prometheus, not of the hosts.
    moments = [sample["time"] for sample in subject["before"] + subject["samples"]]
    assert moments == sorted(moments)
    assert abs(moments[-1] - wave["observations"]["began"]) < 300
    assert len({sample["boot_id"] for sample in subject["before"] + subject["samples"]}) == 1
    assert OBSERVER in wave["observations"]["observers"]

    before = {host: rejects(lab, host) for host in SERVERS}
    example = yaml.safe_load((CHECKOUT / "examples" / "nat_timestamps.yml").read_text(encoding="utf-8"))
    bad = rollout(lab, {**variables, **example, "tune_report_dir": str(lab.directory)})
    assert bad.returncode != 0, bad.stdout
    assert "Wave 1: roll_back: too many timestamp rejects" in bad.stdout
    assert [host for host in SERVERS if rejects(lab, host) > before[host]] == ["web1"]
    assert lab.shell("web1", "cat /proc/sys/net/ipv4/tcp_timestamps") == "0\n"
