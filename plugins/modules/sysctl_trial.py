# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: sysctl_trial
short_description: Puts a set of sysctls on trial on a host, confirms it, or rolls it back
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - A set on trial is live in C(/proc/sys) but not in C(/etc). A guard on the host watches its timestamp rejects and
    puts everything back when they rise, or when nobody confirms in time. So neither a lost controller nor a lost
    network nor a reboot leaves a half-done change behind.
  - All keys are set, and read back, or none. What else changes by setting them (C(net.ipv4.ip_forward) resets a
    dozen keys) is reported and undone with them.
  - Rolling back restores only what still holds the value of the trial. What somebody else changed meanwhile is
    reported as drift and left alone.
  - The journal, the guard and the outcomes of earlier trials are in C(/var/lib/nettune).
notes:
  - Validate the set with M(nettune.kernel.sysctl_validate) first; this module knows the kernel's answer only, not
    whether a set is wise.
  - Check mode answers what the real run would, also where that fails; but for what only doing it shows, such as a value
    that the kernel refuses. And O(state=confirmed) where nothing was ever on trial changes nothing there instead of
    failing, so that a play that starts and confirms can be tried as a whole.
  - One run at a time is at work on a host. Another one waits ten seconds and then names the trial that is in its way.
    O(state=confirmed) and O(state=rolled_back) also wait until the guard of a trial that begins has sampled the time
    before (O(guard.baseline_seconds)).
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  state:
    description:
      - V(started) puts O(sysctl) on trial. A set that is live and persisted already is left alone.
      - V(confirmed) writes O(path) from what was given at the start and ends the trial. Evidence against the set that
        came since the guard last looked rolls it back instead.
      - V(rolled_back) ends the pending trial, or undoes the last confirmed one where none is pending.
    type: str
    choices: [started, confirmed, rolled_back]
    required: true
  sysctl:
    description:
      - Keys and values, for O(state=started). Values are text or whole numbers; lists of numbers are text with spaces.
    type: dict
  content:
    description:
      - The text that O(path) gets when the trial is confirmed. It must say the same as O(sysctl).
      - Without it, one plain line a key.
    type: str
  path:
    description: The file in C(/etc/sysctl.d).
    type: path
    default: /etc/sysctl.d/90-nettune.conf
  rollout_id:
    description:
      - Names the rollout that the trial belongs to. A trial of another rollout is neither confirmed nor rolled back.
      - Needed for O(state=started).
    type: str
  trial_id:
    description:
      - Names the one trial that O(state=rolled_back) is about, as RV(nettune.kernel.sysctl_trial_info#module:confirmed)
        and RV(nettune.kernel.sysctl_trial_info#module:pending) have it. Any other one is left alone.
    type: str
  confirm_within:
    description: Seconds from the first write after which the guard rolls back what nobody confirmed.
    type: int
    default: 300
  guard:
    description: What the guard rolls back on. It always rolls back at the end of O(confirm_within).
    type: dict
    default: {}
    suboptions:
      enabled:
        description: Whether the guard judges the host's counters at all.
        type: bool
        default: true
      baseline_seconds:
        description: Seconds for which it samples the counters before the first write.
        type: int
        default: 5
      min_events:
        description: Timestamp rejects below this number are no evidence.
        type: int
        default: 10
      max_per_1000:
        description: Timestamp rejects per 1,000 opened connections that are tolerated.
        type: float
        default: 5.0
      max_ratio:
        description: How many times the rate of the time before is tolerated.
        type: float
        default: 1.5
      alpha:
        description:
          - The probability with which the guard may roll back a set although the rate has not risen above
            O(guard.max_ratio) times that before, however often it looks.
        type: float
        default: 0.01
      max_rise:
        description:
          - Absolute limits, for any watched counter by its name, such as C(TcpExt.ListenDrops),
            C(TcpExt.TCPTimeWaitOverflow) or C(Tcp.AttemptFails).
          - The guard rolls back when one has risen by more than that since the first write.
        type: dict
        default: {}
  reason:
    description: Why the trial is rolled back; remembered with the outcome.
    type: str
    default: asked for
  evidence:
    description:
      - Whether O(reason) is evidence against the set. If so, the same set is refused on this host from now on, until
        it is started with O(force) and confirmed.
    type: bool
    default: false
  to:
    description:
      - How far O(state=rolled_back) goes. V(previous) undoes one trial.
      - V(original) undoes all of them and removes nettune from the host, C(/var/lib/nettune) included.
    type: str
    choices: [previous, original]
    default: previous
  samples:
    description:
      - How many of the guard's last samples to return, for V(confirmed) and V(rolled_back) of O(state). The guard takes
        one a second.
    type: int
    default: 0
  force:
    description: Starts a set although it was rolled back by evidence before.
    type: bool
    default: false
seealso:
  - module: nettune.kernel.sysctl_trial_info
  - module: nettune.kernel.sysctl_validate
"""

EXAMPLES = r"""
- name: Try two keys; without a confirmation they are gone after two minutes
  nettune.kernel.sysctl_trial:
    state: started
    rollout_id: example-1
    confirm_within: 120
    sysctl:
      net.ipv4.tcp_fin_timeout: 20
      net.ipv4.ip_local_port_range: 10240 60999

- name: Keep them
  nettune.kernel.sysctl_trial:
    state: confirmed
    rollout_id: example-1

- name: Undo the last trial
  nettune.kernel.sysctl_trial:
    state: rolled_back
    reason: only an example

- name: Undo all trials and forget them
  nettune.kernel.sysctl_trial:
    state: rolled_back
    to: original
"""

RETURN = r"""
trial:
  description: The trial that this call was about.
  returned: success
  type: dict
  contains:
    id:
      description: Names the trial on this host.
      type: str
    rollout_id:
      description: Names the rollout that it belongs to.
      type: str
    state:
      description:
        - One of V(on_trial), V(confirmed), V(rolled_back) and, where there is no trial at all, V(none).
        - M(nettune.kernel.sysctl_trial_info) calls a trial V(armed) while its guard samples the time before.
      type: str
    keys:
      description: The keys of the set.
      type: list
      elements: str
    set_hash:
      description: Names the set of keys and values.
      type: str
    started:
      description: When it began, in seconds since 1970.
      type: float
    deadline_epoch:
      description:
        - When the guard rolls back, in seconds since 1970 by the clock as it was set when the trial began. What counts
          is RV(trial.seconds_left), which knows nothing of changed clocks.
      type: float
    seconds_left:
      description: Seconds until then.
      type: float
    by:
      description: Who began it, and from where; with become who became root, and from where if sudo lets that through.
      type: str
    ended:
      description: When it was confirmed or rolled back, in seconds since 1970.
      type: float
    reason:
      description: Why it ended.
      type: str
    by_evidence:
      description: Whether it was rolled back because of evidence against the set, which is then refused.
      type: bool
    figures:
      description: What the guard measured, where that was the evidence.
      type: dict
    drift:
      description: What was left alone, as in RV(drift).
      type: list
      elements: dict
values:
  description:
    - What was written, or would be. Keys that a former set had and this one has not go back to their original, unless
      somebody else has changed them meanwhile.
  returned: when values change
  type: dict
  sample: {net.ipv4.tcp_fin_timeout: {before: "60", after: "20"}}
side_effects:
  description: What else changed by that, in the same form.
  returned: O(state=started), not in check mode
  type: dict
  sample: {net.ipv4.conf.all.forwarding: {before: "0", after: "1"}}
drift:
  description:
    - Keys that were left alone because they did not hold the trial's value any more, and those of interfaces that came
      during the trial and took a value from a C(default) that the trial had changed.
    - With O(state=started), keys that a former set had and this one has not.
  returned: O(state=started), and when something is rolled back
  type: list
  elements: dict
  contains:
    key:
      description: The key, or the path of the file.
      type: str
    expected:
      description: What the trial gave it; of an interface that came during the trial, what it would have otherwise.
      type: str
    found:
      description:
        - What it holds, or why it could not be put back; null where the key has gone with its interface or module.
      type: str
    since:
      description: Since when, in seconds since 1970; null or absent where no guard has seen it.
      type: float
samples:
  description:
    - The guard's series of the trial, each sample with the phase that it was taken in; the last O(samples) of it.
  returned: O(state=confirmed) and O(state=rolled_back)
  type: list
  elements: dict
baseline:
  description: Samples of the watched counters from before the first write, one a second.
  returned: O(state=started), not in check mode
  type: list
  elements: dict
"""

from ansible_collections.nettune.kernel.plugins.module_utils._modern_python import open_module

# The controller checks what it will give, too.
GUARD = {
    "enabled": {"type": "bool", "default": True},
    "baseline_seconds": {"type": "int", "default": 5},
    "min_events": {"type": "int", "default": 10},
    "max_per_1000": {"type": "float", "default": 5.0},
    "max_ratio": {"type": "float", "default": 1.5},
    "alpha": {"type": "float", "default": 0.01},
    "max_rise": {"type": "dict", "default": {}},
}


def main():
    module = open_module(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "confirmed", "rolled_back"], "required": True},
            "sysctl": {"type": "dict"},
            "content": {"type": "str"},
            "path": {"type": "path", "default": "/etc/sysctl.d/90-nettune.conf"},
            "rollout_id": {"type": "str"},
            "trial_id": {"type": "str"},
            "confirm_within": {"type": "int", "default": 300},
            "guard": {"type": "dict", "options": GUARD, "default": {}, "apply_defaults": True},
            "reason": {"type": "str", "default": "asked for"},
            "evidence": {"type": "bool", "default": False},
            "to": {"type": "str", "choices": ["previous", "original"], "default": "previous"},
            "samples": {"type": "int", "default": 0},
            "force": {"type": "bool", "default": False},
        },
        required_if=[("state", "started", ("sysctl", "rollout_id"))],
        supports_check_mode=True,
    )
    from ansible_collections.nettune.kernel.plugins.module_utils._trial_module import run

    run(module)


if __name__ == "__main__":
    main()
