# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Static checks: one test a tool."""

from __future__ import annotations

import pathlib

import pytest

# By the path under which the collection is imported.
PLUGINS = pathlib.Path("playbooks/collections/ansible_collections/nettune/kernel/plugins")
CONTROLLER_HALF = [PLUGINS / kind for kind in ("action", "callback", "filter", "plugin_utils")]

TOOLS = {
    "ruff": ["ruff", "check", "."],
    "mypy": ["mypy", *(folder for folder in CONTROLLER_HALF if folder.is_dir())],
    "mypy-lab": ["mypy", "lab", "tests/checks/conftest.py"],
    "yamllint": ["yamllint", "--strict", "."],
    "ansible-lint": ["ansible-lint", "--strict"],
    "shellcheck": ["shellcheck", ".ci/run", "tools/requirements", "tools/setup"],
    "changelog": ["antsibull-changelog", "lint"],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_lint(tool, run):
    run(*TOOLS[tool])
