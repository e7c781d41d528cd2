# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often Ansible runs a module on a host: an interpreter that counts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from labs import Lab

_PYTHON = "/usr/local/bin/counting-python"
_LOG = "/var/log/modules"
_COUNTING = f"""#!/bin/sh
echo "$*" >> {_LOG}
exec {sys.executable} "$@"
"""
# For a run of Ansible on hosts that are counted.
VARIABLES = {"ansible_python_interpreter": _PYTHON}


def count(lab: Lab, hosts: Iterable[str]) -> None:
    """From now on, from nought."""
    for host in hosts:
        lab.shell(host, f"echo '{_COUNTING}' > {_PYTHON}; chmod +x {_PYTHON}; : > {_LOG}")


def on(lab: Lab, host: str) -> list[str]:
    """The modules that ran, one by one. A module that is piped into Python has no name: ANSIBLE_PIPELINING=0."""
    return ["".join(re.findall(r"AnsiballZ_(\w+)", line)) for line in lab.shell(host, f"cat {_LOG}").splitlines()]
