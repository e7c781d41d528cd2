# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wins at boot, with the programs themselves as referees.

Random trees of sysctl.d files are laid out on a throw-away host, systemd-sysctl and `sysctl --system` read them, and
the values that they leave must be those that boot_order says. Only keys that each network namespace has for itself are
used.
"""

from __future__ import annotations

import os
import pathlib
import random
import re
import subprocess
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils.boot_order import DIRECTORIES, SYSCTL_CONF, BootOrder
from ansible_collections.nettune.kernel.plugins.plugin_utils.facts import SysctlFile

SYSTEMD = "/usr/lib/systemd/systemd-sysctl"
PROCPS = "/sbin/sysctl"
DIRS = [directory for directory in DIRECTORIES if directory != "/lib/sysctl.d"]  # where /lib is a link to /usr/lib
NAMES = ["10-base.conf", "50-default.conf", "90-nettune.conf", "99-local.conf"]
PLAIN = ["net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_fin_timeout"]
REDIRECTS = [f"net.ipv4.conf.{interface}.shared_media" for interface in ("all", "default", "lo")]
BASELINE = {**dict.fromkeys(PLAIN, "1000"), **dict.fromkeys(REDIRECTS, "1000")}


def procps_version() -> tuple[int, ...]:
    shown = subprocess.run([PROCPS, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)", shown)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def path_of(key: str) -> str:
    return "/proc/sys/" + key.replace(".", "/")


def text(random_: random.Random, globs: bool) -> str:
    lines = ["# a comment", "; another"]
    for _line in range(random_.randint(0, 5)):
        value = str(random_.randint(100, 900))
        key = random_.choice(PLAIN + REDIRECTS)
        if random_.random() < 0.3:
            key = key.replace(".", "/")
        if globs and random_.random() < 0.3:
            pattern = random_.choice(["net.ipv4.conf.*.shared_media", "net.ipv4.conf.[al]*.shared_media"])
            lines.append(f"{pattern} = {value}")
        elif globs and random_.random() < 0.15:
            lines.append(f"-{key}")
        else:
            blank = random_.choice(["", " ", "\t "])
            lines.append(f"{random_.choice(['', blank])}{random_.choice(['', '-'])}{key}{blank}={blank}{value}{blank}")
    ending = "\r\n" if random_.random() < 0.1 else "\n"
    return ending.join(lines) + random_.choice(["", ending, ending * 2])


def tree(random_: random.Random, globs: bool) -> list[SysctlFile]:
    files = []
    for directory in DIRS:
        for name in NAMES:
            if random_.random() < 0.4:
                masked = directory != DIRS[-1] and random_.random() < 0.1
                link = "/dev/null" if masked else None
                content = "" if masked else text(random_, globs)
                files.append(SysctlFile(f"{directory}/{name}", name, content, link))
    if random_.random() < 0.7:
        content = text(random_, globs=False)
        files.append(SysctlFile(SYSCTL_CONF, "sysctl.conf", content))
        if random_.random() < 0.5:
            files.append(SysctlFile("/etc/sysctl.d/99-sysctl.conf", "99-sysctl.conf", content, SYSCTL_CONF))
    return files


def lay_out(host: Any, files: list[SysctlFile]) -> None:
    """Nothing of the machine's own trees may be read: it could set keys of the whole machine."""
    hide = [f"mkdir -p {directory} 2>/dev/null; mount -t tmpfs nettune-test {directory}" for directory in DIRS]
    script = ["set -e", *hide, f"rm -f {SYSCTL_CONF}"]
    for file in files:
        if file.link:
            script.append(f"ln -s {file.link} {file.path}")
        else:
            script.append(f"cat > {file.path} <<'END_OF_FILE'\n{file.text}\nEND_OF_FILE")
            script.append(f"truncate -s -1 {file.path}")
    script += [f"echo {value} > {path_of(key)}" for key, value in BASELINE.items()]
    host.run(["sh", "-c", "\n".join(script)])
    seen = host.run(["find", *DIRS, "-name", "*.conf"]).stdout.split()
    assert sorted(seen) == sorted(file.path for file in files if file.path != SYSCTL_CONF)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("program", ["systemd-sysctl", "procps"])
def test_the_program_agrees(program: str, seed: int, netns: Any) -> None:
    command = {"systemd-sysctl": [SYSTEMD], "procps": [PROCPS, "--system"]}[program]
    if not os.access(command[0], os.X_OK):
        pytest.skip(f"{command[0]} is not here")
    if pathlib.Path("/lib").resolve() != pathlib.Path("/usr/lib"):
        pytest.skip("/lib is a directory of its own here")
    random_ = random.Random(seed)
    # procps has globs from 4.0 on.
    files = tree(random_, globs=program == "systemd-sysctl" or procps_version() >= (4, 0))
    lay_out(netns, files)
    netns.run(command, check=False)
    order = BootOrder(files, procps=program == "procps")
    expected = {key: (winner.value if (winner := order.winner(key)) else BASELINE[key]) for key in BASELINE}
    assert {key: netns.read(path_of(key)).strip() for key in BASELINE} == expected
