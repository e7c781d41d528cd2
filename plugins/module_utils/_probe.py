# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fresh connections, counted: over TCP, or with an HTTP request.

A broken change to timestamps drops new SYNs while old connections live on, and some such damage moves no counter of the
host. So connections are opened anew, as a client would, and closed at once. The same code runs on the controller and,
as a module, on observers.
"""

import http.client
import os
import socket
import threading
import time
from contextlib import closing

# However many targets are probed, one prober opens no more than this: attempts per second, and attempts at one time.
MAX_RATE = 500.0
MAX_IN_FLIGHT = 256
_MOST_SECONDS = 86400
# A page is read to its end, for a socket that is closed with data in it sends a reset; longer ones are not worth it.
_MOST_BYTES = 1024 * 1024


class BadProbe(Exception):
    """What is wrong with the description of a probe; a sentence for people."""


def run_checked(arguments):
    """The tallies, from arguments of the module. Raises BadProbe before anything is opened."""
    if not 0 <= arguments["seconds"] <= _MOST_SECONDS:
        raise BadProbe("seconds must be from 0 to %d, not %g" % (_MOST_SECONDS, arguments["seconds"]))
    for probe in arguments["probes"]:
        check(probe)
    return run(arguments["probes"], arguments["seconds"], arguments["source"])


def check(probe):
    """Raises BadProbe where a probe cannot be opened as it is described."""
    name = name_of(probe)
    if not 0 < probe["port"] < 65536:
        raise BadProbe("probe %s: port %d is not within 1 to 65535" % (name, probe["port"]))
    for number in ("rate", "timeout"):
        if not 0 < probe[number] < float("inf"):
            raise BadProbe("probe %s: %s must be above 0, not %g" % (name, number, probe[number]))
    if not probe["slow_ms"] >= 0:
        raise BadProbe("probe %s: slow_ms must not be negative" % name)
    if any(character.isspace() or ord(character) < 32 for character in probe["address"] + probe["path"]):
        raise BadProbe("probe %s: neither address nor path can have spaces or control characters" % name)
    if probe["type"] == "http":
        if not probe["path"].startswith("/"):
            raise BadProbe("probe %s: path %r must begin with /" % (name, probe["path"]))
        if not probe["status"] or not all(100 <= status <= 599 for status in probe["status"]):
            raise BadProbe("probe %s: status must list codes from 100 to 599, such as [200]" % name)


def name_of(probe):
    """tcp 192.0.2.10:80, http [2001:db8::1]:80/health."""
    if probe.get("name"):
        return probe["name"]
    address = "[%s]" % probe["address"] if ":" in probe["address"] else probe["address"]
    path = probe["path"] if probe["type"] == "http" else ""
    return "%s %s:%d%s" % (probe["type"], address, probe["port"], path)


def run(probes, seconds, source):
    """The tallies of opening each probe `rate` times a second for `seconds`; once where that makes less than one."""
    tallies = [_Tally(probe, source) for probe in probes]
    slots = threading.BoundedSemaphore(MAX_IN_FLIGHT)
    begin = time.monotonic()
    for at, tally in _timetable(tallies, seconds):
        _sleep_until(begin + at)
        slots.acquire()
        if tally.attempts and time.monotonic() > begin + seconds:
            # So much hangs that the time is over before all attempts could begin.
            slots.release()
            continue
        tally.begin()
        # Nobody waits for one that hangs beyond its time, in the look-up of a name, say.
        threading.Thread(target=_attempt, args=(tally, slots), daemon=True).start()
    _sleep_until(begin + seconds)
    give_up = time.monotonic() + max([probe["timeout"] for probe in probes] or [0])
    while time.monotonic() < give_up and any(tally.pending for tally in tallies):
        time.sleep(0.005)
    return [tally.result() for tally in tallies]


def _timetable(tallies, seconds):
    """(seconds from the beginning, tally) for each attempt, in order: evenly spread, never a burst of SYNs."""
    wanted = sum(tally.probe["rate"] for tally in tallies)
    share = min(1.0, MAX_RATE / wanted) if wanted else 1.0
    seconds = max(seconds, len(tallies) / MAX_RATE)
    times = []
    for number, tally in enumerate(tallies):
        attempts = max(1, int(seconds * tally.probe["rate"] * share))
        gap = seconds / attempts
        first = gap * number / len(tallies)
        times += [(first + gap * turn, number) for turn in range(attempts)]
    return [(at, tallies[number]) for at, number in sorted(times)]


def _sleep_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))


def _attempt(tally, slots):
    try:
        begin = time.monotonic()
        try:
            problem = _TYPES[tally.probe["type"]](tally.probe)
        except (OSError, http.client.HTTPException) as error:
            problem = _reason(error)
        tally.end((time.monotonic() - begin) * 1000, problem)
    finally:
        slots.release()


class _Tally:
    """What became of the attempts of one probe."""

    def __init__(self, probe, source):
        self.probe = probe
        self.source = source
        self.attempts = 0
        self.pending = 0
        self._lock = threading.Lock()
        self._milliseconds = []
        self._errors = {}

    def begin(self):
        with self._lock:
            self.attempts += 1
            self.pending += 1

    def end(self, milliseconds, problem):
        with self._lock:
            self.pending -= 1
            if problem:
                self._errors[problem] = self._errors.get(problem, 0) + 1
            else:
                self._milliseconds.append(milliseconds)

    def result(self):
        with self._lock:
            errors = dict(self._errors)
            if self.pending:
                errors["timed out"] = errors.get("timed out", 0) + self.pending
            took = sorted(self._milliseconds)
        return {
            "probe": name_of(self.probe),
            "source": self.source,
            "host": self.probe.get("host"),
            "attempts": self.attempts,
            "ok": len(took),
            "slow": sum(1 for milliseconds in took if milliseconds > self.probe["slow_ms"]),
            "failed": self.attempts - len(took),
            "median_ms": round((took[(len(took) - 1) // 2] + took[len(took) // 2]) / 2, 2) if took else None,
            "max_ms": round(took[-1], 2) if took else None,
            "errors": errors,
        }


def _tcp(probe):
    socket.create_connection((probe["address"], probe["port"]), probe["timeout"]).close()


def _http(probe):
    """What is wrong with the answer, or None."""
    with closing(http.client.HTTPConnection(probe["address"], probe["port"], timeout=probe["timeout"])) as connection:
        connection.request("GET", probe["path"], headers={"User-Agent": "nettune", "Connection": "close"})
        answer = connection.getresponse()
        answer.read(_MOST_BYTES)
        return None if answer.status in probe["status"] else "status %d" % answer.status


_TYPES = {"tcp": _tcp, "http": _http}


def _reason(error):
    if isinstance(error, http.client.HTTPException):
        return "no answer in HTTP"
    if isinstance(error, socket.timeout):
        return "timed out"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    return os.strerror(error.errno) if error.errno else str(error)
