# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reviews as a colleague would write them, each said once with the hosts that it is true of."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.reviews import Review


def text(reviews: Iterable[Review]) -> str:
    hosts: dict[str, list[str]] = {}
    for review in reviews:
        hosts.setdefault(review.text or f"{review.problem}", []).append(review.host)
    return "\n".join(f"{', '.join(named)}: {said}\n" for said, named in hosts.items())
