# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What net_facts returns, put together. What cannot be found out is left out or null: unknown, never false."""

from . import _counters, _host, _interfaces, _processes, _sockets, _sysctl_files, _topology, _writers
from ._procfs import read_tree
from ._state import PENDING, State, StateError

SUBSETS = ("all", "counters")


def collect(subset="all"):
    """The facts: all of them, or only what is cheap and changes while a host is watched."""
    facts = {
        "kernel": _host.kernel(),
        "counters": _counters.read(),
        "sockstat": _counters.read_sockstat(),
        "unreadable": [],
    }
    facts.update(_host.uptime())
    facts["sample"] = _ask(facts, "sample", _counters.sample)
    if subset == "all":
        _add_the_rest(facts)
    return facts


def _ask(facts, what, function, *args):
    """function's answer, or None and a note of what could not be read."""
    try:
        return function(*args)
    except (OSError, StateError, ValueError) as problem:
        facts["unreadable"].append({"what": what, "reason": getattr(problem, "strerror", None) or str(problem)})
        return None


def _add_the_rest(facts):
    facts.update(_host.hardware())
    facts["kernel"]["timestamp_offset_per_tuple"] = _host.timestamp_offset_per_tuple()
    tree = read_tree()
    facts["sysctl"] = tree.values
    facts["sysctl_read_only"] = tree.read_only
    # These exist, although they have no value here: triggers, and secrets of root.
    facts["sysctl_unreadable"] = tree.unreadable
    facts["sysctl_complete"] = bool(tree.values)
    facts["interfaces"] = _ask(facts, "interfaces", _interfaces.read)
    facts["sockets"], facts["listeners"] = _ask(facts, "sockets", _sockets.read, facts["sockstat"]) or (None, None)
    _ask(facts, "queues of listeners", _sockets.add_queues, facts["listeners"] or [])
    facts["service_manager"] = _host.service_manager()
    facts["virtualization"] = {
        "container": _host.container(),
        "own_network_namespace": _host.own_network_namespace(tree.values),
    }
    facts["sysctl_files"] = _sysctl_files.read()
    processes = _processes.names(set(_writers.PROCESSES) | set(_topology.ROLES))
    facts["trial"] = _ask(facts, "trial", _pending_trial)
    facts["writers"] = _writers.find(processes)
    facts["topology"], unreadable = _topology.find(
        facts["interfaces"] or [], tree.values, facts["counters"], facts["sockets"] or {}, processes
    )
    facts["unreadable"] += unreadable


def _pending_trial():
    """Who tries what until when, or None. Whoever wants to try something else has to wait."""
    state = State()
    record = state.read(PENDING) if state.exists() else None
    if record is None or record["boot_id"] != _counters.boot_id() or record["deadline"] <= _counters.now():
        return None
    return {
        "rollout_id": record["rollout_id"],
        "by": record["by"],
        "keys": sorted(record["set"]),
        "deadline_epoch": record["deadline_epoch"],
    }
