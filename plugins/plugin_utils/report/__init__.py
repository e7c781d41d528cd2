# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a rollout: a record as JSON, and the same as a page to read."""

from __future__ import annotations

from ansible_collections.nettune.kernel.plugins.plugin_utils.report.files import load, write
from ansible_collections.nettune.kernel.plugins.plugin_utils.report.page import html
from ansible_collections.nettune.kernel.plugins.plugin_utils.report.record import (
    Record,
    begin,
    lines,
    paths,
    planned,
    refused,
    settings,
    wave_record,
    with_wave,
)

__all__ = [
    "Record",
    "begin",
    "html",
    "lines",
    "load",
    "paths",
    "planned",
    "refused",
    "settings",
    "wave_record",
    "with_wave",
    "write",
]
