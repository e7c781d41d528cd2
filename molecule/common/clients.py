# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What clients of the virtual address meet."""

from __future__ import annotations

import yaml
from hosts import INVENTORY

VIP = "10.34.0.100"

# Which server answered each of 40 fresh connections, after the client forgot who has the address.
CONNECT = """
import socket
for _number in range(40):
    with socket.create_connection((%r, 80), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: lab\\r\\n\\r\\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    print(answer.rpartition(b"\\r\\n")[2].decode().strip())
"""


def servers_reached(client):
    client.check_output(f"ip neighbour flush to {VIP}")
    python = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))["all"]["vars"]["ansible_python_interpreter"]
    return client.check_output("%s -c %s", python, CONNECT % VIP).splitlines()


def who_has_the_address(client):
    """The hardware address that the client sends to."""
    return client.check_output(f"ip -oneline neighbour show to {VIP}").split("lladdr ")[1].split()[0]


def hardware_address(host):
    return host.file("/sys/class/net/eth0/address").content_string.strip()
