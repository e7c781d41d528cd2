# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run: a trial on a machine, one failure in the middle, and what the host is afterwards: old, new or neither."""

from __future__ import annotations

import dataclasses
import re
import time
from typing import Any

from machine import STATE, Machine
from plan import Plan, draw
from trials import PATH, content_of, start_arguments

# Where nobody confirms, a trial shall end soon; elsewhere its steps must have the time to come to their own end, on a
# busy machine too.
SOON = 1
CONFIRM_WITHIN = 10
UNHURRIED = 60
REST_SECONDS = 30
# One bit of one byte; what was valid JSON often still is.
FLIP = """
import sys
with open(sys.argv[1], "r+b") as stream:
    stream.seek(int(sys.argv[2]))
    byte = stream.read(1)[0]
    stream.seek(int(sys.argv[2]))
    stream.write(bytes([byte ^ 1]))
"""
NEXT = {"net.ipv4.tcp_syn_retries": "4"}
FOREIGN = "7"
# What a foreign writer takes: keys that change no other.
FOREIGN_KEYS = ("net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_syn_retries")


class Neither(Exception):
    """The host is neither what it was nor what was asked for; or says so wrongly; or a next trial does not work."""


@dataclasses.dataclass
class Result:
    seed: int
    scenario: str
    failure: str
    when: str
    struck: bool
    outcome: str  # old, new, neither, broken
    why: str = ""
    notes: tuple[str, ...] = ()


def run(machine: Machine, seed: int) -> Result:
    plan = draw(seed)
    play = _Play(machine, plan)
    outcome, why = "broken", ""
    try:
        outcome = play.run()
    except Neither as problem:
        outcome, why = "neither", str(problem)
    except Exception as problem:
        why = f"{type(problem).__name__}: {problem}"
    finally:
        machine.power_off()
    return Result(seed, plan.scenario, plan.failure, plan.when, play.struck, outcome, why, tuple(play.notes))


def start(values: dict[str, str], confirm_within: int, rollout: str) -> dict[str, Any]:
    return start_arguments(values, confirm_within, rollout_id=rollout, force=True)


class _Play:
    def __init__(self, machine: Machine, plan: Plan) -> None:
        self.machine = machine
        self.plan = plan
        self.struck = False
        self.notes: list[str] = []
        self.possible = {"old"}  # What the host may be after the steps so far, by what they answered.
        self.foreign: str | None = None
        self.second: Any = None
        self.repairs: list[str] = []

    def run(self) -> str:
        self.machine.install(self.plan.file, small_state=self.plan.failure == "disk full")
        self.machine.boot()
        self.before = self.machine.inspect()
        self.take_steps()
        for repair in self.repairs:
            self.machine.shell(repair)
        self.come_to_rest()
        outcome = self.judge()
        self.check_next_trial()
        return outcome

    # The steps ------------------------------------------------------------------------------------------------------

    def take_steps(self) -> None:
        for number, step in enumerate(self.plan.steps):
            answer = self.take(step, strike=number == self.plan.at_step)
            self.notes.append(f"{step}: {answer.get('refused', 'done' if answer else 'killed')}")
            self.account(step, answer)
            if "operations" not in answer and not self.plan.stubborn:
                break

    def take(self, step: str, strike: bool) -> dict[str, Any]:
        plan = self.plan
        name, arguments = self.arguments(step)
        if not strike:
            return self.machine.begin(name, arguments).end()
        if plan.moment == "behind":
            answer = self.machine.begin(name, arguments).end()
            self.strike(None)
        elif plan.moment == "seconds":
            process = self.machine.begin(name, arguments)
            time.sleep(plan.seconds)
            self.strike(process)
            answer = process.end()
        else:
            process = self.machine.begin(name, arguments, plan.operation, plan.moment)
            if process.wait_until_frozen():
                self.strike(process)
            answer = process.end()
        if self.second:
            told = self.second.end()
            self.notes.append(f"second controller: {told.get('refused', 'done')}")
        return answer

    def arguments(self, step: str) -> tuple[str, dict[str, Any]]:
        name = step.split()[0]
        rollout = "r2" if step.endswith("second") else "r1"
        if name == "start":
            in_file = self.plan.sets[step]
            seconds = SOON if self.plan.scenario == "nobody confirms" else CONFIRM_WITHIN
            return name, {**start(self.shuffled(in_file), seconds, rollout), "content": content_of(in_file)}
        return name, {"rollout_id": rollout} if name == "confirm" else {"reason": "asked to"}

    def shuffled(self, values: dict[str, str]) -> dict[str, str]:
        keys = list(values)
        self.plan.rng.shuffle(keys)
        return {key: values[key] for key in keys}

    def account(self, step: str, answer: dict[str, Any]) -> None:
        """What the host may be once it is at rest."""
        done = "operations" in answer
        target = {
            "confirm": "new",
            "confirm second": "new second",
            "roll_back": "old",
            "remove": "old",
        }.get(step)
        if target and done:
            self.possible = {target}
        elif target:
            self.possible = self.possible | {target}
        # A trial that was started and not confirmed leaves what was there before.

    # The failure -----------------------------------------------------------------------------------------------------

    def strike(self, process: Any) -> None:
        self.struck = True
        machine, rng = self.machine, self.plan.rng
        guards = machine.guards() if "guard" in self.plan.failure or "supervisor" in self.plan.failure else {}

        def signal(name: str, *pids: str) -> None:
            # Never 0, which is everybody in the process group of whoever asks.
            if pids and all(int(pid) > 1 for pid in pids):
                machine.host.run(["kill", f"-{name}", *pids], check=False)

        match self.plan.failure:
            case "module killed":
                signal("KILL", process.pid)
            case "module hung up":
                signal("HUP", process.pid)
            case "module terminated":
                signal("TERM", process.pid)
            case "module and both guards killed":
                signal("KILL", process.pid, *guards.values())
            case "guard killed":
                signal("KILL", *filter(None, [guards.get("guard")]))
            case "supervisor killed":
                signal("KILL", *filter(None, [guards.get("supervisor")]))
            case "both guards killed":
                signal("KILL", *guards.values())
            case "guard terminated":
                signal("TERM", *filter(None, [guards.get("guard")]))
            case "guard hung up":
                signal("HUP", *guards.values())
            case "guard terminated and killed":
                if "guard" in guards:
                    delay = f"{rng.uniform(0, 0.08):.3f}"
                    machine.shell(
                        'kill -TERM "$1"; sleep "$2"; kill -KILL "$1"', "sh", guards["guard"], delay, check=False
                    )
            case "journal truncated" | "journal overwritten" | "journal flipped" | "journal lost":
                self.damage("trial.json")
            case "memory truncated":
                self.damage(rng.choice(["history.json", "samples.jsonl", "guard.json", "drift.json"]))
            case "disk full":
                machine.shell(f"mkdir -p -m 700 {STATE}; cat /dev/zero >{STATE}/filler 2>/dev/null", check=False)
                self.repairs.append(f"rm -f {STATE}/filler")
            case "/etc read-only":
                machine.shell(
                    "mount --bind /etc/sysctl.d /etc/sysctl.d && mount -o remount,bind,ro /etc/sysctl.d", check=False
                )
                self.repairs.append("umount /etc/sysctl.d")
            case "foreign write":
                self.write_as_somebody_else()
            case "interface comes":
                machine.shell("ip link add new0 type veth peer name new1")
            case "interface goes":
                machine.shell("ip link del gone0")
            case "second controller":
                self.begin_second_controller()
            case "power lost":
                machine.power_off()
                machine.boot()

    def damage(self, name: str) -> None:
        path = f"{STATE}/{name}"
        size = self.machine.shell('stat -c %s "$1"', "sh", path, check=False).strip()
        if not size:
            self.struck = False
            return
        at = str(self.plan.rng.randrange(max(1, int(size))))
        if self.plan.failure.endswith("truncated"):
            self.machine.shell('truncate -s "$2" "$1"', "sh", path, at, check=False)
        elif self.plan.failure.endswith("lost"):
            self.machine.shell('rm -f "$1"', "sh", path)
        elif self.plan.failure.endswith("flipped"):
            self.machine.shell('python3 -c "$3" "$1" "$2"', "sh", path, at, FLIP, check=False)
        else:
            garbage = "".join(
                self.plan.rng.choice('0123456789abc{}[]",: ') for _character in range(self.plan.rng.randint(1, 40))
            )
            self.machine.shell(
                'dd of="$1" bs=1 seek="$2" conv=notrunc,nocreat status=none', "sh", path, at, check=False, input=garbage
            )

    def write_as_somebody_else(self) -> None:
        self.foreign = self.plan.rng.choice(FOREIGN_KEYS)
        path = "/proc/sys/" + self.foreign.replace(".", "/")
        self.machine.shell('echo "$2" >"$1"', "sh", path, FOREIGN)

    def begin_second_controller(self) -> None:
        name, arguments = self.plan.rng.choice(
            [
                ("start", start(NEXT, CONFIRM_WITHIN, "r3")),
                ("confirm", {"rollout_id": "r1"}),
                ("roll_back", {"reason": "asked to by a second controller"}),
                ("remove", {"reason": "asked to by a second controller"}),
            ]
        )
        self.notes.append(f"the second controller does: {name}")
        self.second = self.machine.begin(name, arguments)
        self.possible = {"old", "new", "new second"}
        self.account = lambda step, answer: None  # type: ignore[method-assign]

    # Afterwards ------------------------------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        deadline = time.monotonic() + REST_SECONDS
        while self.machine.guards():
            if time.monotonic() > deadline:
                raise Neither(f"a guard is still there after {REST_SECONDS} s")
            time.sleep(0.05)
        answer = self.machine.begin("look", {}).end()
        if "operations" not in answer:
            raise Neither(f"the next look fails: {answer}")

    def judge(self) -> str:
        seen = self.machine.inspect()
        if seen["left"]:
            raise Neither(f"left behind: {seen['left']}")
        differences = {}
        for name in ("old", "new", "new second"):
            if name == "new second" and "start second" not in self.plan.steps:
                continue
            if name != "old" and not seen["files"].get(PATH):
                continue
            differences[name] = self.differences(seen, name)
            if differences[name]:
                continue
            if name not in self.possible:
                raise Neither(f"it is {name}, and what the steps answered makes it {sorted(self.possible)}")
            return name.split()[0]
        raise Neither("; ".join(f"not {name}: {different}" for name, different in differences.items()))

    def differences(self, seen: dict[str, Any], name: str) -> list[str]:
        tree, files = dict(self.before["tree"]), dict(self.before["files"])
        if name != "old":
            content = content_of(self.plan.sets["start second" if name.endswith("second") else "start"])
            without, with_it = self.machine.reference(content)
            tree.update({key: value for key, value in with_it.items() if without.get(key) != value})
            mode = 0o640 if self.plan.file is not None else 0o644
            files[PATH] = [mode, 0, 0, content]
        found = [
            f"{key} is {seen['tree'].get(key)!r}, not {tree.get(key)!r}"
            for key in sorted(tree.keys() | seen["tree"].keys())
            if seen["tree"].get(key) != tree.get(key) and not self.is_accounted_for(key, seen["tree"].get(key), tree)
        ]
        if seen["files"] != files:
            found.append(f"/etc/sysctl.d is {seen['files']}, not {files}")
        return found

    def is_accounted_for(self, key: str, value: str | None, tree: dict[str, str]) -> bool:
        if self.is_out_of_reach_of_default(key) and value == self.before["tree"].get(key):
            return True
        if self.plan.failure == "interface goes" and re.search("/gone[01]/", key):
            return value is None
        if self.plan.failure == "interface comes" and re.search("/new[01]/", key):
            return value in self.values_of_a_new_interface(key, tree)
        return self.foreign is not None and key == self.foreign.replace(".", "/") and value == FOREIGN

    def values_of_a_new_interface(self, key: str, tree: dict[str, str]) -> set[str | None]:
        """It holds the default; or that of a set, which it took while the set was there. Forwarding goes with all."""
        default = re.sub("/new[01]/", "/default/", key)
        if key.endswith("/forwarding"):
            return {tree.get(default)}
        sets = {values.get(default.replace("/", ".")) for values in self.plan.sets.values()} - {None}
        return {tree.get(default), self.before["tree"].get(re.sub("/new", "/gone", key)), *sets}

    def is_out_of_reach_of_default(self, key: str) -> bool:
        """The kernel passes conf.default on to interfaces whose key nobody ever wrote; putting it back wrote it."""
        found = re.fullmatch(r"net/ipv4/conf/(?!all/|default/)[^/]+/(\w+)", key)
        if found is None or "start second" not in self.plan.steps:
            return False
        return any(f"net.ipv4.conf.default.{found.group(1)}" in values for values in self.plan.sets.values())

    def check_next_trial(self) -> None:
        """A whole trial of another set, and then everything back to before the first one."""
        steps = (
            ("start", start(NEXT, UNHURRIED, "r9")),
            ("confirm", {"rollout_id": "r9"}),
            ("remove", {"reason": "asked to"}),
        )
        for name, arguments in steps:
            answer = self.machine.begin(name, arguments).end()
            if "operations" not in answer:
                raise Neither(f"the next trial does not work: {name}: {answer}")
            if name == "confirm":
                value = self.machine.shell("cat /proc/sys/net/ipv4/tcp_syn_retries").strip()
                if value != NEXT["net.ipv4.tcp_syn_retries"]:
                    raise Neither(f"the next trial set nothing: {value}")
        seen = self.machine.inspect()
        different = seen["left"] + self.differences(seen, "old")
        if different:
            raise Neither(f"after the removal of everything: {different}")
