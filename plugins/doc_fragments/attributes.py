# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection says of check mode, diff mode and platform.

A module names the fragment `nettune.kernel.attributes` and states its own `support` of check_mode and diff_mode.
One that runs on a managed host also names `nettune.kernel.attributes.host`, one that runs on the controller
`nettune.kernel.attributes.controller`.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Whether the module can say what it would do (C(--check)) without doing it.
  diff_mode:
    description: Whether the module shows what it changes, before and after (C(--diff)).
"""

    HOST = r"""
options: {}
attributes:
  platform:
    platforms: linux
    support: full
    description:
      - The operating systems that the module runs on.
    details:
      - The managed host needs Python 3.6 or newer and nothing else.
"""

    CONTROLLER = r"""
options: {}
attributes:
  platform:
    platforms: all
    support: full
    description:
      - The operating systems that the module works for.
    details:
      - Runs on the controller and touches no host.
  action:
    description:
      - Has a corresponding action plugin on the controller.
    support: full
"""
