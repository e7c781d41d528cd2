# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: validate_report
short_description: Writes what validation found on all hosts as JSON, SARIF, JUnit XML and text
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Writes C(findings.json), C(findings.sarif) (SARIF 2.1.0), C(findings.junit.xml) and C(findings.txt), for CI and for
    people.
  - In SARIF, a finding that several hosts share word for word is one result that names them all. Its location is the
    line of the set, where the set comes from a file, and the host and key.
  - In JUnit XML, each host is a suite. Each finding is a test case that fails where it is a reason to reject the set;
    each key of which nothing is found is a case that passes; what is waived is skipped. The hosts together are a suite
    too, where O(fleet) is given.
options:
  directory:
    description: Folder on the controller. It is made where it is missing.
    type: str
    required: true
  reviews:
    description: Results of M(nettune.kernel.sysctl_validate), by host.
    type: dict
    required: true
  fleet:
    description: Result of M(nettune.kernel.fleet_validate) on these hosts.
    type: dict
    default: {}
  sysctl:
    description:
      - The set that each host was asked about, by host; for places. With ansible-core 2.19 or newer the file and line
        of each key are known.
    type: dict
    default: {}
  sysctl_conf_file:
    description: The file on the controller that each host's set comes from, by host; for places.
    type: dict
    default: {}
  fail_on:
    description: The severity from which on a finding rejects the set, by host. V(error) where it is missing.
    type: dict
    default: {}
  problem:
    description: Why a host could not be validated, by host.
    type: dict
    default: {}
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
seealso:
  - module: nettune.kernel.sysctl_validate
  - module: nettune.kernel.fleet_validate
"""

EXAMPLES = r"""
- name: Judge a file for each host
  nettune.kernel.sysctl_validate:
    sysctl_conf: "{{ lookup('ansible.builtin.file', 'proxies.conf') }}"
    fail_on: never
  register: review

- name: Write what was found
  nettune.kernel.validate_report:
    directory: findings
    reviews: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'review'))) }}"
    sysctl_conf_file: "{{ dict(ansible_play_hosts | product(['proxies.conf'])) }}"
  run_once: true
"""

RETURN = r"""
verdict:
  description:
    - V(rejected) where a host rejects the set or could not be validated, or where the hosts together reject it, else
      V(accepted).
  returned: success
  type: str
files:
  description: Paths of the files.
  returned: success
  type: dict
  contains:
    json:
      description: Everything, host by host.
      type: str
    sarif:
      description: SARIF 2.1.0.
      type: str
    junit:
      description: JUnit XML.
      type: str
    text:
      description: The reviews; hosts with the same one share it.
      type: str
msg:
  description: How many hosts failed, and where the files are.
  returned: success
  type: str
"""
