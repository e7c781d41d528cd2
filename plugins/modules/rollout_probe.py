# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_probe
short_description: Opens fresh connections and counts what becomes of them
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - A broken change to TCP timestamps drops new SYNs while old connections live on, and some such damage moves no
    counter of the host. So connections are opened anew, as a client would, and closed at once.
  - All probes are opened side by side for O(seconds). One source opens no more than 500 connections per second in all.
  - The source is the controller, or the host of the task where O(source) names it. With C(async) the connections are
    opened in the background, also from the controller (then delegate the task to it).
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  action:
    description:
      - Has a corresponding action plugin on the controller.
    support: full
  async:
    description: Supports being run with C(async).
    support: full
options:
  probes:
    description: What to connect to.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the probe. Without it, for example V(tcp 192.0.2.10:80) or V(http [2001:db8::1]:80/health).
        type: str
      host:
        description: Host of the inventory that is reached. None for a service of several hosts.
        type: str
      type:
        description: Whether to only connect, or to ask for a page too.
        type: str
        choices: [tcp, http]
        default: tcp
      address:
        description: Address, of IPv4 or IPv6, or name.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
      path:
        description: Which page to ask for, with O(probes[].type=http).
        type: str
        default: /
      status:
        description: Which status codes are an answer. Any other one is a failure.
        type: list
        elements: int
        default: [200]
      rate:
        description: Connections per second.
        type: float
        default: 1
      timeout:
        description: Seconds after which a connect, or an answer, has failed.
        type: float
        default: 3
      slow_ms:
        description: Milliseconds from which on a connection, with its answer, is slow.
        type: float
        default: 500
  seconds:
    description: For how long. V(0) opens every probe once.
    type: float
    default: 0
  source:
    description: Who opens them, and the name for it in the tallies; V(controller), or the name of the task's host.
    type: str
    default: controller
seealso:
  - module: nettune.kernel.rollout_watch
  - module: nettune.kernel.rollout_gate
"""

EXAMPLES = r"""
- name: Connect to two servers for half a minute
  nettune.kernel.rollout_probe:
    probes:
      - {host: web1, address: 192.0.2.11, port: 80, rate: 2}
      - {host: web2, address: 192.0.2.12, port: 80, rate: 2}
    seconds: 30
  register: probed
  run_once: true

- name: Ask the service for a page, from the proxy
  nettune.kernel.rollout_probe:
    probes:
      - {type: http, address: 192.0.2.100, port: 80, path: /health, status: [200, 204]}
    seconds: 30
    source: proxy1
  delegate_to: proxy1
  run_once: true
"""

RETURN = r"""
tallies:
  description: What became of each probe, in the order of O(probes).
  returned: success
  type: list
  elements: dict
  sample:
    - probe: tcp 192.0.2.11:80
      source: controller
      host: web1
      attempts: 60
      ok: 59
      slow: 0
      failed: 1
      median_ms: 0.4
      max_ms: 1.9
      errors: {timed out: 1}
"""

from ansible_collections.nettune.kernel.plugins.module_utils._modern_python import open_module


ARGUMENTS = {
    "probes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str"},
            "host": {"type": "str"},
            "type": {"type": "str", "choices": ["tcp", "http"], "default": "tcp"},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "path": {"type": "str", "default": "/"},
            "status": {"type": "list", "elements": "int", "default": [200]},
            "rate": {"type": "float", "default": 1.0},
            "timeout": {"type": "float", "default": 3.0},
            "slow_ms": {"type": "float", "default": 500.0},
        },
    },
    "seconds": {"type": "float", "default": 0.0},
    "source": {"type": "str", "default": "controller"},
}


def main():
    module = open_module(argument_spec=ARGUMENTS, supports_check_mode=True)
    from ansible_collections.nettune.kernel.plugins.module_utils import _probe

    try:
        module.exit_json(changed=False, tallies=_probe.run_checked(module.params))
    except _probe.BadProbe as problem:
        module.fail_json(msg=str(problem))


if __name__ == "__main__":
    main()
