# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_review
short_description: Reads the facts of a host, validates a set against them and renders its file
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Runs M(nettune.kernel.net_facts) on the host and M(nettune.kernel.sysctl_validate) on the controller, in one task.
    The facts of ten thousand hosts would fill the controller, so only those stay that a rollout needs.
  - Takes the options of M(nettune.kernel.sysctl_validate), but for C(facts) and C(facts_dir), and renders the file of a
    set that is not rejected.
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  sysctl:
    description: As in M(nettune.kernel.sysctl_validate), and so are all others.
    type: dict
  sysctl_conf:
    description: Text in the syntax of sysctl.d(5), in place of O(sysctl).
    type: str
  topology:
    description: What brings clients to the host and what it is for.
    type: dict
  waivers:
    description: Findings that are accepted, with the reason.
    type: list
    elements: dict
  reasons:
    description: Why each key is set.
    type: dict
  file:
    description: The file that will hold the set.
    type: path
    default: /etc/sysctl.d/90-nettune.conf
  fail_on:
    description: The severity from which on a finding rejects the set.
    type: str
    choices: [error, warning, never]
    default: error
  strata:
    description: What tells hosts apart that may differ.
    type: list
    elements: str
    default: []
  template:
    description:
      - The template of the file, searched for like that of a M(ansible.builtin.template) task. It has the variables of
        the host, and RV(plan) as C(settings). Without it nothing is rendered.
    type: str
  target:
    description: Where new connections to the host go to; returned as it is, for M(nettune.kernel.rollout_watch).
    type: dict
  shared:
    description: Variables in which hosts must not differ; returned as they are, for M(nettune.kernel.rollout_plan).
    type: dict
    default: {}
  own:
    description:
      - Variables that hosts may have of their own, and that only M(nettune.kernel.sysctl_trial) or
        M(nettune.kernel.rollout_probe) would take. They are checked.
      - C(tune_file), C(tune_force), C(tune_guard), C(tune_guard_min_rejects), C(tune_probe_port), C(tune_probe_rate).
    type: dict
    default: {}
seealso:
  - module: nettune.kernel.net_facts
  - module: nettune.kernel.sysctl_validate
  - module: nettune.kernel.rollout_plan
"""

EXAMPLES = r"""
- name: Validate the set against every host
  nettune.kernel.rollout_review:
    sysctl:
      net.ipv4.tcp_fin_timeout: 30
  register: review

- name: Say of which kernel the host is
  ansible.builtin.debug:
    msg: "{{ review.facts.kernel.release }}: {{ review.verdict }}"
"""

RETURN = r"""
facts:
  description:
    - The facts without those that only validation looks at, such as all sysctls and files. It is null where they could
      not be read; C(msg) says why.
  returned: always
  type: dict
sample:
  description: The counters in the facts, as M(nettune.kernel.sysctl_trial_info) returns them; null if unknown.
  returned: always
  type: dict
plan:
  description: As of M(nettune.kernel.sysctl_validate), like all else.
  returned: when the facts could be read
  type: list
  elements: dict
content:
  description: The file of the set.
  returned: with O(template), unless the set is rejected
  type: str
topology:
  description: O(topology).
  returned: when the facts could be read
  type: dict
target:
  description: O(target).
  returned: when the facts could be read
  type: dict
shared:
  description: O(shared).
  returned: when the facts could be read
  type: dict
wrong:
  description: What is wrong with O(own), in sentences.
  returned: always
  type: list
  elements: str
verdict:
  description: V(accepted) or V(rejected).
  returned: when the facts could be read
  type: str
"""
