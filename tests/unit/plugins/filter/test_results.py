# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one task says of many hosts."""

from __future__ import annotations

from typing import Any

from ansible_collections.nettune.kernel.plugins.filter.results import results_by_host, results_by_item


class Warns(dict[str, Any]):
    """As results of ansible-core: whoever reads the key is warned."""

    def __getitem__(self, key: str) -> Any:
        assert key != "timedout"
        return super().__getitem__(key)


def test_each_host_has_what_it_registered() -> None:
    hostvars = {
        "web1": {"looked": Warns(sample=1, timedout=None)},
        "web2": {},
        "web3": {"looked": {"skipped": True}},
    }
    assert results_by_host(["web1", "web2"], hostvars, "looked") == {"web1": {"sample": 1}, "web2": {}}


def test_each_item_has_its_result() -> None:
    registered = {"results": [Warns(item="web1", sample=1, timedout=None), {"item": "web2", "unreachable": True}]}
    found = results_by_item(registered)
    assert found == {"web1": {"item": "web1", "sample": 1}, "web2": {"item": "web2", "unreachable": True}}


def test_a_loop_over_nothing_has_no_results() -> None:
    assert results_by_item({"skipped": True, "results": []}) == {}
    assert results_by_item({}) == {}
