# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reviews as a colleague would write them, each said once with the hosts that it is true of."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import counted, told
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings_report.reviews import Fleet, Review


def text(reviews: Iterable[Review], fleet: Fleet | None = None) -> str:
    hosts: dict[str, list[str]] = {}
    for review in reviews:
        hosts.setdefault(review.text or f"{review.problem}", []).append(review.host)
    parts = [f"{', '.join(named)}: {said}\n" for said, named in hosts.items()]
    if fleet is not None and (fleet.findings or fleet.waived):
        parts.append(_together(fleet))
    return "\n".join(parts)


def _together(fleet: Fleet) -> str:
    verdict = "rejected" if fleet.failed else "accepted"
    lines = [f"All hosts together: the sysctl sets are {verdict}"]
    lines[0] += f" ({counted(fleet.findings)})." if fleet.findings else "."
    for finding in fleet.findings:
        lines += ["", *told(finding)]
    for finding in fleet.waived:
        lines += ["", f"waived {finding['rule']} {', '.join(finding['keys'])}", f"  {finding['message']}"]
        lines.append(f"  Accepted: {finding['waiver']}")
    return "\n".join(lines) + "\n"
