# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic on counters that the guard on the host and the gate on the controller share. Pure: no clock, no files."""

from ._counters import OPENS, TIMESTAMP_REJECTS


def increments(before, after):
    """What each counter rose by between two samples of one host, or None where the two cannot be compared.

    They cannot after a reboot, when the kernel shows other counters, or when one went back: nothing is known then,
    which is not zero.
    """
    if before["boot_id"] != after["boot_id"] or set(before["counters"]) != set(after["counters"]):
        return None
    rise = {name: value - before["counters"][name] for name, value in after["counters"].items()}
    return None if any(value < 0 for value in rise.values()) else rise


def timestamp_rejects(rise):
    """Segments and SYNs that were thrown away for their timestamps; of the counters that this kernel has."""
    return sum(rise.get(name, 0) for name in TIMESTAMP_REJECTS)


def opens(rise):
    """Connections accepted and opened: what the rejects are set against."""
    return sum(rise.get(name, 0) for name in OPENS)


def per_thousand(events, exposure):
    """Events per 1,000 opens. Rejects without any open count as if there had been one: they are damage, not silence."""
    return 1000.0 * events / max(exposure, 1)


def exceeds(events, exposure, reference_events, reference_exposure, min_events, max_per_1000, max_ratio):
    """Whether events are too many: in number, as a rate, and against a reference (the time before, untouched hosts)."""
    rate = per_thousand(events, exposure)
    reference = per_thousand(reference_events, reference_exposure) if reference_exposure else 0.0
    return events >= min_events and rate > max_per_1000 and rate > max_ratio * reference
