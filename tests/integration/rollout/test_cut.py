# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network to the controller cut at every point of every step of a trial: the host ends old or new by itself.

A step runs on a host of a lab through a session of ssh, and waits at the point. There the host's link to the controller
goes down and the controller's end of the session is killed; then the step goes on, as nothing on the host tells it to
stop. The link stays down until the host has come to rest.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import queue
import shlex
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from labs import CHECKOUT
from namespace_host import Namespace
from trials import PATH, SET_OWN_VALUES, start_arguments

SET = {"net.ipv4.tcp_fin_timeout": "20", "net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
# Nobody can confirm what was started while the network was cut, so that this one decides.
DEADLINE = 2
START = start_arguments(SET, confirm_within=DEADLINE)
UNHURRIED = start_arguments(SET, confirm_within=600)
HOSTS = 6


class Scene(NamedTuple):
    """A step, what comes before it, and what a host is once it went on without the network."""

    step: str
    arguments: dict[str, Any]
    before: tuple[tuple[str, dict[str, Any]], ...]
    outcome: str


CONFIRM = {"rollout_id": "r1"}
ROLL_BACK = {"reason": "a test"}
SCENES = {
    "start": Scene("start", START, (), "old"),
    "confirm": Scene("confirm", CONFIRM, (("start", UNHURRIED),), "new"),
    "roll_back": Scene("roll_back", ROLL_BACK, (("start", UNHURRIED),), "old"),
    "undo": Scene("roll_back", ROLL_BACK, (("start", UNHURRIED), ("confirm", CONFIRM)), "old"),
}


class Host:
    """A host of the lab: by ssh as the controller reaches it, and from the inside, which needs no network."""

    def __init__(self, lab: Any, name: str) -> None:
        self.inside = lab.inside(name)
        inventory = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))["all"]
        variables = {**inventory["vars"], **inventory["children"]["servers"]["hosts"][name]}
        self._ssh = [
            "ssh",
            *shlex.split(variables["ansible_ssh_common_args"]),
            *("-i", variables["ansible_ssh_private_key_file"], f"root@{variables['ansible_host']}"),
        ]
        self.inside.run(["sh", "-c", SET_OWN_VALUES])
        self.old = self.whole()

    def look(self) -> dict[str, Any]:
        command = ["python3", str(CHECKOUT / "tests" / "chaos" / "inspect_host.py")]
        found: dict[str, Any] = json.loads(self.inside.run(command).stdout)
        return found

    def whole(self) -> dict[str, Any]:
        found = self.look()
        return {"tree": found["tree"], "files": found["files"]}

    def step(self, name: str, arguments: dict[str, Any]) -> int:
        """By ssh; how many things it did to the host."""
        words = [*self._ssh, _command(name, arguments, 0, "after")]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert "operations" in answer, answer
        return int(answer["operations"])

    def cut_at(self, name: str, arguments: dict[str, Any], point: int, when: str) -> None:
        command = f"rm -f /run/go; mkfifo /run/go; {_command(name, arguments, point, when)} <>/run/go"
        session = subprocess.Popen([*self._ssh, command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert session.stdout
        with self._cut_off(session):
            pid = session.stdout.readline().strip()
            assert session.stdout.readline() == "frozen\n", f"{name} has no point {point}"
            self.inside.run(["ip", "link", "set", "mgmt0", "down"])
            session.kill()
            session.wait()
            self.inside.run(["sh", "-c", "echo >/run/go"])
            self.inside.wait_for(["sh", "-c", f"! test -e /proc/{pid}"], 20)
            self._come_to_rest()

    @contextlib.contextmanager
    def _cut_off(self, session: subprocess.Popen[str]) -> Iterator[None]:
        try:
            yield
        finally:
            session.kill()
            session.wait()
            assert session.stdout
            session.stdout.close()
            self.inside.run(["ip", "link", "set", "mgmt0", "up"])

    def _come_to_rest(self) -> None:
        """Until nothing is pending and nobody watches; only the host itself has seen to that."""
        give_up = time.monotonic() + DEADLINE + 20
        while left := self.look()["left"]:
            assert time.monotonic() < give_up, left
            time.sleep(0.1)


def _command(name: str, arguments: dict[str, Any], point: int, when: str) -> str:
    words = ["python3", str(CHECKOUT / "tests" / "chaos" / "step.py"), name, json.dumps(arguments), str(point), when]
    environment = " ".join(f"{key}={shlex.quote(value)}" for key, value in Namespace.environment.items())
    return f"{environment} {shlex.join(words)}"


def test_at_every_point_of_every_step(make_lab: Any) -> None:
    lab = make_lab("plain", "points")
    lab.up("--hosts", str(HOSTS))
    hosts = [Host(lab, f"host{number}") for number in range(1, HOSTS + 1)]
    numbers, new = rehearse(hosts[0])
    # The step goes on, so after one thing is before the next; after the last one it only has to say how it went.
    points = [
        (name, point, when)
        for name, last in numbers.items()
        for point, when in [*((point, "before") for point in range(1, last + 1)), (last, "after")]
    ]
    assert len(points) >= 59
    free: queue.SimpleQueue[Host] = queue.SimpleQueue()
    for host in hosts:
        free.put(host)

    def play(point: tuple[str, int, str]) -> None:
        host = free.get()
        try:
            cut_off(host, new, *point)
        finally:
            free.put(host)

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(HOSTS) as pool:
        list(pool.map(play, points))
    print(f"{len(points)} points in {time.monotonic() - began:.0f} s")
    for host in hosts:
        host.step("start", UNHURRIED)
        host.step("roll_back", ROLL_BACK)
        assert host.whole() == host.old


def rehearse(host: Host) -> tuple[dict[str, int], dict[str, Any]]:
    """How many points each step has, and what confirming makes of a host. Leaves it old."""
    numbers = {}
    new = {}
    for name, scene in SCENES.items():
        for step, arguments in scene.before:
            host.step(step, arguments)
        numbers[name] = host.step(scene.step, UNHURRIED if name == "start" else scene.arguments)
        if name == "confirm":
            new = host.whole()
        if name in ("start", "confirm"):
            host.step("roll_back", ROLL_BACK)
        assert host.whole() == host.old
    assert new["files"][PATH][3] == START["content"]
    assert {key: new["tree"][key.replace(".", "/")] for key in SET} == SET
    print(numbers)
    return numbers, new


def cut_off(host: Host, new: dict[str, Any], name: str, point: int, when: str) -> None:
    """The host must be what the scene says, and tell so. Its next run is that of the next point."""
    scene = SCENES[name]
    where = f"cut off {when} point {point} of {name}"
    for step, arguments in scene.before:
        host.step(step, arguments)
    host.cut_at(scene.step, scene.arguments, point, when)
    assert host.whole() == (new if scene.outcome == "new" else host.old), where
    newest = host.look()["history"][0]
    assert newest["state"] == ("confirmed" if scene.outcome == "new" else "rolled_back"), where
    if name == "start":
        assert newest["reason"] == "nobody confirmed it in time", where
    if scene.outcome == "new":
        host.step("roll_back", ROLL_BACK)
