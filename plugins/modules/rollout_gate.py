# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_gate
short_description: Judges a wave of a rollout
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Called with O(started), begins the observations of a wave.
  - Called with O(observations) and O(looked), adds a look and judges all looks so far. The verdict is V(promote),
    V(roll_back) or V(inconclusive).
  - Called with O(started) and O(confirmed), says why a wave failed.
  - Called with O(observations) alone, as a stored rollout has them, judges them again.
  - Fails where the wave must not go on, so that a C(rescue) can roll it back.
  - "V(roll_back): a host was lost; its guard rolled back; a host or the whole wave has more timestamp rejects than
    O(limits) allow, in number, per 1,000 new connections, and against the controls and the time before; or more of
    the controller's connects to a host or to the whole wave failed than O(limits) allow, and than those to the
    controls explain."
  - "V(inconclusive): too few connections of others reached the wave to say anything, or the samples of one of its
    hosts cannot be compared. Silence is not safety."
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  observations:
    description: What RV(observations) was before.
    type: dict
  wave:
    description: The number of the wave, with which its observations begin. Needed with O(started) alone.
    type: int
  started:
    description:
      - Results of M(nettune.kernel.sysctl_trial) with O(nettune.kernel.sysctl_trial#module:state=started), by host.
    type: dict
  confirmed:
    description:
      - Results of M(nettune.kernel.sysctl_trial) with O(nettune.kernel.sysctl_trial#module:state=confirmed), by host.
    type: dict
  judged:
    description: What this module returned last for the wave, with O(confirmed).
    type: dict
    default: {}
  priors:
    description:
      - Earlier samples of the same hosts, by host. What happened from there to the change is the time before.
    type: dict
    default: {}
  controls:
    description: Results of M(nettune.kernel.sysctl_trial_info) of hosts that are not changed, by host.
    type: dict
    default: {}
  looked:
    description: Results of M(nettune.kernel.sysctl_trial_info) of the hosts of the wave, by host.
    type: dict
  probes:
    description: RV(nettune.kernel.rollout_probe#module:probes) of the same time.
    type: dict
    default: {}
  limits:
    description: What is tolerated.
    type: dict
    default: {}
    suboptions:
      min_opens:
        description: A wave with fewer new connections of others than this has proved nothing.
        type: int
        default: 20
      min_rejects:
        description: Fewer timestamp rejects than this are no evidence.
        type: int
        default: 10
      max_rejects_per_1000:
        description: Timestamp rejects per 1,000 new connections.
        type: float
        default: 5
      max_ratio:
        description: How many times the rate of the controls, and of the time before.
        type: float
        default: 3
      max_failed_connects_percent:
        description: Share of the controller's connects that may fail.
        type: float
        default: 2
      min_failed_connects:
        description: Failed connects beyond the controls' share below this number are no evidence.
        type: int
        default: 3
  final:
    description: Whether this is the last look. Before it, only V(roll_back) fails.
    type: bool
    default: true
  on_inconclusive:
    description: Whether an inconclusive last look fails.
    type: str
    choices: [roll_back, promote]
    default: roll_back
seealso:
  - module: nettune.kernel.rollout_probe
  - module: nettune.kernel.rollout_report
"""

EXAMPLES = r"""
- name: Judge the first wave of a stored rollout again
  nettune.kernel.rollout_gate:
    observations: "{{ (lookup('ansible.builtin.file', 'reports/example-1.json') | from_json).waves[0].observations }}"
    limits:
      max_rejects_per_1000: 2
"""

RETURN = r"""
verdict:
  description: One of V(promote), V(roll_back) and V(inconclusive).
  returned: when observations are judged
  type: str
reason:
  description: Why, with the figures. With O(confirmed), the verdict's reason if that failed, or else what failed where.
  returned: when observations are judged, and with O(confirmed)
  type: str
  sample: 0 timestamp rejects in 812 connections, 0.0 per 1,000 (controls 0.0); 0 of 60 connects failed, 0 slow
evidence:
  description:
    - Whether the reason speaks against the set. True for rejects, failed connects, and what a guard rolled back by
      evidence; false for a lost host and a missed deadline.
  returned: when observations are judged, and with O(confirmed)
  type: bool
msg:
  description: Verdict and reason in a sentence; with O(wave), what changed on which hosts, in lines.
  returned: except with O(confirmed)
  type: raw
limits:
  description: What was judged by, defaults included.
  returned: when judged
  type: dict
figures:
  description: Counts of the wave, of the controls, and of the wave's time before.
  returned: when observations are judged
  type: dict
invalid:
  description:
    - Hosts whose samples cannot be compared, with the reason. With one of them in the wave, it is not promoted.
  returned: when observations are judged
  type: dict
progress:
  description: One line for people while the wave soaks.
  returned: when observations are judged
  type: str
observations:
  description: All that the verdict rests on, to be handed to the next call, and to be stored.
  returned: except with O(confirmed)
  type: dict
"""
