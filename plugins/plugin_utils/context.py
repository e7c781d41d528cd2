# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule gets to see."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.nettune.kernel.plugins.plugin_utils.boot_order import Assignment
from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import Facts, Kernel
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import Catalogue, Parameter, catalogue
from ansible_collections.nettune.kernel.plugins.plugin_utils.settings import SysctlSet, is_glob
from ansible_collections.nettune.kernel.plugins.plugin_utils.topology import Topology

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)")


@dataclass(frozen=True)
class Presence:
    """Whether a key exists here: None is unknown. basis ends a sentence: what that stands on."""

    exists: bool | None
    basis: str


@dataclass(frozen=True)
class Context:
    host: str
    facts: Facts
    topology: Topology
    catalogue: Catalogue
    given: SysctlSet
    file: str
    # Key -> the assignment that wins at boot; None where the host's files are unknown.
    winners: Mapping[str, Assignment | None] | None
    today: datetime.date
    # Key -> what its value is good for, as the owner of the set wrote it.
    reasons: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def proposed(self) -> Mapping[str, str]:
        """Canonical key -> text, without globs that match nothing known and without what is tolerated to be missing."""
        proposed = self.given.proposed
        left_out = [key for key in proposed if is_glob(key) or key in self.tolerated]
        # One dictionary for all hosts of a set, where nothing is left out.
        return {key: value for key, value in proposed.items() if key not in left_out} if left_out else proposed

    @functools.cached_property
    def tolerated(self) -> frozenset[str]:
        """Keys that this host has not, of lines whose errors are to be ignored."""
        marked = (setting.key for setting in self.given.settings if setting.ignore_errors and setting.key)
        return frozenset(key for key in marked if self.facts.has(key) is False)

    @functools.cached_property
    def parameters(self) -> tuple[tuple[str, str, Parameter], ...]:
        """The proposed keys that the catalogue knows."""
        found = ((key, value, self.catalogue.find(key)) for key, value in self.proposed.items())
        return tuple((key, value, parameter) for key, value, parameter in found if parameter is not None)

    @functools.cached_property
    def numeric(self) -> tuple[tuple[str, str, Parameter, tuple[int, ...] | None], ...]:
        """(key, value, parameter, numbers) of the parameters that hold integers; no numbers: the value is none."""
        return tuple(
            (key, value, parameter, integers(value)) for key, value, parameter in self.parameters if parameter.numeric
        )

    @functools.cached_property
    def textual(self) -> tuple[tuple[str, str, Parameter], ...]:
        """The other parameters: texts, lists of ports, triggers."""
        return tuple(found for found in self.parameters if not found[2].numeric)

    def named(self, name: str) -> tuple[str, ...]:
        """The proposed keys that end in .name, of whatever interface."""
        return self._by_name.get(name, ())

    @functools.cached_property
    def _by_name(self) -> Mapping[str, tuple[str, ...]]:
        names: dict[str, tuple[str, ...]] = {}
        for key in self.proposed:
            name = key.rpartition(".")[2]
            names[name] = (*names.get(name, ()), key)
        return names

    def now(self, key: str) -> str | None:
        return self.facts.sysctl.get(key)

    def after(self, key: str) -> str | None:
        """The value once the set is live; None is unknown."""
        return self.proposed.get(key, self.now(key))

    def shown(self, key: str) -> str | None:
        """The value once the set is live, as it is shown: without a remark behind it."""
        return before_remark(self.after(key))

    def sets(self, key: str) -> bool:
        return key in self.proposed

    def number(self, key: str) -> int | None:
        """The proposed integer, None where the key is not set or not to one.

        A remark behind it is form's matter: the kernel mostly takes the number before it, and so do the other rules.
        """
        return integer(before_remark(self.proposed.get(key)))

    def number_now(self, key: str) -> int | None:
        return integer(self.now(key))

    def number_after(self, key: str) -> int | None:
        return self.number(key) if key in self.proposed else self.number_now(key)

    def numbers(self, key: str) -> tuple[int, ...] | None:
        """The proposed integers of a list, None where the key is not set or not to such."""
        return integers(before_remark(self.proposed.get(key)))

    def presence(self, key: str) -> Presence:
        """The live host first, the catalogue's versions second."""
        live = self.facts.has(key)
        if live is not None:
            return _PRESENT if live else _ABSENT
        return _catalogued(key, self.facts.kernel, self.facts.own_network_namespace is True)

    @functools.cached_property
    def missing(self) -> tuple[tuple[str, str, Parameter, str], ...]:
        """(key, value, parameter, basis) of the proposed keys that do not exist here."""
        found = ((key, value, parameter, self.presence(key)) for key, value, parameter in self.parameters)
        return tuple(
            (key, value, parameter, presence.basis)
            for key, value, parameter, presence in found
            if presence.exists is False
        )


def before_remark(text: str | None) -> str | None:
    return text if text is None or "#" not in text else text.partition("#")[0].rstrip()


_PRESENT = Presence(True, "read from the live host")
_ABSENT = Presence(False, "read from the live host")


@functools.lru_cache(maxsize=65536)
def _catalogued(key: str, kernel: Kernel, in_namespace: bool) -> Presence:
    parameter = catalogue().find(key)
    exists = parameter.exists(kernel) if parameter else None
    if parameter and exists and in_namespace:
        exists = parameter.shown_in_namespace(kernel)
    return Presence(exists, "by the catalogue; not read live")


@functools.lru_cache(maxsize=16384)
def integer(text: str | None) -> int | None:
    return int(text) if text is not None and len(text) < 30 and _DECIMAL.fullmatch(text) else None


@functools.lru_cache(maxsize=16384)
def integers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    found = [integer(word) for word in text.split()]
    numbers = tuple(number for number in found if number is not None)
    return numbers if numbers and len(numbers) == len(found) else None
