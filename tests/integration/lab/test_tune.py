# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make tune`, the README's first command: what it shows, and what it leaves."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest
from labs import CHECKOUT

SHORT = {"tune_waves": [1, "100%"], "tune_soak": 6, "tune_soak_max": 30}
SERVERS = "web1, web2, web3, web4, web5, web6"


@pytest.mark.parametrize(
    ("example", "verdict", "left"),
    [
        ("l7_proxy", "Wave 2: promote: ", "on the new set, persisted in /etc/sysctl.d/90-nettune.conf"),
        ("nat_timestamps", "Wave 1: roll_back: ", "as before, byte for byte"),
    ],
)
def test_an_example_in_the_lab(example: str, verdict: str, left: str, tmp_path: pathlib.Path) -> None:
    more = json.dumps({**SHORT, "tune_report_dir": str(tmp_path)})
    command = [sys.executable, str(CHECKOUT / "lab" / "tune.py"), "--example", example, "--", "-e", more]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False, cwd=CHECKOUT
    )
    print(done.stdout, done.stderr)
    assert (done.returncode == 0) == ("promote" in verdict)
    assert re.search(r"^ +\+\d+ s  \d+ timestamp rejects? in \d+ connections", done.stdout, re.MULTILINE)
    assert verdict in done.stdout
    assert f"{SERVERS}: {left}" in done.stdout
    (report,) = tmp_path.glob("*.html")
    assert f"Report: {report}" in done.stdout
    assert not (CHECKOUT / ".lab" / "nat_front.tune").exists()
