# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trial whose guard, the real one, dies once: before or after the n-th thing that it does to the host.

    python3 -c SCRIPT TRIGGER FATAL before|after guard|both

Then /run/died is there; a guard that came to its end without dying leaves the number of its points in /run/points. The
trigger is what makes the guard act: evidence, or the death of who confirms or undoes.
"""

import pathlib

from trials import GUARD, start_arguments

KEY = "net.ipv4.tcp_fin_timeout"
SET = {KEY: "20", "net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
REASON = "Tcp.AttemptFails rose by 5 (limit 3)"
_START = start_arguments(SET, confirm_within=60, guard={**GUARD, "max_rise": {"Tcp.AttemptFails": 3}})

_FAULT_POINTS = (pathlib.Path(__file__).parents[1] / "chaos" / "fault_points.py").read_text(encoding="utf-8")
# The main program of the guard's archive.
_MAIN = """{fault_points}
import signal
from nettune_guard import _guard

count = 0

def die():
    with open("/run/died", "x"):
        pass
    if {whom!r} == "both":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)

def counted(function):
    def call(*args, **kwargs):
        global count
        count += 1
        fatal = count == {fatal} and not os.path.exists("/run/died")
        if fatal and {when!r} == "before":
            die()
        result = function(*args, **kwargs)
        if fatal:
            die()
        return result
    return call

wrap("nettune_guard", counted)
code = _guard.main(sys.argv[1:])
if count:
    with open("/run/points", "w") as stream:
        stream.write(str(count))
sys.exit(code)
"""

SCRIPT = f"""
import os, signal, socket, sys
from ansible_collections.nettune.kernel.plugins.module_utils import _guard_process, _sysctl_file, _trial

MAIN, FAULT_POINTS, START = {_MAIN!r}, {_FAULT_POINTS!r}, {_START!r}
trigger, fatal, when, whom = sys.argv[1:]
trials = _trial.Trials()

def start():
    trials.start(**START)

def let_guards_die():
    _guard_process._MAIN = MAIN.format(fault_points=FAULT_POINTS, fatal=int(fatal), when=when, whom=whom)

def die_after(owner, name):
    function = getattr(owner, name)
    def call(*args, **kwargs):
        function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, call)

if whom == "both":
    _guard_process.START_SECONDS = 3.0
if trigger == "undo":
    start()
    trials.confirm("r1")
let_guards_die()
if trigger == "undo":
    die_after(_trial.Trials, "_restore_file")
    trials.roll_back("a test")
start()
if trigger == "evidence":
    for _attempt in range(5):
        socket.socket().connect_ex(("127.0.0.1", 1))
if trigger == "confirm":
    die_after(_sysctl_file, "write")
    trials.confirm("r1")
"""
