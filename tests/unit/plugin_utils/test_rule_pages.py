# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the rules are what their generator writes."""

from __future__ import annotations

import pathlib
import runpy

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "docs" / "rules"


def test_pages_are_up_to_date() -> None:
    pages = runpy.run_path(str(FOLDER / "generate.py"))["pages"]()
    assert {path.name: path.read_text() for path in FOLDER.glob("*.md")} == pages, "run make pages"
