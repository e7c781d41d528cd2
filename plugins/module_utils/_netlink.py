# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps over a netlink socket: addresses, links, sockets and packet filter rules without starting a process."""

import os
import socket
import struct

_REQUEST = 0x1
_DUMP = 0x300
_ERROR = 2
_DONE = 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
# Flags in the type of an attribute: nested, network byte order.
_TYPE_MASK = 0x3FFF
_SECONDS = 5


def dump(protocol, message_type, request):
    """Yields the payload of every answer. Raises OSError, also where the kernel refuses or lacks the family."""
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        netlink.settimeout(_SECONDS)
        netlink.send(_HEADER.pack(_HEADER.size + len(request), message_type, _REQUEST | _DUMP, 1, 0) + request)
        while True:
            data = netlink.recv(262144)
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
                if kind in (_DONE, _ERROR):
                    code = struct.unpack_from("=i", data, offset + _HEADER.size)[0]
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return
                yield data[offset + _HEADER.size : offset + length]
                offset += (length + 3) & ~3
    finally:
        netlink.close()


def attributes(payload, offset):
    """{type: bytes} of the attributes that start at offset."""
    found = {}
    while offset + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = payload[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def text(value):
    """A name as the kernel sends it, ended by NUL."""
    return value.split(b"\0", 1)[0].decode("utf-8", "replace")
