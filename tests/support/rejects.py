# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timestamp rejects that a real kernel counts, made on the loopback of whoever runs it: python3 rejects.py NUMBER"""

import socket
import struct
import sys
import time

TCP_REPAIR = 19
TCP_TIMESTAMP = 24


def make_one(server):
    """By a client whose timestamps jump back: TCP_REPAIR lets it set them. The sockets, to be kept open."""
    client = socket.create_connection(server.getsockname())
    accepted = server.accept()[0]
    client.send(b"a")
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    now = client.getsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP)
    client.setsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP, struct.pack("I", (now - 1000000) % 2**32))
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
    client.send(b"b")
    return client, accepted


def main():
    server = socket.create_server(("127.0.0.1", 0))
    kept = []
    for number in range(int(sys.argv[1])):
        # In bursts of four: the guard takes one bad second for no evidence.
        if number % 4 == 3:
            time.sleep(0.4)
        kept.append(make_one(server))


if __name__ == "__main__":
    main()
