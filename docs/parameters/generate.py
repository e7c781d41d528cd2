# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the pages of the parameters beside it, from the catalogue.

`make pages` runs it.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import Parameter, catalogue

HERE = pathlib.Path(__file__).resolve().parent
CATALOGUE = HERE.parents[1] / "plugins" / "plugin_utils" / "catalogue"

INDEX = """# Parameters

What the catalogue knows of every network sysctl, family by family; look for a name on this page, or search the folder.
A `*` stands for one component: an interface, `all` or `default`, or a protocol. The pages are generated from
[the catalogue](../../plugins/plugin_utils/catalogue/README.md).

Whether it is right about your kernel, that kernel says itself: `python3 tools/referee`, run as root from a checkout,
tries every key of a network namespace of its own and prints what differs. On a host without PyYAML or with an old
Python, `python3 tools/referee --record > answers.json` asks, and `python3 tools/referee --judge answers.json` judges
elsewhere.
"""

TYPES = {
    "int": "whole number, 32 bits with sign",
    "uint": "whole number, 32 bits without sign",
    "long": "whole number, 64 bits with sign",
    "ulong": "whole number, 64 bits without sign",
    "text": "text",
    "ranges": "list of ranges such as 1-3,7",
    "trigger": "nothing: writing it acts",
}
STORED = {
    "jiffies": "The kernel counts it in ticks of its clock, and so refuses more than fits 32 bits of ticks.",
    "milliseconds": "The kernel rounds it up to ticks of its clock, and shows it so.",
    "clock_ticks": "The kernel rounds it to ticks of its clock, and shows it so.",
    "boolean": "The kernel makes 1 of anything but 0.",
}


def pages() -> dict[str, str]:
    """{file name: text}: one page a family, and an index."""
    written = {}
    index = [INDEX]
    for path in sorted(CATALOGUE.glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        title = re.findall(r"^# (.*)\.$", text, re.MULTILINE)[0]
        names = list(yaml.safe_load(text))
        lines = [f"# {path.stem}", "", f"{title}.", ""]
        index += [f"## [{path.stem}]({path.stem}.md)", "", f"{title}.", ""]
        for name in names:
            parameter = catalogue().find(name)
            assert parameter is not None
            index.append(f"- [{name}]({path.stem}.md#{anchor(name)})")
            lines += entry(parameter)
        index.append("")
        written[f"{path.stem}.md"] = "\n".join(lines).rstrip() + "\n"
    written["README.md"] = "\n".join(index).rstrip() + "\n"
    return written


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def entry(parameter: Parameter) -> Iterator[str]:
    yield from (f"## {parameter.name.replace('*', chr(92) + '*')}", "", parameter.summary, "")
    for name, text in facts(parameter):
        yield f"- {name}: {text}"
    for hazard in parameter.hazards:
        yield f"- **Mind:** {hazard}"
    if parameter.unsure:
        yield f"- Unsure: {parameter.unsure}"
    yield f"- Read: {'; '.join(parameter.source)}"
    yield ""


def facts(parameter: Parameter) -> Iterator[tuple[str, str]]:
    yield "Holds", holds(parameter)
    if parameter.numeric and not parameter.read_only:
        yield "Kernel takes", taken(parameter)
    if parameter.sensible:
        yield "Has a meaning", span(parameter.sensible)
    if parameter.default is not None or parameter.default_from:
        yield "Default", default(parameter)
    where = existence(parameter)
    if where:
        yield "Kernels", where
    if parameter.netns is not None:
        yield "Each network namespace has its own", scope(parameter.netns)
    if parameter.visible:
        yield "Namespaces show the machine's", scope(parameter.visible)
    if parameter.no_effect:
        yield "Without effect", f"from {parameter.no_effect['first']} on"
    for name, values in (
        ("Only in kernels of", parameter.vendor),
        ("Is now", [parameter.renamed_to] if parameter.renamed_to else []),
        ("Limited by", parameter.capped_by),
        ("Changes", parameter.resets),
    ):
        if values:
            yield name, ", ".join(f"`{value}`" for value in values)


def holds(parameter: Parameter) -> str:
    text = TYPES[parameter.type]
    if parameter.values > 1:
        text = f"{parameter.values} of: {text}"
        if parameter.value_names:
            text += f" ({', '.join(parameter.value_names)})"
    if parameter.unit:
        text += f", in {parameter.unit}"
    return text + (", read-only" if parameter.read_only else "")


def taken(parameter: Parameter) -> str:
    text = span(parameter.range) if parameter.range else "whatever fits"
    before = parameter.range_before
    if before:
        text += f"; up to {before['last']}, {span(before['range'])}"
    for word, other in (("below", parameter.not_below), ("above", parameter.not_above)):
        if other:
            text += f"; not {word} `{other}`"
    if parameter.unordered:
        text += "; not in descending order" if parameter.unordered == "refused" else "; descending order empties it"
    return text + "." + (f" {STORED[parameter.stored]}" if parameter.stored else "")


def span(ends: Any) -> str:
    low, high = ends
    if low is None and high is None:
        return "whatever fits"
    if high is None:
        return f"{low} and more"
    return f"up to {high}" if low is None else f"{low} to {high}"


def default(parameter: Parameter) -> str:
    texts = []
    if parameter.default is not None:
        texts.append(f"`{parameter.default}`" if parameter.default else "empty")
    before = parameter.default_before
    if before and before["default"] is not None:
        texts.append(f"up to {before['last']}, `{before['default']}`")
    texts += [f"for {component}, `{value}`" for component, value in parameter.default_of.items()]
    if parameter.default_from:
        texts.append(f"depends on {parameter.default_from}")
    return "; ".join(texts)


def existence(parameter: Parameter) -> str:
    kernels, texts = parameter.kernels, []
    if "first" in kernels:
        texts.append(f"from {kernels['first']}{'' if 'not_in' in kernels else ' or before'} on")
    if "not_in" in kernels:
        texts.append(f"not in {kernels['not_in']}")
    if "last" in kernels:
        texts.append(f"last seen in {kernels['last']}")
    if "gone_in" in kernels:
        texts.append(f"gone in {kernels['gone_in']}")
    if parameter.el:
        texts.append("Enterprise Linux " + " and ".join(map(str, parameter.el)))
    if parameter.needs:
        texts.append(f"with `{parameter.needs}`")
    return ", ".join(texts)


def scope(value: str | Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    return f"from {value['first']} on, not in {value['not_in']}"


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
