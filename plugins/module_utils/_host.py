# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host is: kernel, memory, processors, what runs it."""

import contextlib
import os
import re

from ._counters import boot_id, now
from ._files import read_text

# The kernel function that gives every connection its own timestamp offset. Before it a pair of addresses shared one.
_OFFSET_PER_TUPLE = b" secure_tcp_seq_and_ts_off\n"
# Sysctls that only the initial network namespace has, from the oldest kernel to the newest.
_INITIAL_ONLY = ("net.core.netdev_max_backlog", "net.core.dev_weight")


def version_of(release):
    """[4, 18, 0] of 4.18.0-553.el8: the numbers only, or None."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    return [int(number or 0) for number in found.groups()] if found else None


def vendor_of(os_release):
    """The ID of an os-release file's text, or None."""
    found = re.search(r"^ID=[\"']?([\w.-]+)", os_release or "", re.MULTILINE)
    return found.group(1) if found else None


def kernel():
    release = os.uname().release
    return {
        "release": release,
        "version": version_of(release),
        "vendor": vendor_of(read_text("/etc/os-release") or read_text("/usr/lib/os-release")),
    }


def timestamp_offset_per_tuple(path="/proc/kallsyms"):
    """True or False, or None where the kernel hides its symbols. Takes tens of milliseconds: the file is long."""
    try:
        with open(path, "rb", buffering=0) as stream:
            seen = b""
            while True:
                chunk = stream.read(65536)
                if not chunk:
                    return False if seen else None
                if _OFFSET_PER_TUPLE in seen + chunk:
                    return True
                seen = chunk[-len(_OFFSET_PER_TUPLE) :]
    except OSError:
        return None


def memory_bytes():
    found = re.search(r"^MemTotal:\s+(\d+) kB", read_text("/proc/meminfo") or "", re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def hardware():
    return {
        "memory_bytes": memory_bytes(),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "cpus": os.sysconf("SC_NPROCESSORS_ONLN"),
    }


def uptime():
    facts = {"uptime_seconds": round(now(), 3)}
    with contextlib.suppress(OSError):
        facts["boot_id"] = boot_id()
    return facts


def service_manager():
    return "systemd" if os.path.isdir("/run/systemd/system") else "other"


def container():
    """What kind of container this is, or None where nothing says that it is one."""
    named = read_text("/run/systemd/container")
    if named:
        return named.strip()
    if os.path.exists("/run/.containerenv"):
        return "podman"
    if os.path.exists("/.dockerenv"):
        return "docker"
    found = re.search(r"kubepods|docker|libpod|lxc", read_text("/proc/1/cgroup") or "")
    return found.group(0) if found else None


def own_network_namespace(keys):
    """Whether this is not the initial network namespace, judged by the sysctls seen; None where none could be seen."""
    if not any(key.startswith("net.core.") for key in keys):
        return None
    return not any(key in keys for key in _INITIAL_ONLY)
