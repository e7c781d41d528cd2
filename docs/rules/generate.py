# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the pages of the rules beside it, from the rules' docstrings and their two examples.

`make pages` runs it.
"""

from __future__ import annotations

import importlib
import inspect
import pathlib
from typing import Any

import yaml
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules import fleet, registry

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "tests" / "unit" / "plugin_utils" / "rule_examples.yml"


def pages() -> dict[str, str]:
    """{file name: text}: one page a family, and an index."""
    examples = yaml.safe_load(EXAMPLES.read_text())
    package = registry.__name__.rsplit(".", 1)[0]
    written = {}
    index = ["# Rules", "", "What `sysctl_validate` looks at, family by family.", ""]
    for family in (*registry.FAMILIES, registry.FLEET):
        summary = _sentence(inspect.getdoc(importlib.import_module(f"{package}.{family}")) or "")
        rules = [rule for rule in (*registry.rules(), *fleet.RULES) if rule.id.startswith(f"{family}.")]
        lines = [f"# {family}", "", summary, ""]
        index += [f"## [{family}]({family}.md)", "", summary, "", "| rule | severity |", "|---|---|"]
        for rule in rules:
            index.append(f"| [{rule.id}]({family}.md#{rule.id.replace('.', '')}) | {rule.severity} |")
            lines += [
                f"## {rule.id}",
                "",
                f"Severity: {rule.severity}" + ("." if rule.waivable else ", not waivable."),
                "",
            ]
            lines += [rule.documentation, "", *_example("Speaks of:", examples[rule.id]["speaks"])]
            lines += [*_example("Is silent about:", examples[rule.id]["silent"])]
            lines += [f"Read: {'; '.join(rule.references)}", ""]
        index.append("")
        written[f"{family}.md"] = "\n".join(lines).rstrip() + "\n"
    written["README.md"] = "\n".join(index).rstrip() + "\n"
    return written


def _sentence(docstring: str) -> str:
    """What follows the family's name in its docstring."""
    text = docstring.partition(": ")[2].partition("\n\n")[0]
    return text[:1].upper() + text[1:]


def _example(title: str, example: dict[str, Any]) -> list[str]:
    shown = {name: value for name, value in example.items() if name != "severity"}
    return [title, "", "```yaml", yaml.safe_dump(shown, sort_keys=False, width=110).rstrip(), "```", ""]


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text)
