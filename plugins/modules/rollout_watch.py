# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_watch
short_description: Plans who looks on at a rollout, and which connections are opened from where
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Turns O(observers) and O(probes), as people write them, into hosts and into probes of
    M(nettune.kernel.rollout_probe). Says what is wrong with them before any host is touched.
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  observers:
    description: Hosts and groups of the inventory that look on.
    type: list
    elements: str
    default: []
  probes:
    description: Connections to be opened. Either O(probes[].host) or O(probes[].each) is needed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the probe, or the beginning of it with O(probes[].each).
        type: str
      type:
        description: As in M(nettune.kernel.rollout_probe).
        type: str
        choices: [tcp, http]
      host:
        description: Address or name of a service.
        type: str
      each:
        description: Whether to connect to each of O(targets).
        type: bool
        default: false
      port:
        description: TCP port. Not needed with O(probes[].each), where each of O(targets) has its own.
        type: int
      path:
        description: As in M(nettune.kernel.rollout_probe).
        type: str
      status:
        description: As in M(nettune.kernel.rollout_probe).
        type: list
        elements: int
      rate:
        description: As in M(nettune.kernel.rollout_probe). Each of O(targets) has its own, too.
        type: float
      timeout:
        description: As in M(nettune.kernel.rollout_probe).
        type: float
      slow_ms:
        description: As in M(nettune.kernel.rollout_probe).
        type: float
      from:
        description: Who opens it; V(controller), V(observers), or hosts and groups among O(observers).
        type: list
        elements: str
        default: [controller]
  targets:
    description: Hosts for O(probes[].each), each with C(host), C(address), C(port) and C(rate). Port 0 leaves one out.
    type: list
    elements: dict
    default: []
  changed:
    description: The hosts that the rollout changes. None of them can be an observer.
    type: list
    elements: str
    default: []
  tallies:
    description: What became of the probes before the change. Those that got no answer are left out of the plan.
    type: list
    elements: dict
seealso:
  - module: nettune.kernel.rollout_probe
"""

EXAMPLES = r"""
- name: Plan which connections are opened
  nettune.kernel.rollout_watch:
    observers: [proxies]
    probes:
      - {type: http, host: 192.0.2.100, port: 80, path: /health, from: [controller, observers]}
      - {each: true}
    targets:
      - {host: web1, address: 192.0.2.11, port: 80, rate: 2}
      - {host: web2, address: 192.0.2.12, port: 80, rate: 2}
  register: watch
  run_once: true
"""

RETURN = r"""
observers:
  description: Names of the hosts that look on.
  returned: success
  type: list
  elements: str
probes:
  description: By who opens them, the probes for M(nettune.kernel.rollout_probe).
  returned: success
  type: dict
  sample:
    controller:
      - host: web1
        type: tcp
        address: 192.0.2.11
        port: 80
        path: /
        status: [200]
        rate: 2
        timeout: 3
        slow_ms: 500
msg:
  description: Which probes are not watched.
  returned: when O(tallies) has probes without any answer
  type: str
"""
