# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is watched besides the counters of the hosts: observers, and which connections are opened from where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.nettune.kernel.plugins.module_utils._probe import BadProbe, check, name_of
from ansible_collections.nettune.kernel.plugins.modules.rollout_probe import ARGUMENTS

CONTROLLER = "controller"
OBSERVERS = "observers"

_MODULE: dict[str, Any] = ARGUMENTS
# One probe as `rollout_probe` takes it.
_PROBE: dict[str, dict[str, Any]] = _MODULE["probes"]["options"]
_DEFAULTS = {name: option["default"] for name, option in _PROBE.items() if "default" in option}
# The same as people write it, besides `host`, `each` and `from`. What they leave out a target says, or the default.
WRITTEN = {
    name: {key: value for key, value in option.items() if key not in ("default", "required")}
    for name, option in _PROBE.items()
    if name not in ("host", "address")
}


class BadWatch(Exception):
    """Why this cannot be watched; a sentence for people."""


def observers(names: Iterable[str], groups: Mapping[str, Sequence[str]], changed: Iterable[str]) -> list[str]:
    """The hosts that `names` of hosts and groups mean. `changed` are the hosts of the rollout."""
    found: dict[str, None] = {}
    for name in names:
        if name in groups:
            found.update(dict.fromkeys(groups[name]))
        elif name in groups.get("all", []):
            found[name] = None
        else:
            raise BadWatch(
                f"tune_observers names {name!r}, and the inventory has neither a host nor a group of that name"
            )
    both = [host for host in found if host in set(changed)]
    if both:
        raise BadWatch(
            f"tune_observers: {', '.join(both[:5])} is to be changed by this rollout, so it cannot look on: "
            "name hosts that are not in tune_hosts"
        )
    return list(found)


def probes(
    specs: Sequence[Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
    watching: Sequence[str],
    groups: Mapping[str, Sequence[str]],
) -> dict[str, list[dict[str, Any]]]:
    """{source: probes as `rollout_probe` takes them}.

    targets: {host, address, port, rate} of every host that a probe with `each` means; port 0 keeps a host out.
    """
    plan: dict[str, list[dict[str, Any]]] = {}
    for number, spec in enumerate(specs):
        try:
            opened = list(_opened(spec, targets))
            for probe in opened:
                check(probe)
            sources = _sources(spec["from"], watching, groups)
        except (BadProbe, BadWatch) as problem:
            raise BadWatch(f"tune_probes[{number}]: {problem}") from None
        for source in sources:
            plan.setdefault(source, []).extend(opened)
    return plan


def without_silent(
    plan: Mapping[str, Sequence[Mapping[str, Any]]], tallies: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, list[Mapping[str, Any]]], list[str]]:
    """The plan without the probes that never got an answer before the change, and the names of those.

    What was dead before cannot be broken, and waiting for it would only take time.
    """
    dead = {(tally["source"], tally["probe"]) for tally in tallies if not tally["ok"]}
    alive = {
        source: [probe for probe in opened if (source, name_of(probe)) not in dead] for source, opened in plan.items()
    }
    silent = sorted(f"{name} (from {source})" for source, name in dead)
    return {source: opened for source, opened in alive.items() if opened}, silent


def _opened(spec: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    written = {name: spec[name] for name in WRITTEN if spec.get(name) is not None}
    if bool(spec.get("host")) == bool(spec.get("each")):
        raise BadWatch("give host, the address of a service, or each: true for every host of the wave and its controls")
    if spec.get("host"):
        if "port" not in written:
            raise BadWatch(f"give the port of {spec['host']}")
        yield {**_DEFAULTS, **written, "address": spec["host"], "host": None}
        return
    for target in targets:
        probe = {**_DEFAULTS, **target, **written}
        if spec.get("name"):
            probe["name"] = f"{spec['name']} {target['host']}"
        if probe["port"]:
            yield probe


def _sources(names: Sequence[str], watching: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        hosts = watching if name == OBSERVERS else groups.get(name, [name])
        strangers = [host for host in hosts if host != CONTROLLER and host not in watching]
        if strangers or not hosts:
            raise BadWatch(
                f"from names {name!r}: it must be {CONTROLLER}, {OBSERVERS}, or a host or group of tune_observers"
            )
        found.update(dict.fromkeys(hosts))
    return list(found)
