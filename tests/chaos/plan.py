# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run does, drawn by its seed: a set, a scenario, a failure, and when it strikes."""

from __future__ import annotations

import dataclasses
import random

# In the order of the file: ip_forward resets others, and which of the two keys of ports goes first depends on values.
FORWARDING = [{}, {"net.ipv4.ip_forward": "1"}, {"net.ipv6.conf.all.forwarding": "1"}]
PORTS = [
    {},
    {"net.ipv4.ip_local_port_range": "20000 50001"},
    {"net.ipv4.ip_local_port_range": "40000 60001", "net.ipv4.ip_unprivileged_port_start": "35000"},
    {"net.ipv4.ip_unprivileged_port_start": "512", "net.ipv4.ip_local_port_range": "600 50001"},
]
SIMPLE = {
    "net.core.somaxconn": "8192",
    "net.ipv4.conf.all.accept_redirects": "1",
    "net.ipv4.conf.default.rp_filter": "2",
    "net.ipv4.conf.gone0.rp_filter": "1",
    "net.ipv4.tcp_fin_timeout": "20",
    "net.ipv4.tcp_keepalive_time": "600",
    "net.ipv4.tcp_max_syn_backlog": "8192",
    "net.ipv4.tcp_rmem": "4096 131072 16777216",
    "net.ipv4.tcp_slow_start_after_idle": "0",
    "net.ipv4.tcp_tw_reuse": "1",
}
# ip_forward and conf.default change these along.
CHANGED_BY_OTHERS = {"net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.gone0.rp_filter"}

SCENARIOS = {
    "nobody confirms": ("start",),
    "confirmed": ("start", "confirm"),
    "rolled back": ("start", "roll_back"),
    "undone": ("start", "confirm", "roll_back"),
    "removed": ("start", "confirm", "remove"),
    "second set": ("start", "confirm", "start second", "confirm second"),
    "second set removed": ("start", "confirm", "start second", "confirm second", "remove"),
}

# Those of the step's own process need it to be under way.
OF_THE_STEP = ("module killed", "module hung up", "module terminated", "module and both guards killed")
FAILURES = (
    "none",
    *OF_THE_STEP,
    "guard killed",
    "supervisor killed",
    "both guards killed",
    "guard terminated",
    "guard terminated and killed",
    "guard hung up",
    "journal truncated",
    "journal overwritten",
    "journal flipped",
    "journal lost",
    "memory truncated",
    "disk full",
    "/etc read-only",
    "foreign write",
    "interface comes",
    "interface goes",
    "second controller",
    "power lost",
)


@dataclasses.dataclass
class Plan:
    seed: int
    rng: random.Random
    scenario: str
    steps: tuple[str, ...]
    failure: str
    at_step: int  # The step that it strikes.
    moment: str  # before or after the operation-th thing that the step does; or after so many seconds; or behind it.
    operation: int
    seconds: float
    file: str | None  # What somebody wrote where the set's file will be.
    sets: dict[str, dict[str, str]]  # The set of `start`, and the second one, in the order of the file.
    stubborn: bool  # The controller goes on although a step failed.

    @property
    def when(self) -> str:
        step = self.steps[self.at_step]
        if self.moment == "seconds":
            return f"{self.seconds:.3f} s into {step}"
        return f"behind {step}" if self.moment == "behind" else f"{self.moment} operation {self.operation} of {step}"


def draw(seed: int) -> Plan:
    rng = random.Random(seed)
    scenario = rng.choice(list(SCENARIOS))
    steps = SCENARIOS[scenario]
    failure = rng.choice(FAILURES)
    moments = ["before", "after", "before", "after", "seconds"] + (["behind"] * 3 if failure not in OF_THE_STEP else [])
    at_step = rng.randrange(len(steps))
    return Plan(
        seed=seed,
        rng=rng,
        scenario=scenario,
        steps=steps,
        failure=failure,
        at_step=at_step,
        moment=rng.choice(moments),
        # About as many things as a step does; one that does fewer ends before the failure.
        operation=rng.randint(1, 26 if steps[at_step].startswith("start") else 14),
        seconds=rng.uniform(0, 0.25),
        file=rng.choice([None, "# by hand\n"]),
        sets={step: _draw_set(rng, alone="start second" not in steps) for step in ("start", "start second")},
        stubborn=rng.random() < 0.5,
    )


def _draw_set(rng: random.Random, alone: bool) -> dict[str, str]:
    # A key that the first set has and the second has not goes back to its original, although a boot with only the
    # second would have it changed along.
    names = rng.sample(sorted(SIMPLE.keys() - (set() if alone else CHANGED_BY_OTHERS)), rng.randint(1, 4))
    return {**rng.choice(FORWARDING), **rng.choice(PORTS), **{name: SIMPLE[name] for name in names}}
