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
    look, so that the host is entirely old or entirely new; except in check mode, which only tells.
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
pending:
  description:
    - The trial that waits for a confirmation, as in RV(nettune.kernel.sysctl_trial#module:trial); null where
      there is none.
  returned: always
  type: dict
confirmed:
  description: The confirmed trials that can be undone, newest first.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Names the trial on this host.
      type: str
    rollout_id:
      description: Names the rollout that it belongs to.
      type: str
    by:
      description: Who began it, and from where.
      type: str
    state:
      description: Always V(confirmed).
      type: str
    keys:
      description: The keys of the set.
      type: list
      elements: str
    set_hash:
      description: Names the set of keys and values.
      type: str
drift:
  description:
    - Keys that do not hold what the pending trial, or else the last confirmed one, gave them.
  returned: always
  type: list
  elements: dict
  contains:
    key:
      description: The key.
      type: str
    expected:
      description: What the trial gave it.
      type: str
    found:
      description: What it holds; null where it is gone.
      type: str
    since:
      description: Since when, in seconds since 1970; null where no guard has seen it.
      type: float
  sample: [{key: net.ipv4.tcp_fin_timeout, expected: "20", found: "60", since: 1795249000.5}]
history:
  description: Outcomes of trials, newest first, the last 50.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Names the trial on this host.
      type: str
    rollout_id:
      description: Names the rollout that it belongs to.
      type: str
    set_hash:
      description: Names the set of keys and values.
      type: str
    keys:
      description: The keys of the set.
      type: list
      elements: str
    state:
      description: V(confirmed) or V(rolled_back).
      type: str
    ended:
      description: When, in seconds since 1970.
      type: float
    reason:
      description: Why.
      type: str
    by_evidence:
      description: Whether it was rolled back because of evidence against the set.
      type: bool
    figures:
      description: What the guard measured; null where that was not the reason.
      type: dict
    drift:
      description: What was left alone, with C(key), C(expected), C(found) and C(since).
      type: list
      elements: dict
refused:
  description:
    - Sets that were rolled back by evidence, newest first, up to 200. They are refused until they are changed, or
      forced and confirmed.
  returned: always
  type: list
  elements: dict
  contains:
    set_hash:
      description: Names the set of keys and values.
      type: str
    keys:
      description: The keys of the set.
      type: list
      elements: str
    rollout_id:
      description: Names the rollout that tried it.
      type: str
    ended:
      description: When it was rolled back, in seconds since 1970.
      type: float
    reason:
      description: The evidence, as a sentence.
      type: str
    figures:
      description: What the guard measured; null where the evidence came from elsewhere.
      type: dict
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
