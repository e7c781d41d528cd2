# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_report
short_description: Writes the report of a rollout, from the plan to the last wave
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Writes one JSON file, and the same as one HTML page that needs nothing else. Called when the waves are planned,
    while a wave is watched, and after it, so that the report exists whatever happens next. C(docs/report.md) has the
    shape of the JSON.
  - Says in lines for people how the wave ended.
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
options:
  directory:
    description: Folder on the controller. It is made where it is missing.
    type: str
    default: ./reports
  plan:
    description:
      - RV(nettune.kernel.rollout_plan#module:plan). With O(refused), C(rollout_id) is all that it needs.
    type: dict
    required: true
  refused:
    description:
      - Why the rollout must not begin, or go on, in lines. A report that tells of waves under the same name, and of no
        later one to come, is left as it is.
    type: str
  reviews:
    description: Results of M(nettune.kernel.rollout_review) by host, with O(refused).
    type: dict
    default: {}
  wave:
    description: The number of the wave. Without it, the plan is recorded.
    type: int
  running:
    description:
      - Whether the wave is still on trial. The record says so, and until when.
    type: bool
    default: false
  started:
    description: Results of M(nettune.kernel.sysctl_trial) that started the trial, by host.
    type: dict
    default: {}
  gate:
    description: The last result of M(nettune.kernel.rollout_gate) for the wave.
    type: dict
    default: {}
  confirmed:
    description: Results of M(nettune.kernel.sysctl_trial) that confirmed it, by host.
    type: dict
    default: {}
  undone:
    description:
      - Results of M(nettune.kernel.sysctl_trial) that rolled it back, by host, where the wave was rolled back.
    type: dict
seealso:
  - module: nettune.kernel.rollout_gate
"""

EXAMPLES = r"""
- name: Begin the report
  nettune.kernel.rollout_report:
    plan: "{{ planned.plan }}"
  run_once: true

- name: Report the wave
  nettune.kernel.rollout_report:
    plan: "{{ planned.plan }}"
    wave: 1
    started: "{{ started }}"
    gate: "{{ judged }}"
  run_once: true
"""

RETURN = r"""
json:
  description: Path of the JSON file.
  returned: success
  type: str
html:
  description: Path of the HTML page.
  returned: success
  type: str
msg:
  description: How the wave ended, in lines, or where the report of a refused rollout is. None while a wave runs.
  returned: success
  type: list
  elements: str
"""
