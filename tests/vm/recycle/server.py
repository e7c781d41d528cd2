# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Closes each connection at once, so that it is this side which keeps it in TIME_WAIT."""

import socket

server = socket.create_server(("192.0.2.1", 8080), backlog=128)
print("ready", flush=True)
while True:
    server.accept()[0].close()
