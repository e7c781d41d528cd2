# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record and the page of a rollout as files, each there as a whole at any moment."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.nettune.kernel.plugins.plugin_utils.atomic_file import replacing
from ansible_collections.nettune.kernel.plugins.plugin_utils.report.page import html
from ansible_collections.nettune.kernel.plugins.plugin_utils.report.record import SCHEMA, Record


def load(path: Path) -> Record | None:
    """The record; None where there is none. ValueError with a sentence where it cannot be read."""
    try:
        with path.open(encoding="utf-8") as stream:
            record = json.load(stream)
    except FileNotFoundError:
        return None
    if not isinstance(record, dict) or "rollout_id" not in record:
        raise ValueError(f"{path} is no record of a rollout")
    if record.get("schema") != SCHEMA:
        raise ValueError(f"{path} has schema {record.get('schema')}, and this version reads {SCHEMA}")
    return record


def write(record: Record, json_path: Path, html_path: Path) -> None:
    with replacing(json_path) as stream:
        # Compact: one line of a large record takes a tenth of the time of an indented one.
        stream.write(json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n")
    with replacing(html_path) as stream:
        stream.write(html(record))
