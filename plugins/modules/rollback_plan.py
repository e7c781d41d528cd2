# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollback_plan
short_description: Says on which hosts a rollout is to be undone, and afterwards what became of it
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Goes by what the hosts remember, so it needs nothing of the controller that rolled out.
  - Without a name, the rollout is the newest one that is on trial or confirmed on any host. Hosts that only have older
    ones keep them.
  - With O(planned) it gives the account, and fails where a host was lost or was not undone.
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  looked:
    description: Results of M(nettune.kernel.sysctl_trial_info) by host. Either this or O(planned) is needed.
    type: dict
  rollout_id:
    description: Names the rollout. Empty is the newest one. It fails where no host that answers has or had it.
    type: str
    default: ""
  to:
    description: V(original) undoes all that nettune ever did on the hosts.
    type: str
    choices: [previous, original]
    default: previous
  planned:
    description: RV(planned) of the first call, for the account.
    type: dict
  undone:
    description: Results of M(nettune.kernel.sysctl_trial) by host, for the account.
    type: dict
    default: {}
seealso:
  - module: nettune.kernel.sysctl_trial
"""

EXAMPLES = r"""
- name: Choose
  nettune.kernel.rollback_plan:
    looked: "{{ looked }}"
  register: plan
  run_once: true

- name: Give an account
  nettune.kernel.rollback_plan:
    planned: "{{ plan.planned }}"
    undone: "{{ undone }}"
  run_once: true
"""

RETURN = r"""
planned:
  description: The rollout, and how each host stands to it, with the trial that is to be undone.
  returned: with O(looked)
  type: dict
hosts:
  description: The hosts on which there is something to undo.
  returned: with O(looked)
  type: list
  elements: str
msg:
  description: What is about to be undone, or what became of it, in lines for people.
  returned: always
  type: list
  elements: str
"""
