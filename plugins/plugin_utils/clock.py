# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments, as records hold them and as people read them."""

from __future__ import annotations

from datetime import datetime, timezone


def stamp(epoch: float | None = None) -> str:
    """2026-11-21T09:00:00Z; of now, where no moment is given. Text in the order of time: stamps can be compared."""
    moment = datetime.now(timezone.utc) if epoch is None else datetime.fromtimestamp(epoch, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def in_words(stamp: str) -> str:
    """2026-11-21 09:00:00 UTC."""
    return stamp.replace("T", " ").replace("Z", " UTC")
