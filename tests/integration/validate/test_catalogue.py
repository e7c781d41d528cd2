# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue against the running kernel, in a fresh network namespace."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import kernel
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import catalogue

READ = """
import json
from ansible_collections.nettune.kernel.plugins.module_utils._procfs import read_tree
print(json.dumps(read_tree()._asdict()))
"""


def test_a_fresh_namespace(netns: Any) -> None:
    tree = json.loads(netns.run([sys.executable, "-c", READ], env=netns.environment).stdout)
    running = kernel(os.uname().release)
    assert tree["values"]
    unknown = []
    wrong = []
    for key in [*tree["values"], *tree["unreadable"]]:
        parameter = catalogue().find(key)
        if parameter is None:
            unknown.append(key)
            continue
        if parameter.exists(running) is False:
            wrong.append(f"{key} should not exist on {running.release}")
        if parameter.in_namespace(running) is False:
            wrong.append(f"{key} should not be in a namespace on {running.release}")
        if parameter.numeric and key in tree["values"]:
            numbers = [int(word) for word in tree["values"][key].split()]
            low, high = parameter.accepted(running)
            if len(numbers) != parameter.values or not all(low <= number <= high for number in numbers):
                wrong.append(f"{key} = {numbers} is not {parameter.values} numbers in {low}..{high}")
    assert unknown == []
    assert wrong == []
