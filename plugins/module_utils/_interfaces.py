# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network interfaces and their addresses, asked of the kernel: /sys may show another network namespace."""

import array
import fcntl
import socket
import struct

from ._netlink import attributes, dump, text

_NETLINK_ROUTE = 0
_GET_LINK = 18
_GET_ADDRESS = 22
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_NAME, _MTU, _STATE, _LINK_INFO = 3, 4, 16, 18
_KIND = 1
_STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
_SIOCETHTOOL = 0x8946
_GET_SETTINGS = 0x1
_SPEED_UNKNOWN = 0xFFFFFFFF


def read():
    """[{name, kind, mtu, speed_mbps, state, addresses}] of this network namespace. Raises OSError."""
    addresses = {}
    for payload in dump(_NETLINK_ROUTE, _GET_ADDRESS, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(payload)
        found = attributes(payload, _ADDRESS.size)
        # On a point-to-point link IFA_ADDRESS (1) is the peer and IFA_LOCAL (2) the host itself.
        raw = found.get(2) or found.get(1)
        if raw and family in (socket.AF_INET, socket.AF_INET6):
            addresses.setdefault(index, []).append("%s/%d" % (socket.inet_ntop(family, raw), prefix))
    links = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for payload in dump(_NETLINK_ROUTE, _GET_LINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
            _family, _type, index, _flags, _change = _LINK.unpack_from(payload)
            found = attributes(payload, _LINK.size)
            name = text(found[_NAME])
            state = found.get(_STATE, b"\0")[0]
            links.append(
                {
                    "name": name,
                    # vlan, dummy, ipip, veth...; null for hardware.
                    "kind": text(attributes(found.get(_LINK_INFO, b""), 0).get(_KIND, b"")) or None,
                    "mtu": struct.unpack("=I", found[_MTU])[0],
                    "speed_mbps": _speed(any_socket, name),
                    "state": _STATES[state] if state < len(_STATES) else "unknown",
                    "addresses": addresses.get(index, []),
                }
            )
    return links


def _speed(any_socket, name):
    """Mbit/s as the driver says, or None."""
    # struct ethtool_cmd: the speed is split over two fields of 16 bits.
    command = array.array("B", struct.pack("=I40x", _GET_SETTINGS))
    request = struct.pack("16sP16x", name.encode(), command.buffer_info()[0])
    try:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    except OSError:
        return None
    low, high = struct.unpack_from("=12xH14xH", command)
    speed = high << 16 | low
    return None if speed in (0, 0xFFFF, _SPEED_UNKNOWN) else speed
