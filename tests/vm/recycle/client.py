# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connects NUMBER times, or until its input ends, with timestamps BEHIND those of the machine: client.py NUMBER BEHIND

Kernels before 4.10 take the timestamps of all clients from the machine's uptime; this moves them. Newer ones move them
by themselves when a client connects, for each pair of addresses or for each connection.
"""

import json
import select
import socket
import struct
import sys

TCP_REPAIR, TCP_TIMESTAMP = 19, 24
SECONDS = 3


def connects(behind):
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        stamp = client.getsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP)
        client.setsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP, struct.pack("I", (stamp - behind) % 2**32))
        client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
        client.settimeout(SECONDS)
        try:
            client.connect(("192.0.2.1", 8080))
            return client.recv(1) == b""
        except OSError:
            return False


number, behind = int(sys.argv[1]), int(sys.argv[2])
outcomes = {"connected": 0, "failed": 0}
while sum(outcomes.values()) < number:
    outcomes["connected" if connects(behind) else "failed"] += 1
    # A pause, which the end of the input cuts short.
    if select.select([sys.stdin], [], [], 0.2)[0]:
        break
print(json.dumps(outcomes))
