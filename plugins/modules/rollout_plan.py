# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_plan
short_description: Plans the waves of a rollout, or says why it must not begin
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Collects what M(nettune.kernel.rollout_review) said of all hosts. Fails with one account of all hosts that are out
    of reach or reject the set.
  - Otherwise divides the hosts into waves. The first wave holds at least one host of every stratum; the later ones
    keep the mix of strata. No wave has more hosts of a failure domain than it may.
  - With O(wave), plans for that wave alone. The plan of the whole is made for the first, and taken up again for the
    others.
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: full
    details: In check mode no plan is written to O(directory).
  diff_mode:
    support: none
options:
  rollout_id:
    description: Names the rollout.
    type: str
    default: ""
  reviews:
    description:
      - Results of M(nettune.kernel.rollout_review) by host, in the order of the inventory. Needs O(rollout_id) and
        O(waves).
      - Without it the module only names the rollout, and fails where a keyword of the play breaks what a rollout
        promises, whichever task it is in (C(strategy) other than linear, C(max_fail_percentage), C(rescue) around
        the role where there is C(serial)).
      - Each rendered file must say the same as the plan of its host, and no two hosts may differ in C(shared).
    type: dict
  missing:
    description: Hosts that the play has lost before the rollout. It must not begin without them.
    type: list
    elements: str
    default: []
  fleet:
    description:
      - The result of M(nettune.kernel.fleet_validate) for the same hosts. A rejected fleet must not begin.
    type: dict
    default: {}
  waves:
    description:
      - How many hosts each wave has, as counts and percentages of all hosts. The last one repeats until no host is
        left.
    type: list
    elements: raw
  canaries:
    description:
      - Names of hosts that are the first wave, in place of the first of O(waves), with one host of every stratum that
        they miss. Those that are not among O(reviews) are named and left out.
    type: list
    elements: str
    default: []
  strata:
    description:
      - What tells kinds of hosts apart. Paths in the facts, V(role) for the declared or else detected role, or
        paths in the variables.
    type: list
    elements: str
    default: []
  failure_domain:
    description:
      - What hosts share that fail together; a path in the facts or in the variables. Every host must have it. Empty is
        none.
    type: str
    default: ""
  max_out_per_group:
    description: How many hosts of one failure domain a wave may have, as a count or a percentage of the domain.
    type: raw
    default: "25%"
  controls:
    description: How many hosts are watched beside a wave.
    type: int
    default: 5
  limits:
    description: As of M(nettune.kernel.rollout_gate). Wrong ones are found before anything begins.
    type: dict
    default: {}
  directory:
    description:
      - The folder of reports, which must not hold one of the same O(rollout_id). Without O(wave), that is; with it, the
        plan is kept there, and the report tells which waves are confirmed.
    type: path
  wave:
    description: The number of the one wave to run, or V(rest) for all that are left. Empty is all waves.
    type: str
    default: ""
  plan:
    description:
      - RV(handover) of an earlier run. It is used where it is of the same O(rollout_id), instead of the plan in
        O(directory).
    type: raw
    default: ""
seealso:
  - module: nettune.kernel.rollout_gate
"""

EXAMPLES = r"""
- name: Plan
  nettune.kernel.rollout_plan:
    rollout_id: example-1
    reviews: "{{ ansible_play_hosts | nettune.kernel.results_by_host(hostvars, 'review') }}"
    waves: [1, "10%", "100%"]
  register: planned
  run_once: true
"""

RETURN = r"""
rollout_id:
  description: O(rollout_id), or that of O(plan), or one of the time and four random characters.
  returned: without O(reviews)
  type: str
plan:
  description: The waves.
  returned: success
  type: dict
  contains:
    rollout_id:
      description: Names the rollout.
      type: str
    hosts:
      description: All hosts in the order of the rollout.
      type: list
      elements: str
    sizes:
      description: The number of hosts of each wave.
      type: list
      elements: int
    waves:
      description:
        - Each with C(number), C(hosts), C(controls), the hosts that are watched beside it, and C(earlier), those of the
          controls that an earlier wave changed.
        - Controls are untouched hosts in the mix of strata of the wave, or where none is left, hosts of earlier waves.
      type: list
      elements: dict
    strata:
      description: The stratum of each host.
      type: dict
    priors:
      description: The counters of each host in its facts, as a sample.
      type: dict
    settings:
      description: What is proposed, each key and value once, with the values that hosts have now.
      type: list
      elements: dict
    findings:
      description: Findings and waivers in lines for people.
      type: list
      elements: str
run:
  description: What of the plan is to be run now.
  returned: success
  type: dict
  contains:
    hosts:
      description: The hosts of the waves, in their order.
      type: list
      elements: str
    sizes:
      description: The number of hosts of each wave.
      type: list
      elements: int
    group:
      description: A name for a group of them that no other rollout has.
      type: str
handover:
  description: The plan as text, for O(plan) of a later run, with the number of the waves that are confirmed.
  returned: success
  type: str
msg:
  description: Findings and waves in lines for people, or why the rollout must not begin.
  returned: always
  type: list
  elements: str
"""
