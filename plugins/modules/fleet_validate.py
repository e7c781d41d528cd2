# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: fleet_validate
short_description: Validates the hosts of a fleet against each other
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Some sets are fine for each host and wrong for all of them together. Timestamps are off on one side and reuse is on
    at the other, one real server of a virtual address lacks its ARP settings, the standby director tracks fewer
    connections, or one host of many alike differs.
  - Call it after M(nettune.kernel.sysctl_validate), once for all hosts. The rules are those of the family C(fleet).
options:
  members:
    description:
      - What M(nettune.kernel.sysctl_validate) returned as C(member), by host. Hosts whose value is empty are left out.
    type: dict
    required: true
  waivers:
    description:
      - As for M(nettune.kernel.sysctl_validate); those of the family C(fleet) count here, and only here. One covers a
        finding where it covers all hosts of it.
    type: list
    elements: dict
    default: []
  fail_on:
    description: The least severity that fails.
    type: str
    choices: [error, warning, never]
    default: error
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
seealso:
  - module: nettune.kernel.sysctl_validate
"""

EXAMPLES = r"""
- name: Read the facts of every host
  nettune.kernel.net_facts:

- name: Validate a set for each host
  nettune.kernel.sysctl_validate:
    sysctl:
      net.ipv4.tcp_tw_reuse: 1
    fail_on: never
  register: review

- name: Validate the hosts against each other
  nettune.kernel.fleet_validate:
    members: >-
      {{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, ['review', 'member']))) }}
  run_once: true
"""

RETURN = r"""
findings:
  description: As those of M(nettune.kernel.sysctl_validate), with C(hosts) besides, the hosts to change.
  returned: always
  type: list
  elements: dict
waived:
  description: Findings that a waiver covers, as those of M(nettune.kernel.sysctl_validate).
  returned: always
  type: list
  elements: dict
verdict:
  description: V(rejected) where a finding is as severe as O(fail_on), else V(accepted).
  returned: always
  type: str
fail_on:
  description: The severity from which on a finding rejects.
  returned: always
  type: str
msg:
  description: The findings, a line each.
  returned: always
  type: list
  elements: str
"""
