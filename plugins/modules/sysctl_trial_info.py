# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: sysctl_trial_info
short_description: Tells of the pending trial of a host, of earlier ones, and of the counters now
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Looks into the journal of M(nettune.kernel.sysctl_trial). A trial whose owner or guard died is finished by this
    look, so that the host is entirely old or entirely new. In check mode it is told as if it were finished.
  - While another run is at work on the host it looks all the same, and RV(at_work) says who that is.
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  samples:
    description: How many of the guard's last samples to return.
    type: int
    default: 0
seealso:
  - module: nettune.kernel.sysctl_trial
"""

EXAMPLES = r"""
- name: Look
  nettune.kernel.sysctl_trial_info:
    samples: 60
  register: trial

- name: Say who is trying what
  ansible.builtin.debug:
    msg: "{{ trial.pending.rollout_id }} until {{ trial.pending.deadline_epoch | int }}"
  when: trial.pending
"""

RETURN = r"""
at_work:
  description:
    - The run that starts or ends a trial here right now, as a sentence; null where there is none. What else is told may
      be about to change then, and nothing is finished by this look.
  returned: always
  type: str
pending:
  description:
    - The trial that waits for a confirmation, as in RV(nettune.kernel.sysctl_trial#module:trial); null where
      there is none.
  returned: always
  type: dict
confirmed:
  description:
    - The confirmed trials that can be undone, newest first, as in RV(nettune.kernel.sysctl_trial#module:trial).
  returned: always
  type: list
  elements: dict
drift:
  description:
    - Keys that do not hold what the pending trial, or else the last confirmed one, gave them, as in
      RV(nettune.kernel.sysctl_trial#module:drift). What is found is null where a key is gone.
  returned: always
  type: list
  elements: dict
  sample: [{key: net.ipv4.tcp_fin_timeout, expected: "20", found: "60", since: 1795249000.5}]
history:
  description:
    - Outcomes of trials, newest first, the last 50, as in RV(nettune.kernel.sysctl_trial#module:trial).
  returned: always
  type: list
  elements: dict
refused:
  description:
    - Sets that were rolled back by evidence, newest first, up to 200. They are refused until they are changed, or
      forced and confirmed.
    - Each has the C(set_hash), C(keys), C(rollout_id), C(ended), C(reason) and C(figures) of the outcome, as in
      RV(nettune.kernel.sysctl_trial#module:trial); its figures are null where the evidence came from elsewhere.
  returned: always
  type: list
  elements: dict
originals:
  description: For each key that a confirmed trial set, the value from before nettune first touched it.
  returned: always
  type: dict
sample:
  description: The watched counters now.
  returned: always
  type: dict
  contains:
    time:
      description: Seconds on CLOCK_BOOTTIME.
      type: float
    boot_id:
      description: Changes with every boot; samples of different boots must not be subtracted.
      type: str
    counters:
      description: The counters that this kernel has, by group and name.
      type: dict
      sample: {TcpExt.PAWSEstab: 3, Tcp.PassiveOpens: 1200}
samples:
  description: The guard's series of the pending or last trial, each sample with the phase that it was taken in.
  returned: always
  type: list
  elements: dict
"""

from ansible_collections.nettune.kernel.plugins.module_utils._modern_python import open_module


def main():
    module = open_module(argument_spec={"samples": {"type": "int", "default": 0}}, supports_check_mode=True)
    from ansible_collections.nettune.kernel.plugins.module_utils._trial_module import run_info

    run_info(module)


if __name__ == "__main__":
    main()
