# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from ansible_collections.nettune.kernel.plugins.module_utils._evidence import (
    exceeds,
    increments,
    opens,
    per_thousand,
    timestamp_rejects,
)


def sample(boot="a", **counters):
    return {
        "boot_id": boot,
        "counters": {"TcpExt." + name if name.startswith("P") else name: value for name, value in counters.items()},
    }


def test_increments_are_differences():
    assert increments(sample(PAWSEstab=3), sample(PAWSEstab=5)) == {"TcpExt.PAWSEstab": 2}


@pytest.mark.parametrize(
    "after",
    [
        sample(boot="b", PAWSEstab=5),
        sample(PAWSEstab=2),
        sample(PAWSEstab=5, PAWSTimewait=0),
    ],
    ids=["rebooted", "went back", "other counters"],
)
def test_what_cannot_be_compared_is_unknown_and_not_zero(after):
    assert increments(sample(PAWSEstab=3), after) is None


def test_rejects_leave_out_harmless_reordered_acks():
    rise = {"TcpExt.PAWSEstab": 1, "TcpExt.PAWSTimewait": 2, "TcpExt.TSEcrRejected": 4, "TcpExt.PAWSOldAck": 100}
    assert timestamp_rejects(rise) == 7


def test_exposure_is_what_was_opened_in_both_directions():
    assert opens({"Tcp.PassiveOpens": 3, "Tcp.ActiveOpens": 4}) == 7


def test_rejects_without_an_open_are_damage():
    assert per_thousand(3, 0) == 3000


@pytest.mark.parametrize(
    ("events", "exposure", "reference", "expected"),
    [
        (10, 100, (0, 100), True),
        (9, 100, (0, 100), False),  # Too few to be evidence.
        (10, 10000, (0, 100), False),  # Many, but 1 per 1,000.
        (100, 1000, (40, 1000), False),  # Not more than three times of before.
        (130, 1000, (40, 1000), True),
        (10, 100, (0, 0), True),  # No reference at all.
    ],
)
def test_too_many_in_number_rate_and_ratio(events, exposure, reference, expected):
    assert exceeds(events, exposure, reference[0], reference[1], min_events=10, max_per_1000=5, max_ratio=3) is expected
