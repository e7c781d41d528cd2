# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random failures in trials on hosts of namespaces: every host must come out entirely old or entirely new.

    python tests/chaos/chaos.py [--runs N] [--seed S] [--jobs J] [--seconds MOST]

Run number i has the seed S + i and draws everything from it, so `--runs 1 --seed` of a bad one plays it again.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from machine import Machine
from namespace_host import new_namespace
from run import Result, run

OUTCOMES = ("old", "new", "neither", "broken")

# Of this worker process; its host ends with it.
_stack = contextlib.ExitStack()
_machine: Machine


def _begin_work() -> None:
    global _machine
    _machine = Machine(_stack.enter_context(new_namespace()))


def _work(seed: int) -> Result:
    return run(_machine, seed)


def play(seeds: range, jobs: int, seconds: float) -> list[Result]:
    """Begins no further run when the time is over."""
    results: list[Result] = []
    deadline = time.monotonic() + seconds
    waiting = iter(seeds)
    with concurrent.futures.ProcessPoolExecutor(jobs, initializer=_begin_work) as pool:
        under_way = {pool.submit(_work, seed) for seed in itertools.islice(waiting, jobs)}
        while under_way:
            done, under_way = concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                results.append(future.result())
                report_bad(results[-1])
            if time.monotonic() < deadline:
                under_way |= {pool.submit(_work, seed) for seed in itertools.islice(waiting, len(done))}
    return results


def report_bad(result: Result) -> None:
    if result.outcome in ("neither", "broken"):
        print(
            f"{result.outcome}: make chaos N=1 SEED={result.seed}\n"
            f"    {result.scenario}, {result.failure} {result.when}; {'; '.join(result.notes)}\n"
            f"    {result.why}",
            flush=True,
        )


def table(results: list[Result], of: str) -> str:
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for result in results:
        counts[getattr(result, of)][result.outcome] += 1
        counts[getattr(result, of)]["struck"] += result.struck
    columns = ("struck", *OUTCOMES)
    lines = [f"{of:32}" + "".join(f"{column:>9}" for column in columns)]
    lines += [f"{name:32}" + "".join(f"{counts[name][column]:9}" for column in columns) for name in sorted(counts)]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Random failures in trials on hosts of namespaces.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6) * 1000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after so many")
    arguments = parser.parse_args()
    began = time.monotonic()
    print(f"seed {arguments.seed}", flush=True)
    results = play(range(arguments.seed, arguments.seed + arguments.runs), arguments.jobs, arguments.seconds)
    counts = collections.Counter(result.outcome for result in results)
    print(table(results, "scenario") + "\n\n" + table(results, "failure") + "\n")
    struck = sum(result.struck for result in results)
    print(
        f"{len(results)} runs from seed {arguments.seed} in {time.monotonic() - began:.0f} s, {struck} struck: "
        + ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    )
    return 1 if counts["neither"] or counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
