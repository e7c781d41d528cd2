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
  - Called with O(record) and O(wave), judges a stored rollout again; to the same verdict, but for other O(limits).
  - Fails where the wave must not go on, so that a C(rescue) can roll it back.
  - "V(roll_back): a host was lost; its guard rolled back; or there is evidence that something rose on the wave as a
    whole, on one of its hosts, on an observer, or in the connects to a service. Counted are timestamp rejects, queue
    drops and resets, set against new connections of others; and failed, and slow or failed, connects of our own. The
    evidence must speak against the own rate before the change and against what happens to the controls meanwhile, and
    reach its limit; it may be looked at as often as one likes."
  - "V(promote): it is shown that timestamp rejects and connects of the wave are no worse, and nothing else is about to
    become evidence."
  - "V(inconclusive): neither; or one of the wave's hosts was not seen to the end, or cannot be compared with itself
    before (a reboot, other counters). Silence is not safety."
  - docs/statistics.md explains the test and shows what was measured of it.
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
  record:
    description: The JSON file of a rollout, or what it holds.
    type: raw
  wave:
    description: The number of the wave, with which its observations begin. Needed with O(record), and with O(started)
      without O(confirmed).
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
      - Earlier samples of any of the hosts, by host; one or a list, the oldest first. What happened from there to the
        change is the time before.
    type: dict
    default: {}
  controls:
    description:
      - Results of looks at hosts that are not changed now, by host, each with C(sample).
      - One with a true C(pending) is on somebody else's trial, and not counted from then on.
    type: dict
    default: {}
  earlier:
    description: Those of O(controls) that earlier waves changed.
    type: list
    elements: str
    default: []
  observers:
    description: The same of hosts that are never changed, but may feel it.
    type: dict
    default: {}
  looked:
    description:
      - Results of looks at the hosts of the wave, by host. One has C(sample), or the host is lost. An empty one is no
        answer this time, and the same one again tells nothing new.
      - Where its C(pending) is false, the trial is over, and C(history) tells why, as
        M(nettune.kernel.sysctl_trial_info) returns it.
    type: dict
  probes_before:
    description: RV(nettune.kernel.rollout_probe#module:tallies) of the time before the change.
    type: list
    elements: dict
    default: []
  probes:
    description: RV(nettune.kernel.rollout_probe#module:tallies) since the last look.
    type: list
    elements: dict
    default: []
  limits:
    description:
      - What is tolerated. Rates are of new connections of others, percentages of our own connects.
      - With O(record), the limits that the wave was judged by take the place of the defaults.
    type: dict
    default: {}
    suboptions:
      alpha:
        description: Probability of a false alarm, for all that is tested and all looks together.
        type: float
        default: 0.01
      ratio:
        description: So many times what is expected is tolerated.
        type: float
        default: 1.5
      beta:
        description: Probability of promoting what is as bad as the limits of promotion.
        type: float
        default: 0.05
      promote_ratio:
        description: Promoted is what is shown to be below so many times what is expected.
        type: float
        default: 3
      promote_rejects_per_1000:
        description: Or where more timestamp rejects than this are ruled out, and those seen are tolerable.
        type: float
        default: 40
      promote_failed_connects_percent:
        description: The same for connects that failed, and for those that failed or were slow.
        type: float
        default: 15
      min_opens:
        description: A wave with fewer new connections of others than this has proved nothing.
        type: int
        default: 20
      min_rejects:
        description: Fewer timestamp rejects than this are no evidence.
        type: int
        default: 10
      max_rejects_per_1000:
        description: A rate that is no damage, whatever it was before.
        type: float
        default: 5
      min_queue_drops:
        description: Fewer connections dropped at full queues, and cookies sent for them, are no evidence.
        type: int
        default: 20
      max_queue_drops_per_1000:
        description: A rate of these that is no damage.
        type: float
        default: 10
      min_resets:
        description: Fewer resets, failed attempts and retransmitted SYNs are no evidence.
        type: int
        default: 50
      max_resets_per_1000:
        description: A rate of these that is no damage.
        type: float
        default: 50
      min_failed_connects:
        description: Fewer failed connects than this are no evidence.
        type: int
        default: 3
      max_failed_connects_percent:
        description: Share of failed connects that is no damage.
        type: float
        default: 2
      min_slow_connects:
        description: Fewer connects that were slow or failed are no evidence.
        type: int
        default: 3
      max_slow_connects_percent:
        description: Share of these that is no damage.
        type: float
        default: 5
  soak:
    description:
      - Seconds that a wave is watched at least. What is inconclusive then is watched on until O(soak_max).
      - RV(done) says when to stop looking. Without O(soak), this look is the last.
    type: float
  soak_max:
    description: Seconds that a wave is watched at most; not less than O(soak).
    type: float
  on_inconclusive:
    description: What is to be done with a wave that is inconclusive at the end.
    type: str
    choices: [roll_back, promote, pause]
    default: roll_back
seealso:
  - module: nettune.kernel.rollout_probe
  - module: nettune.kernel.rollout_report
"""

EXAMPLES = r"""
- name: Judge the first wave of a stored rollout again, by stricter limits
  nettune.kernel.rollout_gate:
    record: reports/example-1.json
    wave: 1
    limits:
      max_rejects_per_1000: 2
"""

RETURN = r"""
verdict:
  description: One of V(promote), V(roll_back) and V(inconclusive), as it stands now.
  returned: when observations are judged
  type: str
decision:
  description: What is to be done with the wave, V(watch), V(promote), V(roll_back) or V(pause).
  returned: when observations are judged
  type: str
done:
  description: Whether the wave was watched for long enough.
  returned: when observations are judged
  type: bool
elapsed:
  description: Seconds since the change, at the last look.
  returned: when observations are judged
  type: float
reason:
  description: Why, with the figures. With O(confirmed), the verdict's reason if that failed, or else what failed where.
  returned: when observations are judged, and with O(confirmed)
  type: str
  sample: >-
    too many timestamp rejects on the wave: 26 timestamp rejects in 186 connections, 139.8 per 1,000 (controls 2.2,
    before 3.9, expected 0.6); evidence 1,136 to 1, limit 500 to 1
evidence:
  description:
    - Whether the reason speaks against the set. True for a rise, and for what a guard rolled back by evidence; false
      for a lost host and a missed deadline.
  returned: when observations are judged, and with O(confirmed)
  type: bool
msg:
  description: Verdict and reason in a sentence, and which controls and observers are not counted; with O(started),
    what changed on which hosts, in lines.
  returned: except with O(confirmed)
  type: raw
limits:
  description: What was judged by, defaults included.
  returned: when observations are judged
  type: dict
figures:
  description:
    - C(tests) has all numbers of each test. Of a wave of more than 20 hosts, those of the 20 that say most. C(share) is
      how far the evidence has come towards its limit, as logarithms go; 1 is there.
    - C(hosts) has the counts of each host of the wave.
    - C(excluded) is RV(excluded).
  returned: when observations are judged
  type: dict
excluded:
  description:
    - Hosts of which samples could not be used, with the reason. A host of the wave among them keeps it from being
      promoted, unless all of the soak is known.
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
