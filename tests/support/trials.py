# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trial is started with where no module fills in what was left out."""

from __future__ import annotations

from typing import Any

PATH = "/etc/sysctl.d/90-nettune.conf"
GUARD = {
    "enabled": True,
    "baseline_seconds": 0,
    "min_events": 10,
    "max_per_1000": 5.0,
    "max_ratio": 1.5,
    "alpha": 0.01,
    "max_rise": {},
}
# What hosts have unlike a new one: the kernel resets these along with ip_forward, and they must come back as they were.
OWN_VALUES = {
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.lo.accept_redirects": "0",
    "net.ipv4.conf.lo.forwarding": "1",
    "net.ipv6.conf.lo.accept_redirects": "0",
    "net.ipv6.conf.lo.forwarding": "1",
}
SET_OWN_VALUES = "".join(f"echo {value} >/proc/sys/{key.replace('.', '/')}\n" for key, value in OWN_VALUES.items())


def content_of(values: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in values.items())


def start_arguments(values: dict[str, str], confirm_within: int, **others: Any) -> dict[str, Any]:
    """Of Trials.start."""
    return {
        "values": values,
        "content": content_of(values),
        "path": PATH,
        "rollout_id": "r1",
        "confirm_within": confirm_within,
        "guard": GUARD,
        **others,
    }
