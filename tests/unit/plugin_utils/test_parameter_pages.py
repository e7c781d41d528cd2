# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the parameters are what their generator writes, and every link of their index leads somewhere."""

from __future__ import annotations

import pathlib
import re
import runpy

from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import catalogue

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "docs" / "parameters"


def test_pages_are_up_to_date() -> None:
    pages = runpy.run_path(str(FOLDER / "generate.py"))["pages"]()
    assert {path.name: path.read_text() for path in FOLDER.glob("*.md")} == pages, "run make pages"


def test_index() -> None:
    links = re.findall(r"^- \[(.*)\]\((.*)#(.*)\)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(name for name, _page, _anchor in links) == sorted(catalogue())
    for name, page, anchor in links:
        assert f"\n## {name.replace('*', chr(92) + '*')}\n" in (FOLDER / page).read_text(), name
        assert re.fullmatch(r"[\w-]+", anchor), name
