# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_look
short_description: Reads the watched counters of a host, and whether its trial goes on
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Cheap enough to be repeated every few seconds. It runs no module on the host, only one command of the shell that is
    always the same, and that needs C(cat), C(grep) and C(stat).
  - Where the trial named by O(trial) does not go on, M(nettune.kernel.sysctl_trial_info) is run to hear why.
extends_documentation_fragment:
  - nettune.kernel.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: linux
    support: full
    description:
      - The operating systems that the module runs on.
    details:
      - The managed host needs no Python for a look.
  action:
    description:
      - Has a corresponding action plugin on the controller.
    support: full
options:
  trial:
    description:
      - The C(id) of the trial that should be pending on the host, as in RV(nettune.kernel.sysctl_trial#module:trial).
      - Root only can read the journal, so this needs C(become).
    type: str
seealso:
  - module: nettune.kernel.sysctl_trial_info
  - module: nettune.kernel.rollout_gate
"""

EXAMPLES = r"""
- name: Look at the host
  nettune.kernel.rollout_look:
  register: looked

- name: See that the trial goes on
  nettune.kernel.rollout_look:
    trial: "{{ started.trial.id }}"
  register: looked
  failed_when: not looked.pending
"""

RETURN = r"""
sample:
  description: The watched counters now, as RV(nettune.kernel.sysctl_trial_info#module:sample).
  returned: success
  type: dict
  sample: {time: 81250.31, boot_id: 5f3e-1c.12, counters: {TcpExt.PAWSEstab: 3, Tcp.PassiveOpens: 1200}}
pending:
  description: Whether a trial is pending; with O(trial), whether that one is.
  returned: success
  type: bool
history:
  description: Outcomes of trials, newest first, as RV(nettune.kernel.sysctl_trial_info#module:history).
  returned: when the trial named by O(trial) does not go on
  type: list
  elements: dict
"""
