# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a wave is watched on, when it is done, and how a stored rollout is judged again."""

from __future__ import annotations

import json
import pathlib
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.nettune.kernel.plugins.action.rollout_gate import ActionModule
from ansible_collections.nettune.kernel.plugins.modules import rollout_gate as documented
from ansible_collections.nettune.kernel.plugins.plugin_utils import gate


def gated(**arguments: Any) -> dict[str, Any]:
    task = SimpleNamespace(args=arguments, action="nettune.kernel.rollout_gate", check_mode=False, async_val=0)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    return dict(ActionModule(task, connection, None, None, None, None).run(None, {}))


def sample(seconds: int, opens: int, rejects: int) -> dict[str, Any]:
    counters = {"Tcp.PassiveOpens": opens, "Tcp.ActiveOpens": 0, "TcpExt.PAWSTimewait": rejects}
    return {"time": float(seconds), "boot_id": "b", "counters": counters}


def watched(looks: int, opens: int = 200, rejects: int = 0) -> dict[str, Any]:
    """A look every five seconds, with so many connections and rejects in each."""
    started = {"a": {"changed": True, "baseline": [sample(0, 0, 0), sample(15, 3000, 0)]}}
    observations = gate.begin(2, started, {}, {}, 0.0)
    for look in range(1, looks + 1):
        seen = sample(15 + 5 * look, 3000 + opens * look, rejects * look)
        observations = gate.add_look(observations, {"a": {"sample": seen, "pending": True}}, {}, [], 5.0 * look)
    return observations


@pytest.mark.parametrize(
    ("observations", "decision"),
    [
        (watched(5), "watch"),  # Promotion waits for the end of the soak,
        (watched(6), "promote"),
        (watched(3, rejects=60), "roll_back"),  # damage does not,
        (watched(6, opens=5), "watch"),  # and what is inconclusive is watched on,
        (watched(11, opens=5), "watch"),
        (watched(12, opens=5), "pause"),  # but not for ever.
        (watched(12, opens=10), "promote"),
    ],
)
def test_how_long_a_wave_is_watched(observations: dict[str, Any], decision: str) -> None:
    result = gated(observations=observations, soak=30, soak_max=60, on_inconclusive="pause")
    assert result["decision"] == decision, result["reason"]
    assert result["done"] is (decision != "watch")
    assert result["failed"] is (decision == "roll_back")
    assert result["elapsed"] == 5.0 * len(observations["looks"])


@pytest.mark.parametrize("choice", ["roll_back", "promote", "pause"])
def test_what_is_inconclusive_at_the_end_is_for_people_to_say(choice: str) -> None:
    result = gated(observations=watched(2, opens=5), soak=10, on_inconclusive=choice)
    assert (result["verdict"], result["decision"], result["failed"]) == (
        "inconclusive",
        choice,
        choice == "roll_back",
    )


def test_without_a_soak_this_look_is_the_last() -> None:
    assert gated(observations=watched(2))["decision"] == "promote"
    assert gated(observations=watched(2, opens=5), on_inconclusive="pause")["decision"] == "pause"
    assert gated(observations=watched(2, rejects=60))["failed"]


@pytest.mark.parametrize("rejects", [0, 60])
def test_a_stored_rollout_is_judged_to_the_same_verdict(rejects: int, tmp_path: pathlib.Path) -> None:
    observations = watched(6, rejects=rejects)
    lived = gated(observations=observations, soak=30)
    record = {"rollout_id": "r", "waves": [{"number": 1, "observations": None}, {"number": 2, **lived}]}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    for stored in (str(path), record):
        replayed = gated(record=stored, wave=2)
        assert replayed == lived
    assert gated(record=record, wave=2, limits={"min_rejects": 1000})["verdict"] != "roll_back"


def test_a_stored_rollout_is_judged_by_its_own_limits() -> None:
    """Those that are given take their place, and the defaults do not."""
    lived = gated(observations=watched(6, rejects=60), limits={"min_rejects": 1000, "max_resets_per_1000": 70})
    assert lived["verdict"] != "roll_back"
    record = json.loads(json.dumps({"waves": [{"number": 2, **lived}]}))
    assert gated(record=record, wave=2) == lived
    other = gated(record=record, wave=2, limits={"min_rejects": 10})
    assert other["verdict"] == "roll_back"
    assert other["limits"] == {**lived["limits"], "min_rejects": 10}


@pytest.mark.parametrize("limits", [{"max_everything": 1}, {"alpha": "many"}])
def test_limits_in_a_record_that_are_none_are_refused_in_a_sentence(limits: dict[str, Any]) -> None:
    record = {"waves": [{"number": 2, "observations": watched(2), "limits": limits}]}
    with pytest.raises(AnsibleActionFail, match="the limits in the record are not those of a rollout"):
        gated(record=record, wave=2)


def test_the_verdict_names_controls_that_are_not_counted() -> None:
    observations = gate.begin(
        1, {"a": {"changed": True, "baseline": [sample(0, 0, 0)]}}, {"c": {"msg": "no route"}}, {}, 0.0
    )
    looked = {"a": {"sample": sample(9, 500, 0), "pending": True}}
    assert gated(observations=observations, looked=looked)["msg"].endswith(" Not counted: c (no route).")


@pytest.mark.parametrize(
    ("record", "wave", "words"),
    [
        ({"waves": [{"number": 2}]}, 1, "no wave 1, only 2"),
        ({"waves": [{"number": 1}]}, 1, "wave 1 of the record was not watched"),
        ({"hosts": []}, 1, "it has no waves"),
        ("nowhere/at/all.json", 1, "the record nowhere/at/all.json cannot be read"),
    ],
)
def test_what_is_no_record_is_refused_in_a_sentence(record: Any, wave: int, words: str) -> None:
    with pytest.raises(AnsibleActionFail, match=words):
        gated(record=record, wave=wave)


def test_connections_since_the_last_look_are_counted() -> None:
    looked = {"a": {"sample": sample(30, 5000, 0), "pending": True}}
    tally = {"probe": "tcp a:80", "source": "controller", "host": "a", "attempts": 9, "ok": 7, "slow": 1, "failed": 2}
    seen = gated(observations=watched(2), looked=looked, probes=[tally])["figures"]["hosts"]["a"]
    assert (seen["connects"], seen["failed"], seen["slow"]) == (9, 2, 1)
    without_source = {name: value for name, value in tally.items() if name != "source"}
    with pytest.raises(AnsibleActionFail, match="KeyError\\('source'\\) is wrong or missing"):
        gated(observations=watched(2), looked=looked, probes=[without_source])
    with pytest.raises(AnsibleActionFail, match="cannot be converted to a list"):
        gated(observations=watched(2), looked=looked, probes={"a": tally})


def test_what_are_no_observations_is_refused_in_a_sentence() -> None:
    with pytest.raises(AnsibleActionFail, match="the observations are not those of a rollout"):
        gated(observations={"hosts": {}})


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"alpha": 0}, "alpha"), ({"beta": 1.5}, "beta"), ({"ratio": 0}, "ratio"), ({"min_opens": -1}, "min_opens")],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(AnsibleActionFail, match=words):
        gated(observations=watched(2), limits=limits)


def test_the_limits_are_documented_with_their_defaults() -> None:
    options = yaml.safe_load(documented.DOCUMENTATION)["options"]["limits"]["suboptions"]
    assert {name: option["default"] for name, option in options.items()} == {
        item.name: item.default for item in fields(gate.Limits)
    }
