# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a rule is written and found.

A rule is a function of a family module: it takes a Context and yields Problems. Its id is family.function; its
docstring is its documentation. A finding carries the severity of its rule unless the Problem says another one.

A rule that has nothing to say unless the set has one of a few keys names them: most rules then cost a host nothing.
Rules of family fleet look at several hosts at once; fleet.py runs those.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import Finding

# In the order in which findings are shown.
FAMILIES = (
    "form",
    "kernel",
    "topology",
    "timewait",
    "queues",
    "buffers",
    "ports",
    "connections",
    "routing",
    "lvs",
    "security",
    "boot",
)
FLEET = "fleet"


@dataclass(frozen=True)
class Problem:
    keys: tuple[str, ...]
    message: str
    reason: str
    fix: str
    severity: str | None = None


Check = Callable[[Context], Iterator[Problem]]


@dataclass(frozen=True)
class Rule:
    id: str
    severity: str
    references: tuple[str, ...]
    check: Check
    waivable: bool = True
    # It speaks only where the set has one of these; *.name is a key of that name in any directory. None: whatever is
    # set.
    keys: frozenset[str] | None = None

    @property
    def documentation(self) -> str:
        return inspect.getdoc(self.check) or ""

    def findings(self, context: Context) -> Iterator[Finding]:
        for problem in self.check(context):
            yield Finding(
                self.id,
                problem.severity or self.severity,
                problem.keys,
                problem.message,
                problem.reason,
                problem.fix,
                self.references,
            )


_RULES: dict[str, Rule] = {}


def rule(
    severity: str, *references: str, waivable: bool = True, keys: Iterable[str] | None = None
) -> Callable[[Check], Check]:
    """Registers a function as a rule of the given severity. Not waivable: what cannot be applied in any case."""

    def register(check: Check) -> Check:
        family = check.__module__.rsplit(".", 1)[-1]
        identity = f"{family}.{check.__name__}"
        needed = None if keys is None else frozenset(keys)
        _RULES[identity] = Rule(identity, severity, references, check, waivable, needed)
        return check

    return register


@functools.cache
def rules() -> tuple[Rule, ...]:
    """All rules of one host, family by family."""
    package = __name__.rsplit(".", 1)[0]
    for family in FAMILIES:
        importlib.import_module(f"{package}.{family}")
    return tuple(_RULES.values())


@functools.lru_cache(maxsize=1024)
def applicable(keys: frozenset[str]) -> tuple[Rule, ...]:
    """The rules that may have something to say of a set with these keys."""
    named = keys | {f"*.{key.rpartition('.')[2]}" for key in keys}
    return tuple(rule for rule in rules() if rule.keys is None or not named.isdisjoint(rule.keys))


@functools.cache
def waivable() -> Mapping[str, bool]:
    """Rule id -> whether its findings can be waived; rules over several hosts included."""
    fleet = importlib.import_module(f"{__name__.rsplit('.', 1)[0]}.{FLEET}")
    return {**{rule.id: rule.waivable for rule in rules()}, **{rule.id: True for rule in fleet.RULES}}
