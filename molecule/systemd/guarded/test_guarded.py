# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard was a service of systemd during the rollout."""

from __future__ import annotations


def test_it_was_a_service(host):
    log = host.check_output("journalctl --no-pager --output=cat _PID=1 + SYSLOG_IDENTIFIER=nettune")
    begun, _found, rest = log.partition("Started nettune-guard.service")
    assert "is on trial" in rest
    assert "is confirmed" in rest
    assert "nettune-guard.service: Failed" not in rest
    assert "is on trial" not in begun
