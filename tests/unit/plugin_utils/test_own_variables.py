# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a host that only its trial, or a probe of it, would take."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import own_variables

FINE = {
    "tune_file": "/etc/sysctl.d/90-nettune.conf",
    "tune_force": False,
    "tune_guard": {"enabled": "no", "max_rise": {"TcpExt.ListenDrops": 10}},
    "tune_guard_min_rejects": "10",
    "tune_probe_port": "22",
    "tune_probe_rate": "0.2",
}


def test_what_templates_make_of_them_is_fine() -> None:
    assert own_variables.wrong(FINE) == []
    assert own_variables.wrong({**FINE, "tune_probe_port": 0}) == []
    assert own_variables.wrong({}) == []


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("tune_file", "/run/sysctl.d/a.conf", "tune_file: path '/run/sysctl.d/a.conf' must be a file /etc/sysctl.d/"),
        ("tune_force", "perhaps", "tune_force is 'perhaps': write true or false"),
        ("tune_guard", "off", "tune_guard is 'off': write a dictionary with any of enabled, "),
        ("tune_guard", {"max_riss": {}}, "tune_guard: there is no max_riss: it has enabled, "),
        (
            "tune_guard",
            {"baseline_seconds": 3},
            "tune_guard: there is no baseline_seconds: it has enabled, min_events, ",
        ),
        ("tune_guard", {"min_events": "few"}, "tune_guard: argument 'min_events' is of type str"),
        ("tune_guard", {"alpha": 7}, "tune_guard: alpha must be between 1e-12 and 0.5, not 7"),
        ("tune_guard", {"max_rise": {"Tcp.Opens": 1}}, "tune_guard: max_rise names Tcp.Opens, which "),
        ("tune_guard_min_rejects", 0, "tune_guard_min_rejects is 0: write a number of rejects from 1 on"),
        ("tune_probe_port", "http", "tune_probe_port is 'http': write a TCP port from 1 to 65535, or 0 "),
        ("tune_probe_port", 70000, "tune_probe_port is 70000: "),
        ("tune_probe_port", None, "tune_probe_port is None: "),
        ("tune_probe_rate", 0, "tune_probe_rate is 0: write connections per second, above 0"),
        ("tune_probe_rate", "nan", "tune_probe_rate is 'nan': "),
    ],
)
def test_what_is_wrong_is_told_with_what_to_write(name: str, value: Any, sentence: str) -> None:
    (told,) = own_variables.wrong({**FINE, name: value})
    assert told.startswith(sentence)
