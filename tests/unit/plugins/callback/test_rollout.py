# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback, under a real ansible-playbook."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

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


def play(tmp_path: pathlib.Path, *options: str) -> Any:
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAYBOOK)
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "nettune.kernel.rollout",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", "a,b,c,", "-c", "local"]
    variables = ["-e", f"target={tmp_path / 'written'}", "-e", f"ansible_python_interpreter={sys.executable}"]
    return subprocess.run(
        [*command, *variables, *options, str(playbook)],
        env=environment,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


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
