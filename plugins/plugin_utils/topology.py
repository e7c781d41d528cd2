# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host stands: what brings clients to it and what it is for, declared by its owner or detected on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import UnusableRequest

FRONTS = ("none", "nat", "lvs_dr", "lvs_nat", "lvs_tun", "lvs_fullnat", "l7")
ROLES = ("server", "client", "l7_proxy", "database", "nat_gateway", "lvs_director", "kubernetes_node")
_FIELDS = ("role", "front", "clients_behind_nat", "vips")


class InvalidTopology(UnusableRequest):
    """A declaration that means nothing."""


@dataclass(frozen=True)
class Contradiction:
    field: str
    declared: str
    detected: str
    evidence: str


@dataclass(frozen=True)
class Hint:
    """A sign too weak to stand on: shown, never acted on."""

    field: str
    value: str
    evidence: str


@dataclass(frozen=True)
class _Sign:
    value: object
    evidence: str
    weak: bool


@dataclass(frozen=True)
class Topology:
    """Declared values where given, else detected ones; None is unknown."""

    front: str | None = None
    roles: tuple[str, ...] = ()
    clients_behind_nat: bool | None = None
    vips: tuple[str, ...] = ()
    # field -> "declared", or "detected" and by what
    known_from: Mapping[str, str] | None = None
    contradictions: tuple[Contradiction, ...] = ()
    hints: tuple[Hint, ...] = ()

    def source(self, field: str) -> str:
        return (self.known_from or {}).get(field, "unknown")

    def has_role(self, *roles: str) -> bool:
        return any(role in self.roles for role in roles)

    @property
    def clients_share_addresses(self) -> bool | None:
        """Whether several clients reach the host from one address."""
        if self.clients_behind_nat is not None:
            # A full NAT or a NAT in front shares addresses whatever is behind it.
            return self.clients_behind_nat or self.front in ("nat", "lvs_fullnat")
        if self.front in ("nat", "lvs_fullnat"):
            return True
        return None

    @property
    def only_client(self) -> bool:
        return bool(self.roles) and set(self.roles) == {"client"}

    def describe(self) -> str:
        """For a sentence: `front nat (declared), clients behind NAT unknown`."""
        front = f"front {self.front} ({self.source('front')})" if self.front else "front unknown"
        behind = {True: "clients behind NAT", False: "clients not behind NAT", None: "clients behind NAT: unknown"}[
            self.clients_behind_nat
        ]
        if self.clients_behind_nat is not None:
            behind += f" ({self.source('clients_behind_nat')})"
        return f"{front}, {behind}"


def resolve(declared: object, detected: Mapping[str, Any]) -> Topology:
    """One picture of both. Raises InvalidTopology for a declaration that cannot be understood."""
    said = _declaration(declared)
    known_from: dict[str, str] = {}
    contradictions = []
    hints = []
    values: dict[str, Any] = {}
    for field in _FIELDS:
        signs = _signs(detected.get(field)) if field in detected else []
        mine = said.get(field)
        theirs = _plausible(field, [sign.value for sign in signs if not sign.weak])
        evidence = "; ".join(sign.evidence for sign in signs if sign.evidence and not sign.weak)
        if mine is not None:
            values[field], known_from[field] = mine, "declared"
            if theirs is not None and _contradicts(field, mine, theirs, values.get("role", ())):
                contradictions.append(Contradiction(field, _show(mine), _show(theirs), evidence))
        elif theirs is not None:
            values[field] = theirs
            known_from[field] = f"detected: {_shortened(evidence)}" if evidence else "detected"
        for sign in signs:
            value = _plausible(field, [sign.value])
            if sign.weak and value is not None and not _agrees(value, values.get(field)):
                hints.append(Hint(field, _show(value), sign.evidence))
    return Topology(
        front=values.get("front"),
        roles=values.get("role", ()),
        clients_behind_nat=values.get("clients_behind_nat"),
        vips=values.get("vips", ()),
        known_from=known_from,
        contradictions=tuple(contradictions),
        hints=tuple(hints),
    )


def _declaration(declared: object) -> dict[str, Any]:
    if declared is None or declared == "":
        return {}
    if not isinstance(declared, Mapping):
        raise InvalidTopology(f"topology must be a dictionary with {_one_of(_FIELDS)}, not {_kind(declared)}")
    for field in declared:
        if field not in _FIELDS:
            raise InvalidTopology(f"topology has no field {field!r}: it has {_one_of(_FIELDS)}")
    said: dict[str, Any] = {}
    front = declared.get("front")
    if front is not None and front != "unknown":
        if not isinstance(front, str) or front not in FRONTS:
            raise InvalidTopology(f"topology.front {front!r} is unknown: write one of {_one_of((*FRONTS, 'unknown'))}")
        said["front"] = str(front)
    roles = declared.get("role")
    if roles is not None:
        listed = [roles] if isinstance(roles, str) else roles
        if not isinstance(listed, (list, tuple)):
            raise InvalidTopology(f"topology.role must be a list of {_one_of(ROLES)}, not {_kind(roles)}")
        for role in listed:
            if not isinstance(role, str) or role not in ROLES:
                raise InvalidTopology(f"topology.role {role!r} is unknown: write one of {_one_of(ROLES)}")
        said["role"] = tuple(str(role) for role in listed)
    behind = declared.get("clients_behind_nat")
    if behind is not None and behind != "unknown":
        if not isinstance(behind, (bool, str)) or str(behind).lower() not in ("true", "false"):
            raise InvalidTopology(f"topology.clients_behind_nat {behind!r} is unknown: write true, false or unknown")
        said["clients_behind_nat"] = str(behind).lower() == "true"
    vips = declared.get("vips")
    if vips is not None:
        listed = [vips] if isinstance(vips, str) else vips
        if not isinstance(listed, (list, tuple)) or not all(isinstance(vip, str) for vip in listed):
            raise InvalidTopology("topology.vips must be a list of addresses such as 192.0.2.100")
        said["vips"] = tuple(str(vip) for vip in listed)
    return said


def _signs(item: object) -> list[_Sign]:
    """Detected values, whose shape is {value, confidence, evidence: [{fact, seen_at}]} or a list of such."""
    if isinstance(item, (list, tuple)):
        return [sign for one in item for sign in _signs(one)]
    if not isinstance(item, Mapping):
        return [_Sign(item, "", weak=False)]
    evidence = item.get("evidence")
    sentences = []
    for one in evidence if isinstance(evidence, (list, tuple)) else []:
        if isinstance(one, Mapping) and one.get("fact"):
            place = f" ({one['seen_at']})" if one.get("seen_at") else ""
            sentences.append(f"{one['fact']}{place}")
    return [_Sign(item.get("value"), "; ".join(sentences), weak=item.get("confidence") == "low")]


def _plausible(field: str, found: list[object]) -> Any:
    """The value of a field as resolve() wants it, or None where nothing found makes sense."""
    if field == "front":
        return next((str(value) for value in found if isinstance(value, str) and value in FRONTS), None)
    if field == "clients_behind_nat":
        return next((value for value in found if isinstance(value, bool)), None)
    flat: list[object] = []
    for one in found:
        flat.extend(one if isinstance(one, (list, tuple)) else [one])
    texts = tuple(str(one) for one in flat if isinstance(one, str) and (field == "vips" or one in ROLES))
    return texts or None


def _agrees(weak: object, known: object) -> bool:
    return set(weak) <= set(known) if isinstance(weak, tuple) and isinstance(known, tuple) else weak == known


def _shortened(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}..."


def _contradicts(field: str, declared: Any, detected: Any, roles: tuple[str, ...]) -> bool:
    if field == "role":
        # A host may be more than it shows; what it shows should be among what is declared.
        return "nat_gateway" in detected and "nat_gateway" not in declared and "kubernetes_node" not in declared
    if field == "vips":
        return False
    if field == "clients_behind_nat":
        # A host can see that clients share an address; it cannot see that they do not.
        return detected is True and declared is False
    if field == "front" and "lvs_director" in roles and not declared.startswith("lvs_"):
        # It shows how it passes clients on; what brings them there is another matter.
        return False
    return bool(declared != detected)


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _one_of(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _kind(value: object) -> str:
    return "a list" if isinstance(value, (list, tuple)) else f"{value!r}"
