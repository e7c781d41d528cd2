# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule scenarios: each is one test."""

from __future__ import annotations

import pathlib

import pytest
import systemd_host

SCENARIOS = sorted(path.parent.name for path in pathlib.Path(__file__).parents[2].glob("molecule/*/molecule.yml"))


@pytest.mark.minutes
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario, molecule):
    missing = systemd_host.missing_programs() if scenario == "systemd" else []
    if missing:
        pytest.skip(f"needs {', '.join(missing)} to run a host with systemd: install the Debian package of that name")
    molecule(scenario)
