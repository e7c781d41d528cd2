# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints a rollout as a short account."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout
type: stdout
short_description: Prints a rollout as a short account
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Prints what a rollout says of itself (the waves, what changes, how the soak goes, the verdict), failures, diffs and
    warnings. Tasks that went well or were skipped are not printed. Hosts that say the same share a line.
  - On a terminal, one line is rewritten in place while a wave soaks. In a file, in a pipe, and under AWX or
    ansible-runner, each look at the wave is a line of its own.
  - With C(-v) or more, prints what P(ansible.builtin.default#callback) prints.
  - Nothing that it prints is missing from the output of other callbacks.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
options:
  live_progress:
    description: Whether the line of a soaking wave is rewritten in place, where the output is a terminal.
    type: bool
    default: true
    env:
      - name: NETTUNE_LIVE_PROGRESS
    ini:
      - section: callback_nettune_kernel_rollout
        key: live_progress
requirements:
  - set as stdout in configuration
"""

EXAMPLES = r"""
ansible.cfg: |
  [defaults]
  stdout_callback = nettune.kernel.rollout

shell: |
  ANSIBLE_STDOUT_CALLBACK=nettune.kernel.rollout ansible-playbook nettune.kernel.tune -i inventory -e @set.yml
"""

import os
import shutil
import sys
from typing import Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.nettune.kernel.plugins.plugin_utils.account import count, names

_DEBUG = ("ansible.builtin.debug", "debug")
_GATE = "nettune.kernel.rollout_gate"


class CallbackModule(Default):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "nettune.kernel.rollout"

    def __init__(self) -> None:
        super().__init__()
        # What hosts said in the running task: {(text, colour): [hosts]}.
        self._said: dict[tuple[str, str | None], list[str]] = {}
        self._last_play: str | None = None
        # The name of the play, until something is printed below it.
        self._heading = ""
        # How the wave goes, as last printed, and the rows of the terminal that this takes until it is rewritten.
        self._progress = ""
        self._progress_rows = 0

    @property
    def _short(self) -> bool:
        return int(self._display.verbosity) == 0

    # Headings

    def v2_playbook_on_play_start(self, play: Any) -> None:
        if not self._short:
            super().v2_playbook_on_play_start(play)
            return
        self._flush()
        self._play = play
        name = play.get_name().strip()
        # A play of several batches starts once a batch.
        if name != self._last_play:
            self._last_play = name
            self._heading = f"\n{name}" + (" (check mode: nothing changes)" if play.check_mode else "")

    def _task_start(self, task: Any, prefix: str | None = None) -> None:
        self._flush()
        super()._task_start(task, prefix)

    def _print_task_banner(self, task: Any) -> None:
        if not self._short:
            super()._print_task_banner(task)

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        if not self._short:
            super().v2_playbook_on_no_hosts_remaining()

    def v2_playbook_on_include(self, included_file: Any) -> None:
        if not self._short:
            super().v2_playbook_on_include(included_file)

    # Results

    def v2_runner_on_ok(self, result: Any) -> None:
        if not self._short:
            super().v2_runner_on_ok(result)
            return
        outcome, action = _outcome(result), _task(result).action
        self._warn(outcome)
        if action == _GATE and outcome.get("progress") and not outcome.get("done"):
            self._show_progress(outcome["progress"])
        # A task that tells the same is for those who do without this callback.
        elif action in _DEBUG and "msg" in outcome and outcome["msg"] != self._progress:
            self._tell(result, _lines(outcome["msg"]), None)

    def v2_runner_on_skipped(self, result: Any) -> None:
        if not self._short:
            super().v2_runner_on_skipped(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not self._short:
            super().v2_runner_on_failed(result, ignore_errors)
            return
        if ignore_errors and _speaks_later(_task(result)):
            return
        outcome = _outcome(result)
        self._warn(outcome)
        self._tell(result, [*_lines(outcome.get("msg", "")), *_crash(outcome)], constants.COLOR_ERROR)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if not self._short:
            super().v2_runner_on_unreachable(result)
            return
        if _speaks_later(_task(result)):
            return
        text = " ".join(_lines(_outcome(result).get("msg", "")))
        self._say(result, f"cannot be reached: {text}", constants.COLOR_UNREACHABLE)

    def v2_on_file_diff(self, result: Any) -> None:
        if not self._short:
            super().v2_on_file_diff(result)
            return
        outcome = _outcome(result)
        text = self._get_diff(outcome["diff"]) if outcome.get("diff") and outcome.get("changed") else ""
        if text:
            self._say(result, "\n" + text.rstrip("\n"), None)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        if not self._short:
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        if not self._short:
            super().v2_runner_item_on_skipped(result)

    def v2_runner_retry(self, result: Any) -> None:
        # Whoever waits for something has not failed.
        if not self._short:
            super().v2_runner_retry(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        if not self._short:
            super().v2_runner_item_on_failed(result)
            return
        if _speaks_later(_task(result)):
            return
        self._say(result, "\n    ".join(_lines(_outcome(result).get("msg", ""))), constants.COLOR_ERROR)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if not self._short:
            super().v2_playbook_on_stats(stats)
            return
        self._flush()
        # A task that speaks for all hosts fails on the first of them only, so the number of failed hosts would mislead.
        hosts = [stats.summarize(host) for host in stats.processed]
        failed = any(counts["failures"] or counts["unreachable"] or counts["rescued"] for counts in hosts)
        changed = sum(1 for counts in hosts if counts["changed"])
        self._clear_progress()
        self._display.display(
            f"\n{'Failed' if failed else 'Done'}, {count(changed, 'host')} changed",
            color=constants.COLOR_ERROR if failed else constants.COLOR_OK,
        )

    def _tell(self, result: Any, lines: list[str], colour: str | None) -> None:
        if _task(result).run_once:
            # One voice for all: the sentences name the hosts that they are about.
            for line in lines:
                self._print(f"  {line}", colour)
        else:
            self._say(result, "\n    ".join(lines), colour)

    def _say(self, result: Any, text: str, colour: str | None) -> None:
        self._said.setdefault((text, colour), []).append(self.host_label(result))

    def _flush(self) -> None:
        # Hosts answer in any order; people look for names.
        for (text, colour), hosts in sorted(self._said.items(), key=lambda item: min(item[1])):
            separator = "" if text.startswith("\n") else " "
            self._print(f"  {names(sorted(hosts))}:{separator}{text}", colour)
        self._said = {}

    def _print(self, text: str, colour: str | None) -> None:
        self._clear_progress()
        if self._heading:
            self._display.display(self._heading, color=constants.COLOR_HIGHLIGHT)
            self._heading = ""
        self._display.display(text, color=colour)

    def _warn(self, outcome: Any) -> None:
        if outcome.get("warnings") or outcome.get("deprecations"):
            self._clear_progress()
        self._handle_warnings(outcome)

    # While a wave soaks

    def _show_progress(self, progress: str) -> None:
        self._progress = progress
        text = f"  {progress}"
        if self._heading or not self._is_live():
            self._print(text, None)
            return
        self._clear_progress()
        sys.stdout.write(text)
        sys.stdout.flush()
        self._progress_rows = -(-len(text) // shutil.get_terminal_size().columns)
        self._display.display(text, log_only=True)

    def _clear_progress(self) -> None:
        if self._progress_rows:
            up = f"\x1b[{self._progress_rows - 1}A" if self._progress_rows > 1 else ""
            sys.stdout.write(f"{up}\r\x1b[J")
            sys.stdout.flush()
            self._progress_rows = 0

    def _is_live(self) -> bool:
        """A terminal in front of somebody. ansible-runner, and so AWX, records what it pretends to be one for."""
        return (
            sys.stdout.isatty()
            and os.environ.get("TERM", "dumb") != "dumb"
            and "AWX_ISOLATED_DATA_DIR" not in os.environ
            and bool(self.get_option("live_progress"))
        )


def _outcome(result: Any) -> Any:
    # ansible-core 2.19 gave the attributes names without an underscore.
    return result.result if hasattr(result, "result") else result._result


def _task(result: Any) -> Any:
    return result.task if hasattr(result, "task") else result._task


def _speaks_later(task: Any) -> bool:
    """Whoever ignores both has a later task say what it means."""
    return bool(task.ignore_errors and task.ignore_unreachable)


def _lines(message: Any) -> list[str]:
    return [str(line) for line in message] if isinstance(message, list | tuple) else str(message).splitlines()


def _crash(outcome: Any) -> list[str]:
    """What a module that did not speak JSON left behind."""
    texts = [str(outcome.get(name) or "") for name in ("module_stderr", "module_stdout")]
    return "\n".join(texts).strip().splitlines()[-5:]
