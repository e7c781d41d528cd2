# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That the host of these tests is what they believe it to be, and harmless to the machine."""

from __future__ import annotations

import pathlib
from typing import Any

# Files that an open for writing does not refuse: prints none where all is well.
WRITABLE = """
find /proc/sys -path /proc/sys/net -prune -o -type f -perm -200 -print | while read -r file; do
    (: >>"$file") 2>/dev/null && echo "$file"
done
"""


def test_only_its_own_net_sysctls_can_be_written(host: Any) -> None:
    assert host.output("sh", "-c", WRITABLE) == ""
    # The machine's values, as seen from its own namespace.
    outside = pathlib.Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text()
    host.run(["sh", "-c", "echo 19 >/proc/sys/net/ipv4/tcp_fin_timeout"])
    assert host.value("net.ipv4.tcp_fin_timeout") == "19"
    assert pathlib.Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text() == outside


def test_a_boot_applies_sysctl_d_to_a_new_network_namespace(host: Any) -> None:
    host.run(["sh", "-c", "echo net.ipv4.tcp_fin_timeout = 21 >/etc/sysctl.d/50-test.conf"])
    host.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse; touch /run/mark"])
    host.reboot()
    assert host.value("net.ipv4.tcp_fin_timeout") == "21"
    assert host.value("net.ipv4.tcp_tw_reuse") == "2"
    assert host.output("systemctl", "is-active", "systemd-sysctl.service") == "active"
    assert host.run(["test", "-e", "/run/mark"], check=False).returncode == 1
