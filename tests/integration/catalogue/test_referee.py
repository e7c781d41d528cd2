# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running kernel judges the catalogue, through tools/referee, which others can run on their kernels."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import referee_tool

referee = referee_tool.referee  # a fixture


def ask(python: str) -> dict[str, Any]:
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes a network namespace")
    done = subprocess.run(
        [python, str(referee_tool.PATH), "--record"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    recorded: dict[str, Any] = json.loads(done.stdout)
    return recorded


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return ask(sys.executable)


def test_the_kernel_agrees(interpreter: str, referee: Any, capfd: pytest.CaptureFixture[str]) -> None:
    verdict = referee.judge(ask(interpreter))
    # The rates are worth seeing, also where all is well.
    with capfd.disabled():
        print(f"\n{os.uname().release}\n{verdict}", file=sys.stderr)
    assert not verdict.wrong, str(verdict)
    assert not verdict.unused, str(verdict)
    assert verdict.asked["presence"] > 500
    assert verdict.asked["default"] > 300
    assert verdict.asked["answer"] > 20000


def test_only_own_keys_were_changed(recorded: dict[str, Any]) -> None:
    """The machine's values are what they were, and what a namespace shows of them was not tried."""
    for key, answer in recorded["keys"].items():
        path = "/proc/sys/" + key.replace("/", "\0").replace(".", "/").replace("\0", ".")
        if answer["outside"] is None or "/conf/" in path or "/neigh/" in path:
            continue
        if "tried" in answer:
            assert " ".join(pathlib.Path(path).read_text().split()) == answer["outside"], key
    assert "tried" not in recorded["keys"].get("net.netfilter.nf_hooks_lwtunnel", {})
    assert "tried" not in recorded["keys"].get("net.core.rmem_max", {})


LIES: list[tuple[str, Any]] = [
    ("presence", lambda keys: keys.pop("net.ipv4.tcp_syncookies")),
    ("presence", lambda keys: keys.update({"net.ipv4.tcp_invented": {"mode": "644", "value": "0", "outside": "0"}})),
    ("presence", lambda keys: keys.update({"net.ipv4.tcp_tw_recycle": keys["net.ipv4.tcp_syncookies"]})),
    ("default", lambda keys: keys["net.ipv4.tcp_syncookies"].update(value="2")),
    ("answer", lambda keys: keys["net.ipv4.tcp_syncookies"]["tried"].append(["256", None, "256"])),
    ("answer", lambda keys: keys["net.ipv4.tcp_syncookies"]["tried"].append(["255", None, "254"])),
    ("answer", lambda keys: keys["net.ipv4.tcp_syncookies"]["tried"].append(["254", "EINVAL", "1"])),
]


@pytest.mark.parametrize(("question", "lie"), LIES)
def test_a_kernel_that_differs_is_told(question: str, lie: Any, referee: Any, recorded: dict[str, Any]) -> None:
    other = copy.deepcopy(recorded)
    lie(other["keys"])
    verdict = referee.judge(other)
    assert verdict.right[question] + verdict.excused[question] < verdict.asked[question]
    assert verdict.wrong


def test_an_exception_that_no_longer_applies_is_told(
    referee: Any, recorded: dict[str, Any], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = {"question": "answer", "key": "net.ipv4.tcp_sack", "cause": "was wrong once"}
    path = tmp_path / "exceptions.yml"
    path.write_text(pathlib.Path(referee.EXCEPTIONS).read_text() + f"\n- {json.dumps(stale)}\n")
    monkeypatch.setattr(referee, "EXCEPTIONS", str(path))
    verdict = referee.judge(recorded)
    assert verdict.unused == [stale]
    assert "net.ipv4.tcp_sack" in str(verdict)
