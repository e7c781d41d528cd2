# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test hosts in network namespaces, each with its own sysctls, /etc and sshd. See docs/lab.md."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import command_line
import inventory
import lab_init
import load
import state
import topology
import uplink
from command_line import UsageError
from state import Lab

MOST_SECONDS_TO_START = 180


def up(arguments: argparse.Namespace) -> None:
    wanted = topology.load(arguments.name, arguments.hosts, _settings(arguments.set))
    python = _interpreter(arguments.python)
    _check_machine()
    lab = _lab(arguments)
    bound_to = None if arguments.bound_to is None else command_line.process(arguments.bound_to)
    request = {"topology": repr(wanted), "hosts": arguments.hosts, "python": python, "bound_to": arguments.bound_to}
    with state.locked():
        if lab.is_up:
            silent = _silent_hosts(lab)
            if lab.description["request"] == request and not silent:
                print(f"lab {lab.name} is up already: {lab.inventory}")
                return
            why = f"no answer from {', '.join(silent)}" if silent else "it was brought up otherwise"
            print(f"lab {lab.name} is made anew: {why}")
        began = time.monotonic()
        lab.remove()
        try:
            _build(lab, wanted, python, request, bound_to)
        except BaseException:
            log = _text(lab.directory / "lab.log")
            lab.remove()
            if log:
                print(log, file=sys.stderr)
            raise
    print(f"lab {lab.name} is up: {len(wanted.hosts)} hosts in {time.monotonic() - began:.1f} s, {lab.inventory}")


def _build(lab: Lab, wanted: topology.Topology, python: str, request: dict[str, Any], bound_to: int | None) -> None:
    lab.create()
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {lab.name}", "-f", str(lab.key)]
    subprocess.run(keygen, check=True)
    visible = [sys.prefix, sys.base_prefix, str(pathlib.Path(python).resolve().parent.parent)]
    ours, theirs = socket.socketpair()
    public_key = _text(lab.key.with_suffix(".pub"))
    guardian = lab_init.start(wanted, lab.directory, public_key, visible, theirs, lab.record_init, bound_to)
    theirs.close()
    try:
        _hear(ours)
        init = lab.init_pid()
        if init is None:
            raise lab_init.BuildError("the lab's init died while it started")
        interface, block = uplink.connect(init)
        lab.write("uplink", {"name": interface, "index": state.interface_index(interface)})
        addresses = {host.name: str(block[number]) for number, host in enumerate(wanted.hosts, start=2)}
        ours.sendall(json.dumps({"addresses": addresses, "prefix": block.prefixlen}).encode() + b"\n")
        keys = _hear(ours)["host_keys"]
    finally:
        ours.close()
        os.kill(guardian, signal.SIGKILL)
        os.waitpid(guardian, 0)
    lab.known_hosts.write_text("".join(f"{addresses[name]} {key}\n" for name, key in keys.items()), encoding="ascii")
    lab.inventory.write_text(inventory.render(lab, wanted, addresses, python), encoding="utf-8")
    lab.write(
        "lab",
        {
            "topology": wanted.name,
            "request": request,
            "interface": interface,
            "block": str(block),
            "addresses": addresses,
        },
    )


def _hear(channel: socket.socket) -> dict[str, Any]:
    """The next line from the lab's init."""
    channel.settimeout(MOST_SECONDS_TO_START)
    line = b""
    while not line.endswith(b"\n"):
        chunk = channel.recv(65536)
        if not chunk:
            raise lab_init.BuildError("the lab's init died while it started")
        line += chunk
    message: dict[str, Any] = json.loads(line)
    if "error" in message:
        raise lab_init.BuildError(message["error"])
    return message


def down(arguments: argparse.Namespace) -> None:
    if not state.ROOT.is_dir():
        return
    with state.locked():
        if arguments.name:
            labs = [_lab(arguments)]
        else:
            suffix = f".{arguments.instance}" if arguments.instance else ""
            labs = [lab for lab in state.all_labs() if lab.name.endswith(suffix)]
        for lab in labs:
            existed = lab.directory.exists()
            lab.remove()
            if existed:
                print(f"lab {lab.name} is down")


def shell(arguments: argparse.Namespace) -> None:
    lab = _running_lab(arguments)
    address = lab.description["addresses"].get(arguments.host)
    if address is None:
        known = ", ".join(lab.description["addresses"])
        raise UsageError(f"lab {lab.name} has no host {arguments.host!r}: it has {known}")
    terminal = [] if arguments.command else ["-t"]
    os.execvp(
        "ssh",
        [
            "ssh",
            *inventory.ssh_options(lab),
            *terminal,
            "-i",
            str(lab.key),
            "-o",
            "LogLevel=ERROR",
            f"root@{address}",
            *command_line.for_ssh(arguments.command),
        ],
    )


def status(_arguments: argparse.Namespace) -> None:
    labs = state.all_labs()
    if not labs:
        print("no lab is up")
    for lab in labs:
        if not lab.is_up:
            print(f"{lab.name}: not running, `down` removes what is left of it")
            continue
        about = lab.description
        silent = _silent_hosts(lab)
        print(
            f"{lab.name}: {len(about['addresses'])} hosts, {about['block']} on {about['interface']}, "
            f"load {'running' if load.running(lab) else 'not running'}, "
            f"{'all hosts answer' if not silent else 'no answer from ' + ', '.join(silent)}"
        )


def show_inventory(arguments: argparse.Namespace) -> None:
    lab = _running_lab(arguments)
    print(lab.inventory if arguments.path else _text(lab.inventory), end="\n" if arguments.path else "")


def drive_load(arguments: argparse.Namespace) -> None:
    lab = _running_lab(arguments)
    if arguments.action == "start":
        load.start(
            lab,
            topology.load(lab.description["topology"], lab.description["request"]["hosts"]),
            arguments.rate,
            arguments.seconds,
            arguments.slow_ms,
            arguments.seed,
        )
    elif arguments.action == "stop":
        load.stop(lab)
    else:
        totals = load.totals(lab, arguments.last)
        print(json.dumps(totals) if arguments.json else load.table(lab, totals))


def _lab(arguments: argparse.Namespace) -> Lab:
    if arguments.name not in topology.names():
        raise UsageError(f"there is no lab {arguments.name!r}: choose one of {', '.join(topology.names())}")
    return Lab(command_line.with_label(arguments.name, arguments.instance))


def _running_lab(arguments: argparse.Namespace) -> Lab:
    if arguments.name:
        lab = _lab(arguments)
        if not lab.is_up:
            raise UsageError(f"lab {lab.name} is not up: start it with `{sys.argv[0]} up {arguments.name}`")
        return lab
    running = [lab for lab in state.all_labs() if lab.is_up]
    if len(running) != 1:
        raise UsageError("no lab is up" if not running else f"say which lab: {', '.join(lab.name for lab in running)}")
    return running[0]


def _settings(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if not re.fullmatch(r"net[./][^=\s]+=[^\n\0]+", pair):
            raise UsageError(f"--set {pair!r}: write it as net.ipv4.KEY=VALUE; only net keys exist once a host")
    return dict(pair.split("=", 1) for pair in pairs)


def _interpreter(path: str | None) -> str:
    """A real interpreter, for the hosts: discovery would meet version managers' stand-ins."""
    found = path or os.path.realpath(sys.executable)
    if not (os.path.isabs(found) and os.access(found, os.X_OK)):
        raise UsageError(f"--python {found!r}: write the absolute path of an interpreter")
    return found


def _check_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise UsageError("the lab needs Linux and root: it makes namespaces and mounts")
    packages = {"ip": "iproute2", "nft": "nftables", "sshd": "openssh-server", "ssh": "openssh-client"}
    command_line.find_programs("the lab needs", packages)


def _silent_hosts(lab: Lab) -> list[str]:
    def silent(address: str) -> bool:
        try:
            with socket.create_connection((address, 22), timeout=5) as connection:
                return not connection.recv(4).startswith(b"SSH-")
        except OSError:
            return True

    addresses = lab.description["addresses"]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = pool.map(silent, addresses.values())
    return [name for name, is_silent in zip(addresses, answers, strict=True) if is_silent]


def _text(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str, lab_name: str | None = None) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        if lab_name is not None:
            sub.add_argument("name", nargs=lab_name or None, metavar="NAME", help=", ".join(topology.names()))
            sub.add_argument("--instance", metavar="LABEL", help="a lab of its own, beside others of the same name")
        return sub

    sub = command("up", up, "Bring a lab up; fine if it is up already.", "")
    sub.add_argument("--hosts", type=int, metavar="N", help="number of hosts or servers, where the lab lets you choose")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="sysctl the servers begin with")
    sub.add_argument("--python", metavar="PATH", help="interpreter that Ansible uses on the hosts")
    sub.add_argument("--bound-to", type=int, metavar="PID", help="the lab ends when this process ends, however it ends")
    command("down", down, "Take a lab down, or all of this checkout.", "?")
    sub = command("shell", shell, "Log in on a host, or run what follows -- there.", "?")
    sub.add_argument("--host", required=True)
    command("status", status, "List the labs of this checkout.")
    sub = command("inventory", show_inventory, "Print the Ansible inventory.", "?")
    sub.add_argument("--path", action="store_true", help="print where it is instead")
    sub = command("load", drive_load, "Start, stop or report the client load.", "")
    sub.add_argument("action", choices=["start", "stop", "report"])
    sub.add_argument("--rate", type=float, metavar="N", help="connects a second to each server (start)")
    sub.add_argument("--seed", type=int, metavar="N", help="unequal and in bursts, drawn from N, not steady (start)")
    sub.add_argument("--seconds", type=int, default=900, help="ends by itself after this time (start)")
    sub.add_argument("--slow-ms", type=int, default=200, help="a connect that takes longer counts as slow (start)")
    sub.add_argument("--last", type=int, metavar="SECONDS", help="only the last seconds (report)")
    sub.add_argument("--json", action="store_true", help="for programs (report)")
    return parser


def main() -> None:
    errors = (topology.TopologyError, lab_init.BuildError, uplink.UplinkError, load.LoadError)
    command_line.run("lab", _parser(), errors)


if __name__ == "__main__":
    main()
