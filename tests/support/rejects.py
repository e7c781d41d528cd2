# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timestamp rejects that a real kernel counts, made on the loopback of a test's host: python3 -c REJECTS NUMBER."""

# A client whose timestamps jump back (TCP_REPAIR lets it set them) is what the server's kernel rejects and counts.
REJECTS = """
import socket, struct, sys, time
TCP_REPAIR, TCP_TIMESTAMP = 19, 24
server = socket.create_server(("127.0.0.1", 0))
kept = []
for number in range(int(sys.argv[1])):
    # In bursts of four: the guard takes one bad second for no evidence.
    if number % 4 == 3:
        time.sleep(0.4)
    client = socket.create_connection(server.getsockname())
    kept += [client, server.accept()[0]]
    client.send(b"a")
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    stamp = client.getsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP)
    client.setsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP, struct.pack("I", (stamp - 1000000) % 2**32))
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
    client.send(b"b")
"""
