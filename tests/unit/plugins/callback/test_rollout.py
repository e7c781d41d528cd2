# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback, under a real ansible-playbook."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest
import simulated_rollout

ROOT = pathlib.Path(__file__).resolve().parents[4]
PLAYBOOK = """
- name: First
  hosts: all
  gather_facts: false
  tasks:
    - name: Quiet
      ansible.builtin.set_fact:
        here: "{{ inventory_hostname }}"
    - name: The same for all
      ansible.builtin.debug:
        msg: [one, two]
    - name: One voice
      ansible.builtin.debug:
        msg: for all
      run_once: true
    - name: Different
      ansible.builtin.debug:
        msg: "I am {{ here }}"
    - name: Skipped
      ansible.builtin.debug:
        msg: never said
      when: false
    - name: A diff
      ansible.builtin.copy:
        content: "new\\n"
        dest: "{{ target }}"
        mode: "0600"
      run_once: true
      diff: true
    - name: Ignored
      ansible.builtin.fail:
        msg: told although ignored
      ignore_errors: true
      when: inventory_hostname == 'a'
    - name: A later task speaks of it
      ansible.builtin.fail:
        msg: never told
      loop: [1, 2]
      ignore_errors: true
      ignore_unreachable: true
    - name: Wrong
      ansible.builtin.fail:
        msg: it is broken
      when: inventory_hostname != 'c'
- name: Nothing is said here
  hosts: all
  gather_facts: false
  tasks:
    - name: Quiet
      ansible.builtin.set_fact:
        here: nowhere
"""


# The end of a soak, as the role goes through it: a look is judged, and a task tells how it goes for other callbacks.
SOAK = """
- name: Roll out in waves
  hosts: a
  gather_facts: false
  tasks:
    - name: Announce the wave
      ansible.builtin.debug:
        msg: Wave 1 of 2
    - name: Look
      ansible.builtin.include_tasks: look.yml
      loop: "{{ observed }}"
    - name: Judge for good
      nettune.kernel.rollout_gate:
        observations: "{{ observed | last }}"
      register: judged
    - name: Tell how it went
      ansible.builtin.debug:
        msg: "{{ judged.msg }}"
"""
LOOK = """
- name: Judge
  nettune.kernel.rollout_gate:
    observations: "{{ item }}"
    soak: 600
  register: judged
- name: Tell how it goes
  ansible.builtin.debug:
    msg: "{{ judged.progress }}"
"""


def command(tmp_path: pathlib.Path, text: str = PLAYBOOK) -> dict[str, Any]:
    """The arguments of subprocess for a playbook on three local hosts."""
    playbook = tmp_path / "play.yml"
    playbook.write_text(text)
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "nettune.kernel.rollout",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    program = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", "a,b,c,", "-c", "local"]
    variables = ["-e", f"target={tmp_path / 'written'}", "-e", f"ansible_python_interpreter={sys.executable}"]
    return {"args": [*program, *variables, str(playbook)], "env": environment}


def play(tmp_path: pathlib.Path, *options: str) -> Any:
    what = command(tmp_path)
    what["args"][1:1] = options
    return subprocess.run(**what, text=True, capture_output=True, timeout=120, check=False)


def test_short(tmp_path: pathlib.Path) -> None:
    result = play(tmp_path)
    assert result.returncode == 2
    diff_at = result.stdout.index("  a:\n---")
    assert result.stdout[:diff_at].splitlines() == [
        "",
        "First",
        "  a, b, c: one",
        "    two",
        "  for all",
        "  a: I am a",
        "  b: I am b",
        "  c: I am c",
    ]
    rest = result.stdout[diff_at:].splitlines()
    assert "+new" in rest
    assert "never told" not in result.stdout
    assert rest[-4:] == ["  a: told although ignored", "  a, b: it is broken", "", "Failed, 1 host changed"]


@pytest.mark.parametrize("option", ["-v", "-vv"])
def test_verbose_is_the_default_output(tmp_path: pathlib.Path, option: str) -> None:
    result = play(tmp_path, option)
    assert "TASK [Skipped]" in result.stdout
    assert "skipping: [a]" in result.stdout
    assert "PLAY RECAP" in result.stdout


def test_check_mode_is_said(tmp_path: pathlib.Path) -> None:
    assert "\nFirst (check mode: nothing changes)\n" in play(tmp_path, "--check").stdout


def soaking(tmp_path: pathlib.Path) -> tuple[dict[str, Any], list[str]]:
    """A soak of three looks to run, and what is to be read of each look."""
    observed = [simulated_rollout.soak(1, ["a"], ["b"], looks=looks) for looks in (1, 2, 40)]
    (tmp_path / "look.yml").write_text(LOOK)
    (tmp_path / "vars.json").write_text(json.dumps({"observed": observed}))
    what = command(tmp_path, SOAK)
    what["args"][1:1] = ["-e", f"@{tmp_path / 'vars.json'}"]
    return what, [simulated_rollout.judged(item)["progress"] for item in observed]


def on_a_terminal(what: dict[str, Any], columns: int, **more: str) -> str:
    """What the program writes to a terminal of that width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    what["env"] = {**what["env"], "TERM": "xterm", **more}
    for name in ("COLUMNS", "LINES"):
        what["env"].pop(name, None)
    process = subprocess.Popen(**what, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    written = b""
    try:
        while chunk := os.read(leader, 65536):
            written += chunk
    except OSError:  # Nobody holds the other end any more.
        pass
    finally:
        os.close(leader)
        process.wait(timeout=60)
    return written.decode()


def screen(written: str, columns: int) -> list[str]:
    """The lines that a terminal shows in the end, of the few controls that the callback uses."""
    rows, row, column = [""], 0, 0
    for control, text in re.findall(r"(\x1b\[\d*[AJ]|\r|\n)|([^\x1b\r\n]+)", written):
        if control == "\n":
            row += 1
            rows += [""] if row == len(rows) else []
        elif control == "\r":
            column = 0
        elif control.endswith("A"):
            row -= int(control[2:-1])
        elif control.endswith("J"):
            rows[row:] = [rows[row][:column]]
        for character in text:
            if column == columns:
                row, column = row + 1, 0
                rows += [""] if row == len(rows) else []
            rows[row] = rows[row][:column] + character
            column += 1
    return rows


@pytest.mark.parametrize("columns", [300, 60])
def test_on_a_terminal_one_line_is_rewritten(tmp_path: pathlib.Path, columns: int) -> None:
    what, progress = soaking(tmp_path)
    written = on_a_terminal(what, columns)
    for line in progress:
        assert written.count(line) == 1
    assert written.count("\x1b[J") == len(progress)
    shown = screen(written, columns)
    assert not any(line.startswith("  +") for line in shown)
    assert shown[1:3] == ["Roll out in waves", "  a: Wave 1 of 2"]
    assert shown[3].startswith("  a: Wave 1: promote: ")


@pytest.mark.parametrize("how", ["pipe", "awx", "switched off", "dumb"])
def test_elsewhere_each_look_is_a_line(tmp_path: pathlib.Path, how: str) -> None:
    what, progress = soaking(tmp_path)
    if how == "pipe":
        written = subprocess.run(**what, text=True, capture_output=True, timeout=120, check=True).stdout
    else:
        marks = {"awx": "AWX_ISOLATED_DATA_DIR", "switched off": "NETTUNE_LIVE_PROGRESS", "dumb": "TERM"}
        values = {"awx": str(tmp_path), "switched off": "false", "dumb": "dumb"}
        written = on_a_terminal(what, 300, **{marks[how]: values[how]})
    assert "\x1b[J" not in written
    lines = written.replace("\r", "").splitlines()
    assert [line for line in lines if line.startswith("  +")] == [f"  {line}" for line in progress]


def test_without_this_callback_the_same_is_said(tmp_path: pathlib.Path) -> None:
    what, progress = soaking(tmp_path)
    what["env"]["ANSIBLE_STDOUT_CALLBACK"] = "default"
    written = subprocess.run(**what, text=True, capture_output=True, timeout=120, check=True).stdout
    for line in progress:
        assert line in written
