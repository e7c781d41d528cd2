# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel makes of a text that is written to a parameter: refused, taken, or taken as something else.

tools/referee holds this against the real kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import Kernel
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import Parameter

_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1
# Of user space, on every architecture but Alpha and Itanium.
_USER_CLOCK = 100
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|\d+)")


class Refused(Exception):
    """EINVAL."""


def read_back(
    parameter: Parameter, text: str, now: str, kernel: Kernel, clock: int, live: Callable[[str], str | None]
) -> str:
    """What the key holds after the write of `text` over `now`; raises Refused.

    clock: ticks a second of this kernel. live: the present value of another key.
    """
    words = text.split()
    if not words:
        raise Refused
    held = now.split()
    # Too few numbers leave the others as they are; what follows the last one is not looked at.
    for place, word in enumerate(words[: parameter.values]):
        held[place] = str(_stored(parameter, _number(word), kernel, clock))
    if [int(number) for number in held] != sorted(map(int, held)) and parameter.unordered:
        if parameter.unordered == "refused":
            raise Refused
        return parameter.unordered
    _check_neighbours(parameter, int(held[0]), live)
    return " ".join(held)


def _number(word: str) -> int:
    if not _NUMBER.fullmatch(word):
        raise Refused
    digits = word.lstrip("-").lower()
    try:
        # As C does: 0x is hexadecimal, a leading 0 octal.
        size = int(digits, 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10)
    except ValueError:
        raise Refused from None
    if size > 2**64 - 1:
        raise Refused
    return -size if word.startswith("-") else size


def _stored(parameter: Parameter, number: int, kernel: Kernel, clock: int) -> int | str:
    """The number after its way into the kernel's own unit and back."""
    low, high = parameter.accepted(kernel)
    if parameter.stored == "milliseconds":
        # Only 32 bits of it are seen, and too much is refused as forever.
        ticks = -(-(number % 2**32) * clock // 1000)
        if abs(number) > 2**64 - 1 or number % 2**32 > _INT_MAX or number % 2**32 < low:
            raise Refused
        return ticks * 1000 // clock
    if parameter.stored == "clock_ticks":
        if clock > _USER_CLOCK and abs(number) > _LONG_MAX // clock * _USER_CLOCK:
            raise Refused
        # A negative number becomes the largest one, of which the kernel keeps the low 32 bits: -1.
        ticks = -1 if number < 0 else number * clock // _USER_CLOCK % 2**32
        if ticks > _INT_MAX:
            ticks -= 2**32
        shown = abs(ticks) * _USER_CLOCK // clock
        return f"-{shown}" if ticks < 0 else shown
    if parameter.stored == "jiffies":
        low, high = max(low, -(_INT_MAX // clock)), min(high, _INT_MAX // clock)
    if not low <= number <= high:
        raise Refused
    return int(bool(number)) if parameter.stored == "boolean" else number


def _check_neighbours(parameter: Parameter, number: int, live: Callable[[str], str | None]) -> None:
    for other, refuses in ((parameter.not_below, int.__lt__), (parameter.not_above, int.__gt__)):
        value = live(other) if other else None
        if value and refuses(number, int(value.split()[0])):
            raise Refused
