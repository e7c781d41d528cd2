# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab comes up, stays one, and goes away completely, whatever is killed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def is_there(uplink: dict) -> bool:
    """Told by its number too: another lab may have taken the name since."""
    return (uplink["index"], uplink["name"]) in socket.if_nameindex()


def processes_of(init: int) -> set[int]:
    """The lab's init and everything below it, seen from the machine."""
    found, look_at = set(), [init]
    while look_at:
        pid = look_at.pop()
        found.add(pid)
        # Processes of a lab that starts come and go while they are counted.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                look_at += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def started(pids: set[int]) -> dict[int, str]:
    """Start time of each process that runs: a number that comes again later is another process."""
    result = {}
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] not in "ZX":
            result[pid] = fields[19]
    return result


def wait_until(condition, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Traces:
    """What a running lab consists of, to look for it afterwards."""

    def __init__(self, lab) -> None:
        self.directory = lab.directory
        self.uplink = lab.read("uplink")
        self.processes = started(processes_of(lab.init))
        assert is_there(self.uplink)
        assert len(self.processes) > 2

    def left(self) -> list[str]:
        alive = started(set(self.processes))
        mounts = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        return [
            *(f"process {pid}" for pid, start in alive.items() if start == self.processes[pid]),
            *([f"interface {self.uplink['name']}"] if is_there(self.uplink) else []),
            *(["mounts"] if str(self.directory) in mounts else []),
            *(["state"] if self.directory.exists() else []),
        ]


def test_ansible_reaches_every_host(make_lab):
    lab = make_lab("plain")
    lab.up("--hosts", "3")
    ansible = pathlib.Path(sys.executable).with_name("ansible")
    if not ansible.exists():
        pytest.skip("no ansible beside this Python")
    inventory = lab.run("inventory", "--path").stdout.strip()
    done = subprocess.run(
        [str(ansible), "all", "-i", inventory, "-m", "ansible.builtin.setup", "-a", "gather_subset=!all,min"],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r'"ansible_hostname": "(\w+)"', done.stdout)) == {"host1", "host2", "host3"}


def test_up_twice_is_the_same_lab(make_lab):
    lab = make_lab("plain")
    lab.up("--hosts", "3")
    init = lab.init
    assert "already" in lab.up("--hosts", "3")
    assert lab.init == init


def test_up_with_other_wishes_makes_it_anew(make_lab):
    lab = make_lab("plain")
    lab.up("--hosts", "3")
    traces = Traces(lab)
    lab.up("--hosts", "2", "--set", "net.ipv4.tcp_fin_timeout=17")
    assert [what for what in traces.left() if what != "state"] == []
    assert lab.shell("host2", "cat /proc/sys/net/ipv4/tcp_fin_timeout") == "17\n"


def test_two_labs_at_once(make_lab):
    one, other = make_lab("plain"), make_lab("plain", "other")
    one.up("--hosts", "2")
    other.up("--hosts", "2")
    assert one.read("lab")["block"] != other.read("lab")["block"]
    gone = Traces(other)
    other.down()
    assert gone.left() == []
    assert one.shell("host1", "hostname") == "host1\n"


def test_down_leaves_nothing(make_lab):
    lab = make_lab("nat_front")
    lab.up()
    lab.run("load", "start")
    traces = Traces(lab)
    lab.down()
    assert traces.left() == []
    lab.down()  # and once more is fine


def test_init_killed(make_lab):
    lab = make_lab("plain", "killed")
    lab.up("--hosts", "3")
    traces = Traces(lab)
    os.kill(lab.init, signal.SIGKILL)
    # All but the files goes by itself.
    assert wait_until(lambda: traces.left() == ["state"]), traces.left()
    lab.down()
    assert traces.left() == []


def test_host_process_killed(make_lab):
    lab = make_lab("plain", "killed")
    lab.up("--hosts", "3")
    traces = Traces(lab)
    victims = [
        pid for pid in traces.processes if pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "sshd\n"
    ]
    os.kill(random.choice(victims), signal.SIGKILL)
    assert "no answer from host" in lab.up("--hosts", "3")
    assert [what for what in traces.left() if what != "state"] == []
    traces = Traces(lab)
    os.kill(random.choice(sorted(set(traces.processes) - {lab.init})), signal.SIGKILL)
    lab.down()
    assert traces.left() == []


def test_up_killed_in_the_middle(make_lab, command):
    lab = make_lab("plain", "half")
    words = ["up", lab.name, "--instance", lab.instance, "--hosts", "20", "--bound-to", str(os.getpid())]
    halves = 0
    for after in (0, 0.02, 0.05, 0.1, 0.2, 0.4):
        process = subprocess.Popen([*command, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_until((lab.directory / "init.json").exists)
        time.sleep(after)
        begun = started(processes_of(lab.init))
        process.kill()
        process.wait()
        if not (lab.directory / "lab.json").exists():  # otherwise it was quicker, and the lab is whole
            halves += 1
            assert wait_until(lambda begun=begun: not begun.items() & started(set(begun)).items())
            if (lab.directory / "uplink.json").exists():
                uplink = lab.read("uplink")
                assert wait_until(lambda uplink=uplink: not is_there(uplink))
        lab.down()
        assert not lab.directory.exists()
    assert halves > 0


def test_lab_ends_with_the_process_it_is_bound_to(make_lab):
    lab = make_lab("plain", "bound")
    process = subprocess.Popen(["sleep", "60"])
    try:
        lab.run("up", "--hosts", "2", "--bound-to", str(process.pid))
        traces = Traces(lab)
    finally:
        process.kill()
        process.wait()
    assert wait_until(lambda: traces.left() == ["state"]), traces.left()


def test_lab_ends_when_its_directory_is_removed(make_lab):
    lab = make_lab("plain", "bound")
    lab.up("--hosts", "2")
    traces = Traces(lab)
    shutil.rmtree(lab.directory)
    assert wait_until(lambda: traces.left() == []), traces.left()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["up", "nowhere"], "there is no lab 'nowhere': choose one of lvs_dr, nat_front, plain"),
        (["up", "plain", "--hosts", "0"], "1 to 1000 hosts, not 0"),
        (["up", "lvs_dr", "--hosts", "9"], "--hosts does not apply"),
        (["up", "plain", "--set", "fs.file-max=9"], "only net keys"),
        (["up", "plain", "--instance", "../x"], "use letters"),
        (["up", "plain", "--bound-to", "999999999"], "no such process"),
        (["up", "plain", "--instance", "testnone", "--set", "net.ipv4.no_such_key=1"], "No such file or directory"),
        (["shell", "plain", "--instance", "testnone", "--host", "host1"], "is not up"),
    ],
)
def test_one_clear_sentence(command, words, text):
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_reads_what_it_says(command, unbuffered):
    """As with `| head`, which has gone before all is said."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        done = subprocess.run(
            [*command, "status"],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert (done.returncode, done.stderr) == (0, "")
