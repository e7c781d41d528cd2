# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page, or a proxy that fetches it: proxy.py PORT [ADDRESS OF THE PAGE].

The proxy opens a new connection for each request and closes it first, so that its port stays in TIME_WAIT.
"""

from __future__ import annotations

import http.client
import http.server
import sys

PORT = int(sys.argv[1])
BEHIND = sys.argv[2] if len(sys.argv) > 2 else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            status, body = fetch(BEHIND) if BEHIND else (200, b"page\n")
        except OSError as problem:
            status, body = 502, f"{problem}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def fetch(address: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, PORT, timeout=2)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()
