# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_prometheus
short_description: Takes samples of the watched counters from Prometheus
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - One request for all hosts, in place of a connection to each. Samples are as those of
    M(nettune.kernel.rollout_look), with the times of their scrapes. The C(boot_id) is the time of boot by the host's
    clock; M(nettune.kernel.rollout_gate) takes two of them less than 60 seconds apart for one boot.
  - Whether a trial goes on, nobody asks the host.
  - The counters are those of node_exporter's collector C(netstat), which by default exports no timestamp rejects. It
    needs a wider C(--collector.netstat.fields); the message of a failure with O(complete) gives the whole flag.
  - A host without a scrape in the last O(seconds) has no sample.
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  url:
    description: Where Prometheus, or what speaks its API, is found; without C(/api/v1).
    type: str
    required: true
  hosts:
    description: Names of hosts of the inventory.
    type: list
    elements: str
    required: true
  instances:
    description:
      - The label C(instance) of hosts. Without it, the variable C(tune_prometheus_instance) of the host, or else its
        address and port 9100.
    type: dict
    default: {}
  matchers:
    description: Further label matchers of PromQL, such as V(job="node").
    type: str
    default: ""
  seconds:
    description: How old the oldest scrape may be. At least twice the scrape interval.
    type: float
    default: 60
  bearer_token:
    description: Token for C(Authorization).
    type: str
  headers:
    description: Further headers of the request.
    type: dict
    default: {}
  timeout:
    description: Seconds after which the request has failed.
    type: float
    default: 10
  validate_certs:
    description: Whether to check the certificate of an HTTPS address.
    type: bool
    default: true
  ca_path:
    description: File with the certificates to check against, in place of the system's.
    type: path
  before:
    description: Whether to return the scrapes before the newest one, too.
    type: bool
    default: false
  complete:
    description:
      - Fail where Prometheus does not answer, where it has no sample of a host, or where node_exporter keeps back what
        is watched. Otherwise that is a host without a sample.
    type: bool
    default: false
seealso:
  - module: nettune.kernel.rollout_look
  - module: nettune.kernel.rollout_gate
"""

EXAMPLES = r"""
- name: Take samples of the hosts
  nettune.kernel.rollout_prometheus:
    url: https://prometheus.example:9090
    hosts: "{{ ansible_play_hosts }}"
    bearer_token: "{{ vault_prometheus_token }}"
  register: scraped
  run_once: true
"""

RETURN = r"""
hosts:
  description:
    - C(sample), the newest one, or null. It is the same again where there was no scrape since the last call.
    - With O(before), C(before), those before it, oldest first, and C(baseline), the newest one in a list, as a trial
      returns it.
  returned: success
  type: dict
  sample:
    web1:
      sample: {time: 1795249000.5, boot_id: "1795000000", counters: {TcpExt.PAWSEstab: 3, Tcp.PassiveOpens: 1200}}
instances:
  description: The label C(instance) of each host.
  returned: success
  type: dict
  sample: {web1: "192.0.2.11:9100"}
"""
