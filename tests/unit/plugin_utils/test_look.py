# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answer to a look says."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils import _counters
from ansible_collections.nettune.kernel.plugins.plugin_utils import look

ID = "0a1b2c3d4e5f"
BOOT = "11111111-2222-3333-4444-555555555555.1234"
PARTS = {
    "boot_id": BOOT.partition(".")[0] + "\n",
    "init": "1 (init (x) y) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1234 99 9\n",
    "uptime": "500.25 9000.00\n",
    "snmp": "Tcp: ActiveOpens PassiveOpens\nTcp: 3 4\n",
    "netstat": "TcpExt: PAWSEstab PAWSOldAck\nTcpExt: 5 6\n",
    "trial": f'"boot_id": "{BOOT}"\n"deadline": 700.5\n"id": "{ID}"\n"phase": "on_trial"\n',
    "guard": "1\n",
}


def answer(**changes: str) -> str:
    return "motd\n" + "".join(f"== nettune: {name}\n{text}" for name, text in {**PARTS, **changes}.items())


def test_the_sample_is_that_of_the_module() -> None:
    assert look.parse(answer()).sample == {
        "time": 500.25,
        "boot_id": BOOT,
        "counters": {"TcpExt.PAWSEstab": 5, "Tcp.ActiveOpens": 3, "Tcp.PassiveOpens": 4},
    }


def test_a_trial_goes_on() -> None:
    assert look.parse(answer()).trial == ID


@pytest.mark.parametrize(
    "changes",
    [
        {"trial": ""},
        {"trial": PARTS["trial"].replace("on_trial", "restoring")},
        {"trial": PARTS["trial"].replace("700.5", "500.2")},
        {"trial": PARTS["trial"].replace(".1234", ".99")},
        {"guard": "0\n"},
        {"guard": ""},
    ],
    ids=["no journal", "rolling back", "deadline over", "rebooted", "no guard", "no lock"],
)
def test_a_trial_that_whoever_looks_closer_would_end_does_not_go_on(changes: dict[str, str]) -> None:
    assert look.parse(answer(**changes)).trial is None


def test_where_the_start_of_process_1_is_hidden() -> None:
    assert look.parse(answer(init="")).sample["boot_id"] == BOOT.partition(".")[0]


@pytest.mark.parametrize("name", ["boot_id", "uptime", "snmp", "netstat"])
def test_half_an_answer_is_none(name: str) -> None:
    with pytest.raises(ValueError, match=f"does not tell its {name}"):
        look.parse(answer(**{name: ""}))


def test_no_answer_is_none() -> None:
    with pytest.raises(ValueError, match="does not tell"):
        look.parse("sh: 1: echo: not found")


def test_texts_of_a_journal_do_not_look_like_its_keys() -> None:
    journal = {"content": '"id": "ffff", "phase": "on_trial"', "id": ID, "phase": "armed", "set": {'"id"': "1"}}
    pattern = look.COMMAND.partition("grep -oE '")[2].partition("'")[0]
    told = subprocess.run(
        ["grep", "-oE", pattern], input=json.dumps(journal, sort_keys=True), capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == [f'"id": "{ID}"', '"phase": "armed"']


def test_the_command_works_in_this_shell() -> None:
    told = subprocess.run(["sh", "-c", look.COMMAND], capture_output=True, text=True, check=False)
    seen, now = look.parse(told.stdout).sample, _counters.sample()
    assert seen["boot_id"] == now["boot_id"]
    assert seen["counters"].keys() == now["counters"].keys()
    assert 0 <= now["time"] - seen["time"] < 30
