# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_probe
short_description: Opens fresh TCP connections from the controller and counts them
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - A broken change to TCP timestamps drops new SYNs while old connections live on, and some such damage moves no
    counter of the host. So connections are opened anew, as a client would, and closed at once.
  - All targets are probed side by side for O(seconds). No more than 500 connections per second are opened in all.
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  targets:
    description: Where to connect to.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: The name that the counts are returned under.
        type: str
        required: true
      address:
        description: Address or name.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
  seconds:
    description: For how long. V(0) connects to every target once.
    type: float
    default: 0
  rate:
    description: Connections per second and target.
    type: float
    default: 1
  timeout:
    description: Seconds after which a connect has failed.
    type: float
    default: 3
  slow_ms:
    description: Milliseconds from which on a connect is slow.
    type: float
    default: 500
seealso:
  - module: nettune.kernel.rollout_gate
"""

EXAMPLES = r"""
- name: Connect to two servers for half a minute
  nettune.kernel.rollout_probe:
    targets:
      - {host: web1, address: 192.0.2.11, port: 80}
      - {host: web2, address: 192.0.2.12, port: 80}
    seconds: 30
    rate: 2
  register: probed
  run_once: true
"""

RETURN = r"""
probes:
  description: Counts by host.
  returned: success
  type: dict
  sample:
    web1:
      address: 192.0.2.11
      port: 80
      attempts: 60
      ok: 59
      slow: 0
      failed: 1
      median_ms: 0.4
      max_ms: 1.9
      errors: {timed out: 1}
connected:
  description: Hosts to which at least one connection was opened.
  returned: success
  type: list
  elements: str
"""
