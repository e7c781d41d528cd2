# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that a lab lives and dies with.

It is process 1 of a PID namespace that holds every process of the lab, and sits in the network namespace that holds the
switches. All namespaces are anonymous: when the kernel ends this process, however that comes, it ends the processes
below it, and with the last of them go mounts, network namespaces and links, the machine's end of the uplink included.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from typing import Any

import host as lab_host
import namespaces as ns
from topology import Host, Topology

UPLINK = "uplink"
_ALONE = ns.CLONE_NEWNS | ns.CLONE_NEWNET | ns.CLONE_NEWUTS


class BuildError(Exception):
    """The lab did not come up; the text says why."""


def run(
    topology: Topology,
    state: pathlib.Path,
    authorized_key: str,
    visible: list[str],
    channel: socket.socket,
    bound_to: int | None,
) -> None:
    """Become the lab. Talks with the starting process over `channel`, a line of JSON at a time; never returns."""
    try:
        conversation = channel.makefile("rw", encoding="utf-8")
        ns.unshare(_ALONE)
        ns.mount("", "/", flags=ns.MS_REC | ns.MS_SLAVE)
        ns.mount("proc", "/proc", "proc")
        ns.set_process_name(f"lab:{topology.name}")
        _say(conversation, {"namespaces": True})
        management = json.loads(conversation.readline())
        _switches(topology)
        host_keys = _hosts(topology, state, authorized_key, visible, management)
        # From here on the lab outlives the command that made it.
        ns.die_with_parent(False)
        _say(conversation, {"host_keys": host_keys})
        conversation.close()
        channel.close()
        threading.Thread(target=_end_with, args=(state, bound_to), daemon=True).start()
    except Exception as error:  # whatever it is, the starting process has to hear of it
        if not isinstance(error, (BuildError, OSError)):
            traceback.print_exc()
        channel.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
        os._exit(1)
    lab_host.reap_for_ever()


def _end_with(state: pathlib.Path, process: int | None) -> None:
    """End the lab when nobody could find it any more, its directory being removed, or when its process ends."""
    poll = select.poll()
    if process is not None:
        poll.register(process, select.POLLIN)
    while not poll.poll(1000) and state.exists():
        pass
    os._exit(0)


def _say(conversation: Any, message: dict[str, Any]) -> None:
    conversation.write(json.dumps(message) + "\n")
    conversation.flush()


def _switches(topology: Topology) -> None:
    batch = ["link set lo up"]
    for network in ["mgmt", *topology.networks]:
        batch += [f"link add sw-{network} type bridge mcast_snooping 0", f"link set sw-{network} addrgenmode none up"]
    batch.append(f"link set {UPLINK} master sw-mgmt addrgenmode none up")
    _ip(batch)


def _hosts(
    topology: Topology, state: pathlib.Path, authorized_key: str, visible: list[str], management: dict[str, Any]
) -> dict[str, str]:
    """Start all hosts at once; returns the public host key of each."""
    go_read, go_write = os.pipe()
    report_read, report_write = os.pipe()
    pids = []
    for host in topology.hosts:
        place = lab_host.Place(
            state,
            f"{management['addresses'][host.name]}/{management['prefix']}",
            authorized_key,
            management["addresses"],
            visible,
        )
        pids.append(_fork_host(host, place, (go_read, go_write, report_read, report_write)))
    os.close(go_read)
    os.close(report_write)
    _cables(topology.hosts, pids)
    os.close(go_write)  # the end of this pipe is the starting shot for all hosts
    keys = {}
    with os.fdopen(report_read, encoding="utf-8") as reports:
        for line in reports:
            report = json.loads(line)
            if "error" in report:
                raise BuildError(f"host {report['host']}: {report['error']}")
            keys[report["host"]] = report["key"]
    missing = [host.name for host in topology.hosts if host.name not in keys]
    if missing:
        raise BuildError(f"host {missing[0]} died while it started, see {state / 'lab.log'}")
    return keys


def _fork_host(host: Host, place: lab_host.Place, pipes: tuple[int, int, int, int]) -> int:
    """Fork a host that waits in its new namespaces; returns its process id, as seen here."""
    answer_read, answer_write = os.pipe()
    middle = os.fork()
    if middle == 0:
        # A PID namespace begins with the next child, hence a process in between. Neither returns.
        try:
            ns.unshare(_ALONE | ns.CLONE_NEWPID)
            inner = os.fork()
            if inner == 0:
                os.close(answer_read)
                os.close(answer_write)
                _be_host(host, place, pipes)
            os.write(answer_write, str(inner).encode())
        except OSError as error:
            os.write(answer_write, f"no namespaces for host {host.name}: {error}".encode())
        finally:
            os._exit(0)
    os.close(answer_write)
    answer = b""
    while chunk := os.read(answer_read, 4096):
        answer += chunk
    os.close(answer_read)
    os.waitpid(middle, 0)
    if not answer.isdigit():
        raise BuildError(answer.decode() or f"host {host.name} died while it started")
    return int(answer)


def _be_host(host: Host, place: lab_host.Place, pipes: tuple[int, int, int, int]) -> None:
    go_read, go_write, report_read, report_write = pipes
    os.close(go_write)
    os.close(report_read)
    try:
        os.read(go_read, 1)
        os.close(go_read)
        _report(report_write, {"host": host.name, "key": lab_host.bring_up(host, place)})
        os.close(report_write)
        lab_host.reap_for_ever()
    except Exception as error:  # whatever it is, lab.py up has to hear of it
        if not isinstance(error, (RuntimeError, OSError)):
            traceback.print_exc()
        with contextlib.suppress(BrokenPipeError):  # another host's error was heard first
            _report(report_write, {"host": host.name, "error": str(error)[:2000]})
    finally:
        os._exit(1)


def _report(pipe: int, message: dict[str, str]) -> None:
    os.write(pipe, (json.dumps(message) + "\n").encode())  # below PIPE_BUF, so lines of hosts do not mix


def _cables(hosts: list[Host], pids: list[int]) -> None:
    batch = []
    for number, (host, pid) in enumerate(zip(hosts, pids, strict=True)):
        ends = [("mgmt0", "mgmt"), *((link.interface, link.network) for link in host.links)]
        for plug, (interface, network) in enumerate(ends):
            batch += [
                f"link add h{number}-{plug} type veth peer name {interface} netns {pid}",
                f"link set h{number}-{plug} master sw-{network} addrgenmode none up",
            ]
    _ip(batch)


def _ip(batch: list[str]) -> None:
    lines = "\n".join([*batch, ""])
    done = subprocess.run(["ip", "-batch", "-"], input=lines, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"ip: {done.stderr.strip()}")


def start(
    topology: Topology,
    state: pathlib.Path,
    authorized_key: str,
    visible: list[str],
    channel: socket.socket,
    record: Any,
    bound_to: int | None,
) -> int:
    """Fork the lab's init. `record(pid)` notes it down before it does anything.

    Returns the guardian, to be ended by the caller once the lab is up. The guardian dies with the caller, and until the
    lab is up the lab dies with the guardian: whatever is killed while a lab starts, nothing is left. A lab that is
    `bound_to` a process (a descriptor of one) ends with that one later on.
    """
    caller = os.getpid()
    guardian = os.fork()
    if guardian != 0:
        return guardian
    try:
        os.setsid()
        ns.die_with_parent()
        if os.getppid() != caller:
            os._exit(1)
        _detach(state, keep={channel.fileno(), bound_to})
        go_read, go_write = os.pipe()
        try:
            ns.unshare(ns.CLONE_NEWPID)
        except OSError as error:
            refusal = {"error": f"this machine does not let us make namespaces: {error}"}
            channel.sendall(json.dumps(refusal).encode() + b"\n")
            os._exit(1)
        init = os.fork()
        if init == 0:
            os.close(go_write)
            ns.die_with_parent()
            if os.read(go_read, 1) == b"":
                os._exit(1)  # the guardian is gone already
            os.close(go_read)
            run(topology, state, authorized_key, visible, channel, bound_to)
        channel.close()
        record(init)
        os.write(go_write, b"g")
        os.waitpid(init, 0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _detach(state: pathlib.Path, keep: set[int | None]) -> None:
    """Keep nothing else of the caller: neither its terminal nor its locks."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    log = os.open(state / "lab.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    sys.stdout.flush()
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for handle in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2} - keep:
        with contextlib.suppress(OSError):  # the listing's own is closed already
            os.close(handle)
    os.chdir("/")


def gone(pid: int) -> bool:
    """Has the process ended (a zombie that nobody collects counts as ended)?"""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def wait_until(condition: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
