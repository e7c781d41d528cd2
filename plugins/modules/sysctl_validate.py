# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: sysctl_validate
short_description: Judge a set of network sysctls for a host before anything is touched
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Resolves a sysctl set for one host into a plan (value now, value proposed, value after the next boot) and says
    what an expert
    would say of it, for this kernel, this memory, these listeners and this topology.
  - Works from facts alone, on the controller. Nothing on the host is read or changed.
  - A fact that is missing is unknown, never false. The live host decides whether a key exists; where it was not
    read, the
    catalogue of kernel versions does, and the finding says so.
options:
  sysctl:
    description:
      - Keys and values, in either spelling of keys (V(net.ipv4.ip_forward) or V(net/ipv4/ip_forward)).
      - Values are numbers or texts; a list of numbers is one text, such as V(4096 131072 16777216).
      - Exactly one of O(sysctl) and O(sysctl_conf) is given.
    type: dict
  sysctl_conf:
    description:
      - Text in the syntax of sysctl.d(5), with comments, C(-) and globs. Messages name its lines.
    type: str
  facts:
    description:
      - Facts of the host, as M(nettune.kernel.net_facts) returns them. Only C(kernel.release) is required.
      - Default is C(ansible_facts.nettune) of the host.
    type: dict
  facts_dir:
    description:
      - Folder on the controller with stored facts, a file for each host as of M(nettune.kernel.stored_facts). Takes
        the place of O(facts), and keeps nothing of them in memory.
    type: path
  topology:
    description:
      - What brings clients to the host and what it is for, as its owner declares it. What is left out is taken
        from detected facts.
      - A declaration is never overruled; where evidence speaks against it, that is a finding.
    type: dict
    suboptions:
      role:
        description: What the host is for.
        type: list
        elements: str
        choices: [server, client, l7_proxy, database, nat_gateway, lvs_director, kubernetes_node]
      front:
        description: What brings clients here; on an LVS director, how it passes them on.
        type: str
        choices: [none, nat, lvs_dr, lvs_nat, lvs_tun, lvs_fullnat, l7, unknown]
      clients_behind_nat:
        description:
          - Whether several clients reach the host from one address. One of V(true), V(false) and V(unknown).
        type: raw
      vips:
        description: Virtual addresses that the host serves.
        type: list
        elements: str
  waivers:
    description:
      - Findings that are accepted, with the reason. A waiver that is expired, or that covers nothing, is a
        finding itself.
    type: list
    elements: dict
    suboptions:
      rule:
        description: Id of the rule, as the finding names it.
        type: str
        required: true
      reason:
        description: Why the finding is accepted.
        type: str
        required: true
      keys:
        description: Only findings whose keys are all among these. Default is any.
        type: list
        elements: str
      hosts:
        description: Only on these hosts; names or patterns with C(*). Default is any.
        type: list
        elements: str
      expires:
        description: Last day on which the waiver holds, such as V(2027-12-31).
        type: str
  reasons:
    description: Why each key is set; it goes into the plan, and from there into the file.
    type: dict
  file:
    description: The file that will hold the set, for what wins at the next boot.
    type: path
    default: /etc/sysctl.d/90-nettune.conf
  fail_on:
    description: The severity from which on a finding rejects the set and fails the task; V(never) only reports.
    type: str
    choices: [error, warning, never]
    default: error
  strata:
    description:
      - What tells hosts apart that may differ, as paths in the facts or names of variables; for
        M(nettune.kernel.fleet_validate).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
seealso:
  - module: nettune.kernel.net_facts
  - module: nettune.kernel.fleet_validate
  - module: nettune.kernel.sysctl_trial
"""

EXAMPLES = r"""
- name: Read what the host is
  nettune.kernel.net_facts:

- name: Judge a set
  nettune.kernel.sysctl_validate:
    sysctl:
      net.ipv4.tcp_tw_reuse: 1
      net.ipv4.ip_local_port_range: 10240 65535
    topology:
      role: [l7_proxy]
      front: lvs_dr
      clients_behind_nat: false

- name: Judge a file for a host that only its stored facts stand for
  nettune.kernel.sysctl_validate:
    sysctl_conf: "{{ lookup('ansible.builtin.file', 'old-sysctl.conf') }}"
    facts: "{{ lookup('ansible.builtin.file', 'facts/proxy-17.json') | from_json }}"
    fail_on: never
  register: review
"""

RETURN = r"""
findings:
  description: What the rules say, the worst first.
  returned: when the arguments can be understood, also when the task fails
  type: list
  elements: dict
  contains:
    rule:
      description: Id of the rule, family.name.
      type: str
    severity:
      description:
        - V(error), will break or will not apply; V(warning), probably not wanted; V(info), no effect, or
          folklore.
      type: str
    keys:
      description: The keys that it is about.
      type: list
      elements: str
    message:
      description: What will happen on this host.
      type: str
    reason:
      description: Why.
      type: str
    fix:
      description: What to write instead.
      type: str
    references:
      description: Where to read it.
      type: list
      elements: str
waived:
  description: Findings that a waiver covers, each with C(waiver), its reason, and C(expires), a day or V(null).
  returned: when the arguments can be understood, also when the task fails
  type: list
  elements: dict
plan:
  description: The set, resolved for this host, in the order given. V(null) is unknown.
  returned: when the arguments can be understood, also when the task fails
  type: list
  elements: dict
  contains:
    key:
      description: The key in its canonical spelling.
      type: str
    now:
      description: Its live value.
      type: str
    proposed:
      description: The value of the set, with single spaces.
      type: str
    after_boot:
      description: Its value after the next boot, once the set is persisted.
      type: str
    why:
      description: The reason given for it.
      type: str
  sample:
    - key: net.ipv4.tcp_fin_timeout
      now: "60"
      proposed: "20"
      after_boot: "20"
      why: orphans of slow mobile clients
verdict:
  description: V(accepted) or V(rejected).
  returned: when the arguments can be understood, also when the task fails
  type: str
member:
  description: What M(nettune.kernel.fleet_validate) compares of this host.
  returned: when the arguments can be understood, also when the task fails
  type: dict
msg:
  description: The findings as text, or what is wrong with the arguments.
  returned: when there is something to say
  type: str
"""
