# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens on a lab host stays there."""

from __future__ import annotations

import json
import os
import pathlib
import shlex

import pytest

SYS = pathlib.Path("/proc/sys")

# Written by the kernel itself all the time.
RESTLESS = {"kernel/ns_last_pid", "kernel/random/boot_id", "fs/binfmt_misc/status"}


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("plain")
    lab.up("--hosts", "2")
    return lab


def settings() -> dict[str, str]:
    """Every setting of the machine, without those of lab uplinks that come and go."""
    found = {}
    for path in SYS.rglob("*"):
        key = str(path.relative_to(SYS))
        if "/ntl" in key or key in RESTLESS:
            continue
        try:
            if path.is_file() and path.stat().st_mode & 0o200:
                found[key] = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # write-only, or gone with an interface
            continue
    return found


def test_machine_keeps_its_settings(make_lab):
    before = settings()
    assert len(before) > 500
    lab = make_lab("lvs_dr")
    lab.up("--set", "net.ipv4.tcp_fin_timeout=17", "--set", "net.core.somaxconn=77")
    lab.shell("director", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    during = settings()
    lab.down()
    after = settings()
    for later in (during, after):
        assert {k: (v, later.get(k)) for k, v in before.items() if later.get(k) != v} == {}


def test_host_has_its_own_etc_run_and_var_lib(lab):
    mark = f"lab-test-{os.getpid()}"
    for directory in ("/etc/sysctl.d", "/run", "/var/lib", "/tmp", "/usr/lib/sysctl.d", "/root", "/var/log"):
        lab.shell("host1", f"mkdir -p {directory} && echo mine > {directory}/{mark}")
        assert not os.path.exists(f"{directory}/{mark}")
        assert lab.shell("host2", f"cat {directory}/{mark}", check=False) == ""
        assert lab.shell("host1", f"cat {directory}/{mark}") == "mine\n"


def test_host_begins_clean(lab):
    assert lab.shell("host2", "find /etc/sysctl.d /usr/lib/sysctl.d /usr/local/lib/sysctl.d -type f") == ""
    assert lab.shell("host2", "grep -v '^#' /etc/sysctl.conf", check=False) == ""
    assert lab.shell("host2", "test -e /run/systemd || echo none") == "none\n"
    assert lab.shell("host2", "hostname; cat /etc/hostname") == "host2\nhost2\n"
    assert lab.shell("host2", "echo $HOME") == "/var/lib/root\n"


def test_checkout_cannot_be_changed_from_a_host(lab):
    done = lab.run("shell", "--host", "host1", "--", f"touch {lab.directory.parent}/x", check=False)
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("key", ["fs/file-max", "kernel/pid_max", "vm/swappiness"])
def test_settings_beside_net_cannot_be_written(lab, key):
    now = (SYS / key).read_text(encoding="ascii")
    done = lab.run("shell", "--host", "host1", "--", f"cat /proc/sys/{key} > /proc/sys/{key}", check=False)
    assert "Read-only file system" in done.stderr
    assert (SYS / key).read_text(encoding="ascii") == now


def test_writable_net_keys_are_the_hosts_own(lab):
    """Change every number below net that a host can change: neither the machine nor another host may see it."""
    script = """
import os, json
done = {}
for top, _, names in os.walk("/proc/sys/net"):
    for name in names:
        path = os.path.join(top, name)
        masked = os.statvfs(path).f_flag & os.ST_RDONLY
        if masked or "mgmt0" in path or name == "flush" or not os.stat(path).st_mode & 0o200:
            continue
        try:
            old = open(path).read().strip()
            for new in (str(int(old) + 1), str(int(old) - 1)):
                try:
                    with open(path, "w") as file:
                        file.write(new)
                except OSError:
                    continue
                if open(path).read().strip() == new:
                    done[path] = [old, new]
                    break
        except (OSError, ValueError):
            pass
print(json.dumps(done))
"""
    machine, other = net_tree(), "find /proc/sys/net -type f | sort | xargs grep -sH ''"
    other_before = lab.shell("host2", other, check=False)
    changed = json.loads(lab.shell("host1", f"python3 -c {shlex.quote(script)}"))
    assert len(changed) > 300
    assert net_tree() == machine
    assert lab.shell("host2", other, check=False) == other_before


def test_global_net_keys_cannot_be_written(lab):
    keys = ["nf_hooks_lwtunnel", "nf_conntrack_max", "nf_conntrack_expect_max", "nf_conntrack_buckets"]
    present = [key for key in keys if (SYS / "net/netfilter" / key).exists()]
    if not present:
        pytest.skip("this kernel has none of them loaded")
    for key in present:
        path = f"/proc/sys/net/netfilter/{key}"
        done = lab.run("shell", "--host", "host1", "--", f"cat {path} > {path}", check=False)
        assert "Read-only file system" in done.stderr or not os.path.exists(path)


def net_tree() -> dict[str, str]:
    return {key: value for key, value in settings().items() if key.startswith("net/")}
