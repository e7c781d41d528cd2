# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of many hosts by one query: what node_exporter reads is what the host half reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._counters import OPENS, WATCHED

Sample = dict[str, Any]

_BOOT = "node_boot_time_seconds"
_METRICS = {f"node_netstat_{name.replace('.', '_')}": name for name in WATCHED}
# What a host that exports too little is told. The default of node_exporter, with what is watched here.
FLAG = (
    "--collector.netstat.fields='^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)"
    "|Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop"
    "|PAWS.*|TSEcrRejected|TCPReqQFull.*|TCPTimeWaitOverflow|TCPACKSkippedTimeWait)"
    "|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab|AttemptFails|EstabResets)"
    "|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$'"
)


class BadAnswer(Exception):
    """What Prometheus said instead of samples; a sentence for people."""


def query(instances: Iterable[str], seconds: float, matchers: str = "") -> str:
    """PromQL for all scrapes of the last seconds. A range selector: its values have the times of their scrapes."""
    names = "|".join([*_METRICS, _BOOT])
    wanted = "|".join(_literal(instance) for instance in sorted(set(instances)))
    more = f",{matchers}" if matchers else ""
    return f"{{__name__=~{json.dumps(names)},instance=~{json.dumps(wanted)}{more}}}[{max(1, round(seconds))}s]"


def _literal(text: str) -> str:
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def samples(answer: Any, instances: Mapping[str, str]) -> dict[str, list[Sample]]:
    """{host: its samples, oldest first}, from the answer of /api/v1/query. instances: {host: instance}."""
    scrapes: dict[str, dict[float, dict[str, int]]] = {}
    try:
        if answer["status"] != "success":
            raise BadAnswer(f"Prometheus refuses the query: {answer.get('error', answer['status'])}")
        for series in answer["data"]["result"]:
            labels = series["metric"]
            of_instance = scrapes.setdefault(labels["instance"], {})
            for moment, value in series["values"]:
                of_scrape = of_instance.setdefault(float(moment), {})
                if labels["__name__"] in of_scrape:
                    raise BadAnswer(
                        f"Prometheus has two series of {labels['__name__']} for instance {labels['instance']}: "
                        'narrow them down with tune_prometheus_matchers, for example job="node"'
                    )
                of_scrape[labels["__name__"]] = int(float(value))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as problem:
        raise BadAnswer(f"this is no answer of Prometheus: {problem!r} is wrong or missing") from None
    return {
        host: [
            _sample(moment, values) for moment, values in sorted(scrapes.get(instance, {}).items()) if _BOOT in values
        ]
        for host, instance in instances.items()
    }


def _sample(moment: float, values: Mapping[str, int]) -> Sample:
    return {
        # Of the scrape, by the clock of Prometheus.
        "time": moment,
        "boot_id": str(values[_BOOT]),
        "counters": {counter: values[metric] for metric, counter in _METRICS.items() if metric in values},
    }


def thinned(samples: list[Sample]) -> list[Sample]:
    """No more than some forty of them, the oldest first."""
    step = max(1, -(-len(samples) // 40))
    return samples[::step]


def lacks(sample: Sample) -> bool:
    """Whether node_exporter keeps back what is watched: its default has no counter of rejects."""
    counters = sample["counters"]
    return not all(name in counters for name in OPENS) or not any(".PAWS" in name for name in counters)


def instance_of(host: str, variables: Mapping[str, Any]) -> str:
    named = variables.get("tune_prometheus_instance")
    if named:
        return str(named)
    address = str(variables.get("ansible_host") or host)
    return f"[{address}]:9100" if ":" in address and not address.startswith("[") else f"{address}:9100"
