# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of modules, plugins and role, as the documentation site would take it."""

from __future__ import annotations


def test_collection_docs(run):
    run(
        "antsibull-docs", "lint-collection-docs",
        "--plugin-docs", "--validate-collection-refs=all", "--skip-rstcheck", ".",
    )  # fmt: skip
