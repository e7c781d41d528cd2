# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode answers what the real run answers: the whole of it, but for what only doing it shows."""

from __future__ import annotations

from typing import Any

import pytest
from trials import PATH

from .conftest import SET

# Names and times of a trial that there is none of yet, what the kernel did besides, and what the guard has seen.
ONLY_WHEN_DONE = {"id", "started", "deadline_epoch", "seconds_left"}
OF_THE_REAL_RUN = {"side_effects", "baseline"}
STATE = "/var/lib/nettune"

FEWER = {"sysctl": {"net.ipv4.tcp_fin_timeout": "30"}, "rollout_id": "r2"}
CONFIRM_FIRST = [("started", {}), ("confirmed", {})]
SCENES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "a new set": ([], {}),
    "in place of a file": (["echo '# by hand' >" + PATH], {}),
    "with side effects": ([], {"sysctl": {"net.ipv4.ip_forward": 1, "net.ipv4.tcp_fin_timeout": 20}}),
    "nothing to write but the file": ([], {"sysctl": {"net.ipv4.tcp_fin_timeout": 60}}),
    "nothing to do": (CONFIRM_FIRST, {}),
    "nothing to do by hand": (
        ["echo net.ipv4.tcp_fin_timeout=60 >" + PATH],
        {"sysctl": {"net.ipv4.tcp_fin_timeout": 60}},
    ),
    "a dropped key": (CONFIRM_FIRST, FEWER),
    "a dropped key of somebody else": ([*CONFIRM_FIRST, "echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse"], FEWER),
    "a confirmed set that somebody changed": ([*CONFIRM_FIRST, "echo 33 >/proc/sys/net/ipv4/tcp_fin_timeout"], {}),
    "refused by what is pending": ([("started", {})], FEWER),
    "refused by evidence": ([("started", {}), ("rolled_back", {"reason": "rejects", "evidence": True})], {}),
    "forced": ([("started", {}), ("rolled_back", {"reason": "rejects", "evidence": True})], {"force": True}),
    "refused by the host": ([], {"sysctl": {**SET, "net.ipv4.tcp_tw_recycle": "1"}}),
    "refused by its content": ([], {"content": "net.ipv4.tcp_fin_timeout = 21\n"}),
    "refused by its path": ([], {"path": "/etc/passwd"}),
    "refused by a link for a file": (["ln -s /etc/hosts " + PATH], {}),
    "refused by a link for the state": ([f"ln -s /run {STATE}"], {}),
    "refused by a file for the state": ([f"touch {STATE}"], {}),
    "refused by an owner of the state": ([f"mkdir {STATE} && chown 65534 {STATE}"], {}),
    "refused by damage": ([*CONFIRM_FIRST, f"echo garbage >{STATE}/confirmed.json"], FEWER),
}


def settled(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what cannot be known before."""
    known = {name: value for name, value in answer.items() if name not in OF_THE_REAL_RUN | {"invocation"}}
    if "trial" in known and known["changed"]:
        known["trial"] = {name: value for name, value in answer["trial"].items() if name not in ONLY_WHEN_DONE}
    if "diff" in known:
        # The file changes only with the confirmation; check mode shows already how.
        known["diff"] = [part for part in answer["diff"] if part["before_header"] == "/proc/sys"]
    return known


@pytest.mark.parametrize("name", SCENES)
def test_what_a_start_answers(host: Any, name: str) -> None:
    before, arguments = SCENES[name]
    for step in before:
        if isinstance(step, str):
            host.namespace.run(["sh", "-ec", step])
        else:
            assert host.trial(step[0], **step[1])["changed"]
    found = host.whole()
    predicted = host.trial("started", _ansible_check_mode=True, **arguments)
    assert host.whole() == found
    real = host.trial("started", **arguments)
    assert settled(predicted) == settled(real)
    assert bool(predicted.get("failed")) == name.startswith("refused")
    assert (host.whole() != found) == bool(real.get("changed"))
    if real.get("changed"):
        assert set(real) >= OF_THE_REAL_RUN
        # The rest of the prediction is about the confirmation.
        assert predicted["diff"][1:] == host.trial("confirmed")["diff"]
