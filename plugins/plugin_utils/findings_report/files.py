# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.atomic_file import replacing
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report import junit, sarif, text
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.reviews import Fleet, Review

# ensure_ascii, so that what is no Unicode (a lone surrogate) can be written too.
_ENCODE = json.JSONEncoder(indent=1).iterencode


def write(directory: str, reviews: Sequence[Review], fleet: Fleet | None = None) -> dict[str, Path]:
    """Format -> file. fleet: what was found of the hosts together, where that was looked at."""
    folder = Path(directory).expanduser()
    paths = {
        "json": folder / "findings.json",
        "sarif": folder / "findings.sarif",
        "junit": folder / "findings.junit.xml",
        "text": folder / "findings.txt",
    }
    with replacing(paths["json"]) as stream:
        stream.writelines(_ENCODE(summary(reviews, fleet)))
        stream.write("\n")
    with replacing(paths["sarif"]) as stream:
        stream.writelines(_ENCODE(sarif.log(reviews, Path.cwd().resolve(), fleet)))
        stream.write("\n")
    with replacing(paths["junit"]) as stream:
        stream.writelines(junit.chunks(reviews, fleet))
    with replacing(paths["text"]) as stream:
        stream.write(text.text(reviews, fleet).encode("utf-8", "replace").decode())
    return paths


def summary(reviews: Sequence[Review], fleet: Fleet | None) -> dict[str, Any]:
    failed = any(review.failed for review in reviews) or (fleet is not None and fleet.failed)
    return {
        "verdict": "rejected" if failed else "accepted",
        "hosts": {review.host: review.as_dict() for review in reviews},
        "fleet": fleet.as_dict() if fleet is not None else None,
    }
