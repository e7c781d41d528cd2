# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scenarios' tests ask of a host."""

from __future__ import annotations

import os
import pathlib

EPHEMERAL = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
STATE = pathlib.Path(__file__).with_name("state.sh").read_text(encoding="utf-8")


def state(host) -> list[str]:
    """Everything that a rollout can change, a line each."""
    return host.check_output(STATE).splitlines()


def state_before(host) -> list[str]:
    """The same, as it was when the scenario began."""
    name = host.backend.get_pytest_id().removeprefix("ansible://")
    return (EPHEMERAL / f"{name}.before").read_text(encoding="utf-8").splitlines()


def sysctl(host, key: str) -> str:
    return host.file("/proc/sys/" + key.replace(".", "/")).content_string.strip()
