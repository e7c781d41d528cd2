# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""boot: whether the value survives a reboot, and the other programs of the host."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.boot_order import DIRECTORIES, SYSCTL_CONF, Assignment
from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import Writer
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.words import listed

# Program -> keys that it writes by itself, and when.
_WRITES = {
    "docker": (
        (
            "net.ipv4.ip_forward",
            "net.ipv6.conf.*.forwarding",
            "net.bridge.bridge-nf-call-*",
            "net.ipv4.conf.*.route_localnet",
        ),
        "when it starts and for its networks",
    ),
    "kube-proxy": (
        (
            "net.netfilter.nf_conntrack_max",
            "net.netfilter.nf_conntrack_tcp_timeout_established",
            "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
            "net.netfilter.nf_conntrack_tcp_be_liberal",
            "net.netfilter.nf_conntrack_udp_timeout*",
            "net.ipv4.vs.*",
            "net.ipv4.conf.*.route_localnet",
            "net.ipv4.conf.all.arp_*",
            "net.ipv4.ip_forward",
            "net.bridge.bridge-nf-call-iptables",
        ),
        "when it starts, from its own configuration",
    ),
    "k3s": (
        (
            "net.ipv4.ip_forward",
            "net.ipv6.conf.all.forwarding",
            "net.bridge.bridge-nf-call-*",
            "net.netfilter.nf_conntrack_*",
        ),
        "when it starts",
    ),
    "cni": (
        ("net.ipv4.ip_forward", "net.ipv4.conf.*.forwarding", "net.ipv6.conf.*.forwarding"),
        "for every pod's interface",
    ),
    "calico": (
        ("net.ipv4.conf.*.rp_filter", "net.ipv4.ip_forward", "net.ipv4.conf.*.forwarding"),
        "for its interfaces",
    ),
    "cilium": (
        (
            "net.ipv4.conf.*.rp_filter",
            "net.ipv4.conf.*.forwarding",
            "net.ipv6.conf.*.forwarding",
            "net.core.bpf_jit_enable",
        ),
        "when it starts and in a file of its own in /etc/sysctl.d",
    ),
    "ufw": (
        (
            "net.ipv4.conf.*.rp_filter",
            "net.ipv4.conf.*.accept_*",
            "net.ipv4.conf.*.send_redirects",
            "net.ipv4.conf.*.log_martians",
            "net.ipv6.conf.*.accept_*",
            "net.ipv4.icmp_*",
            "net.ipv4.ip_forward",
            "net.ipv4.tcp_sack",
        ),
        "from /etc/ufw/sysctl.conf when the firewall starts, which is after the sysctls of boot",
    ),
    "firewalld": (("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"), "where a zone masquerades or forwards"),
    "NetworkManager": (
        (
            "net.ipv6.conf.*.accept_ra",
            "net.ipv6.conf.*.disable_ipv6",
            "net.ipv6.conf.*.use_tempaddr",
            "net.ipv6.conf.*.addr_gen_mode",
            "net.ipv6.conf.*.mtu",
            "net.ipv4.ip_forward",
        ),
        "for each connection that it brings up",
    ),
    "bpftune": (
        ("net.core.*", "net.ipv4.tcp_*", "net.ipv4.neigh.*"),
        "while it runs; it leaves a key alone once somebody else has written it",
    ),
    "tuned": (
        ("net.*", "vm.*", "fs.*", "kernel.*"),
        "from its profile; it then reads /etc/sysctl.d again unless reapply_sysctl is 0",
    ),
}
# These need the value to be 1 and put it back.
_NEED_FORWARDING = ("docker", "kube-proxy", "k3s", "cni", "calico", "cilium")


@rule("error", "sysctl.d(5)", "sysctl(8)")
def never_read(context: Context) -> Iterator[Problem]:
    """A file in a directory that nothing reads at boot."""
    folder, name = posixpath.split(context.file)
    if context.proposed and (folder not in DIRECTORIES or not name.endswith(".conf")) and context.file != SYSCTL_CONF:
        yield Problem(
            tuple(context.proposed),
            f"{context.file} is not read at boot, so the whole set lasts until the next boot only.",
            f"systemd-sysctl and procps read *.conf files in {', '.join(DIRECTORIES[:4])}.",
            f"Set tune_file to /etc/sysctl.d/{name}.",
        )


@rule("error", "sysctl.d(5)", "systemd-sysctl.service(8)")
def overridden(context: Context) -> Iterator[Problem]:
    """Another file sets the key to another value and wins at the next boot, by its name or by its directory."""
    if posixpath.dirname(context.file) not in DIRECTORIES and context.file != SYSCTL_CONF:
        return
    for key, winner in (context.winners or {}).items():
        proposed = context.proposed.get(key)
        if proposed is None or (winner and (winner.path == context.file or winner.value == proposed)):
            continue
        if winner is None:
            yield Problem(
                (key,),
                f"{key} = {proposed:.80} lasts until the next boot only: a later file says -{key}, so that no file "
                "sets it.",
                f"That line is read after {context.file}, and the last word on a key counts.",
                f"Remove the line -{key}.",
            )
            continue
        yield Problem(
            (key,),
            f"{key} = {proposed:.80} lasts until the next boot only: {winner.path}, line {winner.line}, then sets "
            f"{winner.value:.80}.",
            f"{_whose(winner.path)} is read after {context.file}, and the last assignment of a key wins.",
            _remove(context, winner),
        )


def _whose(path: str) -> str:
    if path == SYSCTL_CONF:
        return "/etc/sysctl.conf, which procps reads last of all,"
    if path.startswith(("/usr/", "/lib/")):
        return f"{path}, a file of a package,"
    if path.startswith("/run/"):
        return f"{path}, a file that a program wrote since boot,"
    return path


def _remove(context: Context, winner: Assignment) -> str:
    name = posixpath.basename(winner.path)
    if winner.path == SYSCTL_CONF:
        return f"Remove line {winner.line} of {winner.path}."
    if winner.path.startswith(("/usr/", "/lib/")):
        return (
            f"Set tune_file to a name in /etc/sysctl.d that sorts after {name}, or mask that file with a link "
            f"/etc/sysctl.d/{name} to /dev/null if nothing else in it is wanted."
        )
    link = next((file.link for file in context.facts.sysctl_files or () if file.path == winner.path), None)
    where = f"{winner.path} (a link to {link})" if link else winner.path
    return f"Remove line {winner.line} of {where}, or set tune_file to a name that sorts after {name}."


@rule("info", "docs/rules/boot.md")
def another_writer(context: Context) -> Iterator[Problem]:
    """A program of this host that is known to write a key of the set by itself: at its next start it may overwrite it.
    A warning where it needs the opposite.
    """
    for writer in context.facts.writers:
        patterns, when = _WRITES.get(writer.name, ((), ""))
        keys = tuple(key for key in context.proposed if any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns))
        if not keys:
            continue
        evidence = f" Seen here: {writer.evidence}." if writer.evidence else ""
        refused = "net.ipv4.ip_forward" in keys and context.number("net.ipv4.ip_forward") == 0
        if refused and writer.name in _NEED_FORWARDING:
            yield Problem(
                ("net.ipv4.ip_forward",),
                f"net.ipv4.ip_forward = 0 stops the network of {writer.name}, which sets it to 1 again at its next "
                "start.",
                f"{writer.name} writes it {when}.{evidence}",
                "Leave the line out, or remove the program first.",
                severity="warning",
            )
            continue
        yield Problem(
            keys,
            f"{writer.name} runs here and may overwrite {listed(keys, 3)}.",
            f"It writes {'them' if len(keys) > 1 else 'it'} {when}.{evidence}",
            _settle(writer),
        )


def _settle(writer: Writer) -> str:
    if writer.name == "tuned":
        return (
            "Compare with tuned-adm verify after a restart, and take the key out of the active profile if it is there."
        )
    if writer.name == "ufw":
        return "Give the key the same value in /etc/ufw/sysctl.conf, or remove it there."
    if writer.name == "kube-proxy":
        return "Set it in kube-proxy's configuration (conntrack.maxPerCore and its neighbours; 0 leaves the key alone)."
    return f"Set it in the configuration of {writer.name} too, or look at the value again after its next start."


@rule("info", "modules-load.d(5)", "sysctl.d(5)")
def module_loaded_later(context: Context) -> Iterator[Problem]:
    """A key of a module that something loads after the sysctls of boot have been written: at boot the line then does
    nothing.
    """
    for module, beginnings in (
        ("nf_conntrack", ("net.netfilter.nf_conntrack_", "net.nf_conntrack_")),
        ("br_netfilter", ("net.bridge.",)),
    ):
        keys = tuple(
            key for key in context.proposed if key.startswith(beginnings) and context.presence(key).exists is not False
        )
        if keys:
            yield Problem(
                keys,
                f"{listed(keys, 3)} can be set at boot only if the module {module} is loaded by then.",
                "The files of sysctl.d are read once, early. Where a firewall or a container engine loads the module "
                "later, it begins with its own defaults.",
                f"Put {module} into a file of /etc/modules-load.d, which is read before them.",
            )
