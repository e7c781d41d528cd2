# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one task says of many hosts, for a task that speaks for them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

# Whoever reads this key is warned that it will be gone.
_WARNS = "timedout"

Result = dict[str, Any]


def results_by_host(hosts: Iterable[str], hostvars: Mapping[str, Any], name: str) -> dict[str, Result]:
    """{host: what it registered under the name, or nothing}."""
    return {host: _plain(hostvars[host].get(name) or {}) for host in hosts}


def results_by_item(registered: Mapping[str, Any] | None) -> dict[str, Result]:
    """{item: its result} of a task with a loop."""
    results = (registered or {}).get("results") or []
    return {result["item"]: _plain(result) for result in results}


def _plain(result: Mapping[str, Any]) -> Result:
    return {key: result[key] for key in result if key != _WARNS}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"results_by_host": results_by_host, "results_by_item": results_by_item}
