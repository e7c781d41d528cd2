# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that a host may have of its own, and that only its trial or a probe of it would take.

What is wrong with them is told before any host is touched, and not by the host when its wave has begun.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_bool, check_type_float, check_type_int, check_type_str
from ansible_collections.nettune.kernel.plugins.module_utils._sysctl_file import BadFile, check_path
from ansible_collections.nettune.kernel.plugins.module_utils._trial import TrialError
from ansible_collections.nettune.kernel.plugins.module_utils._trial_module import check_guard
from ansible_collections.nettune.kernel.plugins.modules.sysctl_trial import GUARD


def wrong(variables: Mapping[str, Any]) -> list[str]:
    """What is wrong with these, in sentences that name the variable and what to write."""
    problems = []
    for name, check in _CHECKS.items():
        if name in variables:
            try:
                check(variables[name])
            except _Wrong as problem:
                problems.append(f"{name}: {problem}")
            except (TypeError, ValueError):
                problems.append(f"{name} is {variables[name]!r}: write {_TO_WRITE[name]}")
    return problems


# The time before has a variable of its own, tune_baseline.
_GUARD = [name for name in GUARD if name != "baseline_seconds"]


class _Wrong(Exception):
    """A sentence of what would take the variable."""


def _file(value: Any) -> None:
    path = check_type_str(value)
    if not (path.startswith("/") and path.endswith(".conf")):
        return  # Validation says so itself.
    try:
        check_path(path)
    except BadFile as problem:
        raise _Wrong(problem) from None


def _guard(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    unknown = [str(name) for name in value if name not in _GUARD]
    if unknown:
        raise _Wrong(f"there is no {unknown[0]}: it has {', '.join(_GUARD)}")
    validated = ArgumentSpecValidator(GUARD).validate(dict(value))
    if validated.error_messages:
        raise _Wrong(validated.error_messages[0])
    try:
        check_guard(validated.validated_parameters)
    except TrialError as problem:
        raise _Wrong(problem) from None


def _min_rejects(value: Any) -> None:
    try:
        _guard({"min_events": check_type_int(value)})
    except _Wrong as problem:
        raise ValueError(value) from problem


def _port(value: Any) -> None:
    if not 0 <= check_type_int(value) < 65536:
        raise ValueError(value)


def _rate(value: Any) -> None:
    if not 0 < check_type_float(value) < math.inf:
        raise ValueError(value)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "tune_file": _file,
    "tune_force": check_type_bool,
    "tune_guard": _guard,
    "tune_guard_min_rejects": _min_rejects,
    "tune_probe_port": _port,
    "tune_probe_rate": _rate,
}
_TO_WRITE = {
    "tune_file": "a file /etc/sysctl.d/NAME.conf",
    "tune_force": "true or false",
    "tune_guard": f"a dictionary with any of {', '.join(_GUARD)}",
    "tune_guard_min_rejects": "a number of rejects from 1 on",
    "tune_probe_port": "a TCP port from 1 to 65535, or 0 to open no connection to the host",
    "tune_probe_rate": "connections per second, above 0",
}
