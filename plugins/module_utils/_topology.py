# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of the host's place in the network. A host sees signs, never the whole: without a sign it is unknown."""

import re

from . import _nat
from ._files import read_text

# Processes that speak for a role, under the name that /proc/PID/comm shows.
ROLES = {
    "haproxy": ("l7_proxy", "medium"),
    "envoy": ("l7_proxy", "medium"),
    "traefik": ("l7_proxy", "medium"),
    "nginx": ("l7_proxy", "low"),
    "mysqld": ("database", "medium"),
    "mariadbd": ("database", "medium"),
    "postgres": ("database", "medium"),
    "mongod": ("database", "medium"),
    "redis-server": ("database", "medium"),
    "kubelet": ("kubernetes_node", "high"),
    "k3s-server": ("kubernetes_node", "high"),
    "kube-proxy": ("kubernetes_node", "high"),
}
_CONFIDENCE = ("low", "medium", "high")
_KEEPALIVED = "/etc/keepalived/keepalived.conf"
_KIND = re.compile(r"^\s*(lb_kind|lvs_method)\s+(\w+)", re.MULTILINE)  # two words for the same
# How a director reaches its real servers, as the kernel calls it.
_METHODS = {"Masq": "lvs_nat", "Route": "lvs_dr", "Tunnel": "lvs_tun"}
# Addresses on these are a node's own way to services and to its resolver: no director sends them here.
_NODE_DEVICES = ("kube-ipvs", "nodelocaldns")
# Behind these a host hides containers and virtual machines of its own.
_GUEST_BRIDGES = ("docker", "br-", "podman", "cni", "virbr", "lxcbr", "lxdbr", "incusbr")
# From so many connections of one address on, somebody stands in front of the clients, or one client is very busy.
_CROWD = 50


class Evidence:
    """Values, each with its confidence and what was seen where."""

    def __init__(self):
        self._found = {}

    def add(self, value, confidence, fact, seen_at):
        entry = self._found.setdefault(value, {"value": value, "confidence": confidence, "evidence": []})
        entry["confidence"] = max(entry["confidence"], confidence, key=_CONFIDENCE.index)
        entry["evidence"].append({"fact": fact, "seen_at": seen_at})

    def has(self, value):
        return value in self._found

    def best(self):
        """The value with the highest confidence, or None."""
        return max(self._found.values(), key=lambda entry: _CONFIDENCE.index(entry["confidence"]), default=None)

    def all(self):
        """The values that go together, each by itself."""
        return list(self._found.values())


def find(interfaces, sysctl, counters, sockets, processes):
    """({front, clients_behind_nat: a value with confidence and evidence; role, vips: lists of such}, where there is a
    sign; [{what, reason}] of what could not be looked at)."""
    front, role, nat_clients = Evidence(), Evidence(), Evidence()
    unreadable = []
    vips = _virtual_addresses(interfaces, is_node=any(_speaks_for(name) == "kubernetes_node" for name in processes))
    _real_server(front, vips, interfaces, sysctl)
    _director(role, front, balances_services="kube-proxy" in processes or _has_device(interfaces, "kube-ipvs"))
    _translation(role, interfaces, sysctl, unreadable)
    for process, pid in sorted(processes.items()):
        if process in ROLES:
            role.add(ROLES[process][0], ROLES[process][1], "%s runs" % process, "process %d" % pid)
    _crowds(nat_clients, counters, sockets)
    found = {
        "front": front.best(),
        "role": role.all(),
        "clients_behind_nat": nat_clients.best(),
        "vips": vips.all(),
    }
    return {name: entry for name, entry in found.items() if entry}, unreadable


def _speaks_for(process):
    return ROLES[process][0] if process in ROLES else None


def _virtual_addresses(interfaces, is_node):
    """Addresses of a single host on a device that no cable ends in."""
    vips = Evidence()
    for interface in interfaces:
        # Through tunnels with such an address the pods of several nodes reach each other.
        if interface["name"].startswith(_NODE_DEVICES) or (is_node and interface["kind"] == "ipip"):
            continue
        if interface["name"] == "lo" or interface["kind"] in ("dummy", "ipip"):
            for cidr in interface["addresses"]:
                address, _slash, prefix = cidr.partition("/")
                if prefix == "32" and not address.startswith("127."):
                    confidence = "low" if interface["kind"] == "dummy" else "medium"
                    vips.add(address, confidence, "%s on %s" % (cidr, interface["name"]), "address list")
    return vips


def _real_server(front, vips, interfaces, sysctl):
    tunnels = {interface["name"] for interface in interfaces if interface["kind"] == "ipip"}
    bare = [one["name"] for one in interfaces if one["kind"] == "ipip" and one["state"] != "down" and not _ipv4(one)]
    for vip in (sign for entry in vips.all() for sign in entry["evidence"]):
        if vip["fact"].rpartition(" ")[2] in tunnels:
            front.add("lvs_tun", "medium", vip["fact"], vip["seen_at"])
            continue
        for key, ignore, announce in _arp(interfaces, sysctl):
            if ignore in (1, 2) and announce == 2:
                kind = "lvs_tun" if bare else "lvs_dr"
                front.add(kind, "high", vip["fact"], vip["seen_at"])
                front.add(kind, "high", "effective arp_ignore %d, arp_announce %d" % (ignore, announce), key)
                for name in bare:
                    front.add(kind, "high", "%s is up, without an address" % name, "address list")
                break
        else:
            # Without the arp settings it may as well be an anycast or a router's address.
            front.add("lvs_tun" if bare else "lvs_dr", "low", vip["fact"], vip["seen_at"])
    for module in ("toa", "uoa"):
        if re.search("^%s " % module, read_text("/proc/modules", 1 << 20) or "", re.MULTILINE):
            front.add("lvs_fullnat", "medium", "module %s is loaded" % module, "/proc/modules")


def _arp(interfaces, sysctl):
    """Yields (key, arp_ignore, arp_announce) in force on each device with neighbours: the larger of all and its own."""
    for interface in interfaces:
        if interface["name"] == "lo" or interface["kind"] in ("dummy", "ipip"):
            continue
        if not _ipv4(interface):
            continue  # ARP is of IPv4 only.
        scope = "net.ipv4.conf.%s." % interface["name"].replace(".", "/")
        ignore, announce = (
            max(_number(sysctl.get("net.ipv4.conf.all." + name)), _number(sysctl.get(scope + name)))
            for name in ("arp_ignore", "arp_announce")
        )
        yield scope + "arp_*", ignore, announce


def _ipv4(interface):
    return [address for address in interface["addresses"] if "." in address]


def _has_device(interfaces, beginning):
    return any(interface["name"].startswith(beginning) for interface in interfaces)


def _director(role, front, balances_services):
    """IPVS has a table; kube-proxy fills the same one with the services of its cluster."""
    methods = parse_ip_vs(read_text("/proc/net/ip_vs", 1 << 22) or "")
    # Where there are several, Masq comes first: of all methods it asks most of the host.
    for method, count in sorted(methods.items()):
        fact = "%d real servers by %s" % (count, method)
        if balances_services:
            role.add("kubernetes_node", "high", fact, "/proc/net/ip_vs")
            continue
        role.add("lvs_director", "high", fact, "/proc/net/ip_vs")
        if method in _METHODS:
            front.add(_METHODS[method], "high", fact, "/proc/net/ip_vs")
    # The standby of a pair has the file as well.
    for word, kind in sorted(set(_KIND.findall(read_text(_KEEPALIVED) or ""))):
        fact = "%s %s" % (word, kind)
        role.add("lvs_director", "medium", fact, _KEEPALIVED)
        if "lvs_" + kind.lower() in _METHODS.values():
            front.add("lvs_" + kind.lower(), "medium", fact, _KEEPALIVED)


def parse_ip_vs(text):
    """{Route: 2, ...}: real servers by the way they are reached: Masq, Route (DR), Tunnel, Local."""
    methods = {}
    for method in re.findall(r"^\s+->\s+[0-9A-Fa-f\[\]:]+:[0-9A-Fa-f]{4}\s+(\w+)", text, re.MULTILINE):
        methods[method] = methods.get(method, 0) + 1
    return methods


def _translation(role, interfaces, sysctl, unreadable):
    """Source NAT makes a gateway where the host forwards too, unless it may be for the host's own guests."""
    rules = []
    for source, read in (("ip_tables", _nat.ip_tables), ("nf_tables", _nat.nf_tables)):
        try:
            rules += [(source, place, count) for place, count in read().items()]
        except OSError as problem:
            unreadable.append({"what": "rules of %s" % source, "reason": problem.strerror or str(problem)})
    forwards = sysctl.get("net.ipv4.ip_forward") == "1"
    guests = sorted(interface["name"] for interface in interfaces if interface["name"].startswith(_GUEST_BRIDGES))
    for source, (kind, table, chain), count in sorted(rules):
        fact = "%d %s rules" % (count, kind) if count else "the table is loaded"
        seen_at = "%s: %s %s" % (source, table, chain)
        if chain == "KUBE-POSTROUTING":
            role.add("kubernetes_node", "high", fact, seen_at)
        elif kind in _nat.SOURCE:
            role.add("nat_gateway", "high" if forwards and count and not guests else "low", fact, seen_at)
    if role.has("nat_gateway"):
        if forwards:
            role.add("nat_gateway", "low", "forwards", "net.ipv4.ip_forward")
        if guests:
            role.add("nat_gateway", "low", "has guests of its own behind %s" % ", ".join(guests), "interface list")
        tracked = sysctl.get("net.netfilter.nf_conntrack_count")
        if _number(tracked):
            role.add("nat_gateway", "low", "%s connections tracked" % tracked, "net.netfilter.nf_conntrack_count")


def _crowds(nat_clients, counters, sockets):
    """Signs that several clients share an address. A proxy in front looks the same, so none of them is strong."""
    for peer in sockets.get("incoming", {}).get("top", []):
        if peer["connections"] >= _CROWD and not peer["address"].startswith("127.") and peer["address"] != "::1":
            fact = "%d connections from %s" % (peer["connections"], peer["address"])
            nat_clients.add(True, "low", fact, "socket table")
    rejects = counters.get("TcpExt", {})
    # The check of tcp_tw_recycle only hits clients that share an address, or whose timestamps do not rise.
    for name, confidence in (("PAWSPassive", "medium"), ("PAWSTimewait", "low")):
        if rejects.get(name):
            nat_clients.add(True, confidence, "TcpExt.%s is %d" % (name, rejects[name]), "/proc/net/netstat")


def _number(text):
    try:
        return int(text)
    except (TypeError, ValueError):
        return 0
