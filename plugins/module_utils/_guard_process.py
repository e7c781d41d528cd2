# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard as a process: how it gets onto the host, starts, is found alive, and goes.

It must outlive the module, the SSH session and the folder that Ansible unpacks into, so the host half travels on as
a zip in the state folder and runs from there: as a transient service where systemd runs (which restarts it), as a
detached process elsewhere.
"""

import contextlib
import importlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile

from ._state import StateError, remove, temporary_of, try_flock, write_atomically

ARCHIVE = "guard.pyz"
LOCK = "guard.lock"
READY = "guard.json"
SAMPLES = "samples.jsonl"
# What is left of the samples while the oldest are dropped.
CUT = "samples.jsonl.cut"
UNIT = "nettune-guard.service"
# What the guard is made of: files that came along with the module.
MODULES = (
    "_counters",
    "_enforce",
    "_evidence",
    "_guard",
    "_guard_process",
    "_host_evidence",
    "_live",
    "_log",
    "_procfs",
    "_samples",
    "_state",
    "_sysctl_d",
    "_sysctl_file",
    "_sysctl_key",
    "_sysctl_set",
    "_trial",
    "_trial_memory",
    "_trial_record",
    "_trial_sentences",
)
# Without the interpreter's own leave-taking: whoever ends the trial waits for the end of the guard.
_MAIN = "import os, sys\nfrom nettune_guard._guard import main\nos._exit(main(sys.argv[1:]))\n"
# Python has to come up on a host that may be busy to the brim; nothing has been changed by then, so there is no hurry.
START_SECONDS = 30.0
_LEAVE_SECONDS = 5.0


class GuardError(Exception):
    """The guard did not come up; the message is a sentence for people."""


def start(state, trial_id, baseline_seconds=0):
    """Starts the guard for the pending trial and hears from it. Raises GuardError."""
    _install(state)
    command = [sys.executable, "-I", "-S", state.path(ARCHIVE)]
    arguments = [state.folder, trial_id]
    if os.path.isdir("/run/systemd/system"):
        _start_service(command, arguments)
    else:
        # A session of its own: the end of the SSH session does not reach it.
        with open(os.devnull, "r+b") as null:
            subprocess.Popen(
                [*command, "supervise", *arguments],
                stdin=null,
                stdout=null,
                stderr=null,
                start_new_session=True,
                cwd="/",
                env={},
            )
    give_up = time.monotonic() + START_SECONDS + baseline_seconds
    while time.monotonic() < give_up:
        with contextlib.suppress(StateError):
            report = state.read(READY) or {}
            if report.get("trial_id") == trial_id and report["watching"] and alive(state):
                return
        time.sleep(0.01)
    raise GuardError("the guard did not report within %d seconds" % (START_SECONDS + baseline_seconds))


def alive(state):
    """Whether a guard runs: it holds its lock as long as it lives, so no process id can be mistaken for it."""
    descriptor = try_flock(state.path(LOCK))
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def wait_until_gone(state):
    """A guard that is still there without a journal restores what it watched, within seconds; then it goes."""
    give_up = time.monotonic() + _LEAVE_SECONDS
    while alive(state) and time.monotonic() < give_up:
        time.sleep(0.02)


def dismiss(state):
    """The trial is over: wakes the guard, which then finds no trial, and waits until it and its files have gone."""
    give_up = time.monotonic() + _LEAVE_SECONDS
    while alive(state) and time.monotonic() < give_up:
        pid = None
        with contextlib.suppress(StateError):  # Damaged: the guard finds by itself that the trial is over.
            pid = (state.read(READY) or {}).get("pid")
        if pid == os.getpid():
            return  # The guard itself ended the trial; it leaves by itself.
        if pid and _is_guard(pid, state):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        time.sleep(0.02)
    clear(state)


def _is_guard(pid, state):
    """Whether this process runs the archive: the number may be somebody else's by now."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            return state.path(ARCHIVE).encode() in stream.read().split(b"\0")
    except OSError:
        return False


def clear(state):
    for name in (READY, ARCHIVE):
        state.remove(name)
        remove(temporary_of(state.path(name)))
    state.remove(CUT)


def _install(state):
    archived = io.BytesIO()
    package = __name__.rpartition(".")[0]
    with zipfile.ZipFile(archived, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", _MAIN)
        archive.writestr("nettune_guard/__init__.py", "")
        for name in MODULES:
            module = importlib.import_module(package + "." + name)
            archive.writestr("nettune_guard/%s.py" % name, module.__spec__.loader.get_source(module.__name__))
    try:
        write_atomically(state.path(ARCHIVE), archived.getvalue())
    except OSError as problem:
        raise GuardError("%s cannot be written: %s" % (state.path(ARCHIVE), problem.strerror)) from None


def _start_service(command, arguments):
    # A guard that failed in an earlier trial must not keep the name of the unit. (--collect does that, but not in
    # systemd 219.)
    subprocess.call(["systemctl", "reset-failed", UNIT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    restarts = (
        "--property=Restart=on-failure",
        # Until it is back, whoever looks finds a trial without a guard and ends it.
        "--property=RestartSec=100ms",
        # However often it is killed: by default systemd gives up after 5 starts in 10 seconds.
        "--property=StartLimitIntervalSec=0",
        # Its program goes when the trial ends: one that died just then is not started for ever.
        "--property=ConditionPathExists=" + command[-1],
        # Told to stop it puts the old values back first, and may have to wait for who holds the lock.
        "--property=TimeoutStopSec=60",
    )
    # Old systemd (EL7: 219) does not take all of these for a transient service: there the guard restarts itself.
    for properties, role in ((restarts, "watch"), ((), "supervise")):
        # A service, not a timer: `systemctl daemon-reload` starts timers anew.
        done = subprocess.Popen(
            ["systemd-run", "--unit=" + UNIT, "--quiet", *properties, *command, role, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output = done.communicate()[0].decode("utf-8", "replace").strip()
        if not done.returncode:
            return
    raise GuardError("systemd-run could not start the guard: %s" % output)
