# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kernel: whether this host's kernel has the key, lets it be written, and heeds it.

The live host decides, the catalogue second.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import Parameter, version
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule

_RECYCLE = "net.ipv4.tcp_tw_recycle"


def _missing(context: Context) -> Iterator[tuple[str, str, Parameter, str]]:
    """(key, value, parameter, basis) of proposed keys that do not exist here."""
    # timewait.recycle_removed has more to say of that one.
    return (found for found in context.missing if found[0] != _RECYCLE)


def _removed(context: Context, parameter: Parameter) -> bool:
    gone = parameter.kernels.get("gone_in")
    return gone is not None and context.facts.kernel.version >= version(gone)


def _too_new(context: Context, parameter: Parameter) -> bool:
    first = parameter.kernels.get("first")
    return "not_in" in parameter.kernels and first is not None and context.facts.kernel.version < version(first)


def _missing_in_namespace(context: Context, parameter: Parameter) -> bool:
    return context.facts.own_network_namespace is True and parameter.shown_in_namespace(context.facts.kernel) is False


@rule("error", "Documentation/networking/nf_conntrack-sysctl.rst")
def renamed(context: Context) -> Iterator[Problem]:
    """A name of older kernels, where the kernel has it under a new one."""
    for key, value, parameter, basis in _missing(context):
        if parameter.renamed_to:
            yield Problem(
                (key,),
                f"{key} does not exist on kernel {context.facts.kernel.release} ({basis}): the write will fail.",
                "Connection tracking has had its own place since 2.6.20; the old names went with 4.9 at the latest.",
                f"Write {parameter.renamed_to} = {value:.80} instead.",
            )


@rule("error", "Documentation/networking/ip-sysctl.rst")
def removed(context: Context) -> Iterator[Problem]:
    """A key that this kernel has no more."""
    for key, value, parameter, basis in _missing(context):
        if _removed(context, parameter) and not parameter.renamed_to:
            gone = parameter.kernels["gone_in"]
            yield Problem(
                (key,),
                f"{key} = {value:.80}: kernel {context.facts.kernel.release} has no such parameter ({basis}): "
                "the write will fail.",
                f"It was removed; {gone} is the first kernel of the catalogue without it. {parameter.summary}".strip(),
                "Leave the line out.",
            )


@rule("error", "Documentation/networking/ip-sysctl.rst")
def not_yet_there(context: Context) -> Iterator[Problem]:
    """A key of later kernels, which this one does not have yet."""
    for key, value, parameter, basis in _missing(context):
        if _too_new(context, parameter) and not _removed(context, parameter):
            yield Problem(
                (key,),
                f"{key} = {value:.80}: kernel {context.facts.kernel.release} does not have it yet ({basis}): the "
                "write will fail.",
                f"It came after {parameter.kernels['not_in']} and is there in {parameter.kernels['first']}. "
                f"{parameter.summary}".strip(),
                "Leave the line out for hosts of this kernel.",
            )


@rule("error", "vendor's kernel documentation")
def vendor_only(context: Context) -> Iterator[Problem]:
    """A key that only a vendor's kernel has, on a host of another or of an unknown vendor."""
    for key, value, parameter in context.parameters:
        if not parameter.vendor or context.presence(key).exists:
            continue
        if context.facts.has(key) is None and context.facts.kernel.vendor in parameter.vendor:
            continue
        yield Problem(
            (key,),
            f"{key} = {value:.80}: only kernels of {', '.join(parameter.vendor)} have it, and this host's is "
            f"{context.facts.kernel.release} ({context.presence(key).basis}).",
            parameter.summary,
            "Leave the line out.",
        )


@rule("error", "network_namespaces(7)")
def not_in_namespace(context: Context) -> Iterator[Problem]:
    """A key of the whole machine, on a host that lives in a network namespace of its own (a container)."""
    for key, value, parameter, basis in _missing(context):
        if _missing_in_namespace(context, parameter) and not (
            _removed(context, parameter) or _too_new(context, parameter)
        ):
            yield Problem(
                (key,),
                f"{key} = {value:.80}: this network namespace has no such key ({basis}): the write will fail.",
                "On this kernel it belongs to the whole machine and shows only in the first network namespace.",
                "Set it on the machine that carries this host, and leave it out here.",
            )


def _module(parameter: Parameter) -> str | None:
    """The module that brings it; IPv6 is one too, but not one to load for a sysctl."""
    needs = parameter.needs
    return needs if needs and needs != "ipv6" and not needs.startswith("CONFIG_") else None


def _unexplained(context: Context) -> Iterator[tuple[str, str, Parameter, str]]:
    """What is missing although kernels of this version have it."""
    for key, value, parameter, basis in _missing(context):
        explained = parameter.renamed_to or parameter.vendor or _missing_in_namespace(context, parameter)
        if not (explained or _removed(context, parameter) or _too_new(context, parameter)):
            yield key, value, parameter, basis


@rule("error", "modules-load.d(5)", "Documentation/networking/nf_conntrack-sysctl.rst")
def module_not_loaded(context: Context) -> Iterator[Problem]:
    """A key that comes with a module, such as nf_conntrack, br_netfilter or ip_vs, which is not loaded."""
    for key, value, parameter, basis in _unexplained(context):
        module = _module(parameter)
        if module:
            yield Problem(
                (key,),
                f"{key} = {value:.80}: the module {module} is not loaded here, so the key does not exist ({basis}) and "
                "the write will fail.",
                f"The key comes with {module}. A firewall or a container engine that loads it later would start from "
                "the module's own default.",
                f"Load {module} at boot with a file in /etc/modules-load.d, which is read before the sysctls, or leave "
                "the line out.",
            )


@rule("error", "Documentation/admin-guide/sysctl/net.rst")
def absent(context: Context) -> Iterator[Problem]:
    """A key that other kernels of this version have, and this host has not: an interface that is not there, or a kernel
    that was built without.
    """
    for key, value, parameter, basis in _unexplained(context):
        if _module(parameter):
            continue
        reason, fix = _why_absent(key, parameter)
        yield Problem(
            (key,),
            f"{key} = {value:.80}: this host (kernel {context.facts.kernel.release}) has no such key ({basis}): "
            "the write will fail.",
            reason,
            fix,
        )


def _why_absent(key: str, parameter: Parameter) -> tuple[str, str]:
    if key.startswith("net.ipv6."):
        return (
            "IPv6 is switched off or not built here, or the interface is missing.",
            "Leave the line out for this host.",
        )
    if "*" in parameter.name:
        interface = key.split(".")[3].replace("/", ".")
        return (
            f"The interface {interface} is not there.",
            "Name an interface of this host; new ones take their values from default.",
        )
    option = f" ({parameter.needs})" if parameter.needs else ""
    return f"The kernel was built without it{option}, or its vendor took it out.", "Leave the line out for this host."


@rule("error", "proc_sys(5)")
def read_only(context: Context) -> Iterator[Problem]:
    """A key that can be read and not written here."""
    for key, value, parameter in context.parameters:
        live = key in context.facts.sysctl_read_only
        if not (live or parameter.read_only):
            continue
        if context.facts.own_network_namespace and live and not parameter.read_only:
            reason, fix = (
                "In this network namespace the key only shows what the machine around it has set.",
                "Set it on the machine that carries this host, and leave it out here.",
            )
        else:
            reason, fix = parameter.summary or "It reports, it does not set.", "Leave the line out."
        basis = "read from the live host" if live else "by the catalogue"
        yield Problem((key,), f"{key} = {value:.80}: the key cannot be written here ({basis}).", reason, fix)


@rule("info", "Documentation/networking/ip-sysctl.rst")
def without_effect(context: Context) -> Iterator[Problem]:
    """A key that is still there for old scripts and that the kernel no longer heeds."""
    for key, value, parameter in context.parameters:
        since = parameter.no_effect
        if since and context.facts.kernel.version >= version(since["first"]):
            yield Problem(
                (key,),
                f"{key} = {value:.80} has no effect on kernel {context.facts.kernel.release} (by the catalogue).",
                parameter.summary,
                "Leave the line out.",
            )


@rule("info", "sysctl.d(5)")
def tolerated(context: Context) -> Iterator[Problem]:
    """A line that begins with - (errors are to be ignored) for a key that this host has not: it is left out of the
    plan.
    """
    for key in sorted(context.tolerated):
        yield Problem(
            (key,),
            f"{key} does not exist here and is left out, as the - before it asks.",
            "sysctl.d ignores errors on such lines, and so does this plan.",
            "Leave the - away where the key must be there.",
        )


@rule("warning", "network_namespaces(7)")
def shared_with_the_machine(context: Context) -> Iterator[Problem]:
    """A container in the network of its machine: what it sets, it sets for the machine and all that runs there."""
    net = tuple(key for key in context.proposed if key.startswith("net."))
    if context.facts.container and context.facts.own_network_namespace is False and net:
        yield Problem(
            net,
            f"This host is a container ({context.facts.container}) in the network of its machine: the set changes "
            "the machine and everything on it.",
            "It has no network namespace of its own, so /proc/sys/net is the machine's.",
            "Set it on the machine, where its owner sees it, and leave this host out.",
        )


# Algorithm -> the first mainline kernel that has it; Enterprise Linux 7 (3.10) has none of the later ones.
_ALGORITHMS = {"bbr": "4.9", "nv": "4.8", "cdg": "4.2", "dctcp": "3.18", "bbr1": None, "bbr2": None, "bbr3": None}
_DISCIPLINES = {"cake": "4.19", "fq_pie": "5.6", "pie": "3.14", "fq": "3.12", "fq_codel": "3.5", "codel": "3.5"}
_CONGESTION = "net.ipv4.tcp_congestion_control"
_AVAILABLE = "net.ipv4.tcp_available_congestion_control"
_QDISC = "net.core.default_qdisc"


@rule("error", "Documentation/networking/ip-sysctl.rst", keys=[_CONGESTION, _QDISC])
def algorithm_missing(context: Context) -> Iterator[Problem]:
    """A congestion control or queueing discipline that this kernel does not have. Where the live host merely has it not
    loaded, it is an information.
    """
    for key, known in ((_CONGESTION, _ALGORITHMS), (_QDISC, _DISCIPLINES)):
        name = context.proposed.get(key)
        available = (context.now(_AVAILABLE) or "").split() if key == _CONGESTION else []
        if name is None or name in available or context.now(key) == name:
            continue
        since = known.get(name)
        if name in known and since is None:
            yield Problem(
                (key,),
                f"{key} = {name}: mainline kernels have no {name}"
                + (" (by the catalogue; this host does not offer it now)." if available else " (by the catalogue)."),
                "It exists in kernels that somebody has patched.",
                f"Write {key} = {name.rstrip('123')} instead.",
            )
        elif since is not None and context.facts.kernel.version < version(since) and not context.facts.kernel.backports:
            yield Problem(
                (key,),
                f"{key} = {name}: kernel {context.facts.kernel.release} has no {name} (by version): the write will "
                "fail.",
                f"It came with {since}.",
                f"Leave the line out for hosts of this kernel{_current(context, key)}.",
            )
        elif name == "bbr" and context.facts.kernel.enterprise in (6, 7):
            yield Problem(
                (key,),
                f"{key} = bbr: kernel {context.facts.kernel.release} has no bbr (by version): the write will fail.",
                "It came with 4.9, and Enterprise Linux 7 did not take it over.",
                f"Leave the line out for hosts of this kernel{_current(context, key)}.",
            )
        elif available:
            yield Problem(
                (key,),
                f"{key} = {name} is not among what this host has loaded ({' '.join(available)}).",
                f"The write loads the module tcp_{name} if this kernel was built with it, and fails otherwise.",
                f"Load tcp_{name} at boot with a file in /etc/modules-load.d, so that this does not depend on chance.",
                severity="info",
            )


def _current(context: Context, key: str) -> str:
    now = context.now(key)
    return f"; it has {now} now" if now else ""
