# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""form: whether the set says something that the kernel can take."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.nettune.kernel.plugins.plugin_utils.context import Context, integers
from ansible_collections.nettune.kernel.plugins.plugin_utils.parameters import Parameter
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.registry import Problem, rule
from ansible_collections.nettune.kernel.plugins.plugin_utils.rules.words import amount, duration
from ansible_collections.nettune.kernel.plugins.plugin_utils.settings import is_glob

_BOOLEANS = {"true": "1", "yes": "1", "on": "1", "enabled": "1", "false": "0", "no": "0", "off": "0", "disabled": "0"}
_PORTS = re.compile(r"(?:[0-9]{1,5}(?:-[0-9]{1,5})?(?:,[0-9]{1,5}(?:-[0-9]{1,5})?)*)?")
_KINDS = {
    dict: "a dictionary",
    list: "a list",
    tuple: "a list",
    bytes: "bytes",
    float: "a fraction",
    type(None): "nothing",
}


@rule("error", "sysctl.d(5)", waivable=False)
def empty_set(context: Context) -> Iterator[Problem]:
    """A set without a single key: most probably a variable that was not found where it was expected."""
    if not context.given.settings:
        yield Problem(
            (),
            "The sysctl set is empty.",
            "Nothing would be changed, and a rollout of nothing proves nothing.",
            "Give at least one key, for example tune_sysctl: {net.core.somaxconn: 4096}.",
        )


@rule("error", "sysctl.d(5)", waivable=False)
def invalid_key(context: Context) -> Iterator[Problem]:
    """A key that is no name below /proc/sys: empty, with spaces or control characters, or leading out of /proc/sys."""
    for setting in context.given.settings:
        if setting.problem is not None:
            yield Problem(
                (setting.written,),
                f"{setting.where}{setting.problem}.",
                "A key becomes a path below /proc/sys and a line of a file; this one would be another path or "
                "another line.",
                "Write the name as sysctl -a shows it, for example net.ipv4.tcp_fin_timeout.",
            )


@rule("error", "proc_sys(5)", waivable=False)
def value_type(context: Context) -> Iterator[Problem]:
    """A value that is neither a number nor a text: a list, a dictionary, nothing, a fraction."""
    for setting in context.given.settings:
        raw = setting.raw
        if setting.key is None or isinstance(raw, (bool, int, str)):
            continue
        kind = next((name for type_, name in _KINDS.items() if isinstance(raw, type_)), "not a number or a text")
        example = "4096 131072 16777216" if isinstance(raw, (list, tuple)) else "1"
        yield Problem(
            (setting.key,),
            f"{setting.where}The value of {setting.key} is {kind}.",
            "The kernel takes one line of text; what a structure would become there is a guess.",
            f'Write one number or one text, for example "{example}".',
        )


@rule("error", "proc_sys(5)", waivable=False)
def unsafe_value(context: Context) -> Iterator[Problem]:
    """A text with a newline, a NUL or another control character, or a number that no sysctl is as large as."""
    for setting in context.given.settings:
        if setting.key is not None and setting.value is None and isinstance(setting.raw, (int, str)):
            yield Problem(
                (setting.key,),
                f"{setting.where}The value of {setting.key} is not one printable line.",
                "A newline would be another setting in the file, and the kernel stops reading at a NUL.",
                "Write the value on one line, without control characters.",
            )


@rule("error", "sysctl.d(5)")
def conflict(context: Context) -> Iterator[Problem]:
    """One key twice with different values, perhaps in its two spellings a.b and a/b."""
    yield from _repeated(
        context,
        same=False,
        reason="The last one would win, by the accident of order.",
        fix="Keep the line that you mean.",
    )


# Two names of one number.
_ALIASES = (
    ("net.nf_conntrack_max", "net.netfilter.nf_conntrack_max"),
    ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"),
)


@rule("error", "proc_sys(5)", keys=[alias for alias, _key in _ALIASES])
def conflicting_names(context: Context) -> Iterator[Problem]:
    """Different values for two names of one and the same number, such as net.nf_conntrack_max and
    net.netfilter.nf_conntrack_max.
    """
    for one, other in _ALIASES:
        if context.sets(one) and context.sets(other) and context.number(one) != context.number(other):
            yield Problem(
                (one, other),
                f"{one} = {context.proposed[one]:.80} and {other} = {context.proposed[other]:.80} are two names of one "
                "number.",
                "The one that is written last wins, by the accident of order.",
                f"Keep {other} and leave the other line out.",
            )


@rule("warning", "sysctl.d(5)")
def duplicate(context: Context) -> Iterator[Problem]:
    """One key twice with the same value, perhaps in its two spellings a.b and a/b."""
    yield from _repeated(
        context,
        same=True,
        reason="The next change will reach only one of the two lines.",
        fix="Keep one of them.",
    )


def _repeated(context: Context, same: bool, reason: str, fix: str) -> Iterator[Problem]:
    for key, settings in context.given.repeated.items():
        if (len({setting.value for setting in settings}) == 1) is same:
            listed = " and ".join(
                f"{setting.where}{setting.written} = {setting.value or '?':.60}" for setting in settings
            )
            yield Problem((key,), f"{key} is set {len(settings)} times: {listed}.", reason, fix)


@rule("error", "Documentation/admin-guide/sysctl/net.rst")
def unknown_key(context: Context) -> Iterator[Problem]:
    """A key that neither the live host nor the catalogue knows, with the known name that is nearest to it.

    Outside net the catalogue is not complete: there it is a warning.
    """
    for setting in context.given.settings:
        key = setting.key
        if key is None or key in context.tolerated or context.facts.has(key) or context.catalogue.find(key):
            continue
        if is_glob(key):
            message = f"{setting.where}{key} matches no key that is known of this host."
        else:
            message = f"{setting.where}{key} is not a sysctl that the kernel has or had."
        nearest = None if is_glob(key) else context.catalogue.nearest(key, context.facts.sysctl)
        yield Problem(
            (key,),
            message,
            "The catalogue does not hold it"
            + (", nor does /proc/sys here." if context.facts.has(key) is False else "."),
            f"Did you mean {nearest}?" if nearest else "Look the name up with sysctl -a on the host.",
            severity="error" if key.startswith("net.") and not setting.ignore_errors else "warning",
        )


@rule("error", "proc_sys(5)")
def boolean_word(context: Context) -> Iterator[Problem]:
    """A truth value in words, or a YAML boolean, where the kernel wants 0 or 1."""
    for setting in context.given.settings:
        if setting.key is None or setting.value is None:
            continue
        number = _BOOLEANS.get(setting.value.lower())
        parameter = context.catalogue.find(setting.key)
        if number is not None and (isinstance(setting.raw, bool) or parameter is None or parameter.numeric):
            yield Problem(
                (setting.key,),
                f"{setting.where}{setting.key} = {setting.value}: the kernel takes numbers, not words.",
                "The write would be refused with EINVAL.",
                f"Write {setting.key} = {number} instead.",
            )


# Numbers, and behind them what begins a remark: a sign for it, or a letter of a language that has its own.
_REMARK = re.compile(r"([-\d\s]*\d)\s*(?:[#;]|//|[^\x00-\x7f])")


@rule("error", "proc_sys(5)")
def not_a_number(context: Context) -> Iterator[Problem]:
    """Something else than decimal integers for a parameter that holds such.

    Hexadecimal and octal read back in decimal, so that a written value would not equal the live one; 010 is 8 to the
    kernel.
    """
    for key, value, parameter, numbers in context.numeric:
        if numbers is not None or value.lower() in _BOOLEANS:
            continue
        remark = _REMARK.match(value)
        meant = integers(remark.group(1)) if remark else None
        yield Problem(
            (key,),
            f"{key} = {value!r:.80} is not {_wanted(parameter)}.",
            "A sysctl.d file has no remarks behind a value: they become a part of it, and the write is reported as "
            "failed."
            if remark or "#" in value or ";" in value
            else "The kernel would refuse it, or read it as another number than a person does.",
            f"Write {key} = {' '.join(map(str, meant))}, and the remark on a line of its own."
            if meant
            else f"Write decimal digits only, for example {key} = {_example(context, key, parameter)} instead.",
        )


@rule("error", "proc_sys(5)")
def arity(context: Context) -> Iterator[Problem]:
    """Too few or too many numbers, such as one for the triple tcp_rmem."""
    for key, value, parameter, numbers in context.numeric:
        if numbers is not None and len(numbers) != parameter.values:
            yield Problem(
                (key,),
                f"{key} = {value:.80} has {len(numbers)} {_plural(len(numbers), 'number')}; it holds "
                f"{_wanted(parameter)}.",
                "The kernel ignores what is too many, and leaves the rest as it is where there are too few.",
                f"Write {key} = {_example(context, key, parameter)} instead.",
            )


@rule("error", "proc_sys(5)")
def out_of_range(context: Context) -> Iterator[Problem]:
    """A number that the kernel refuses, or that does not fit its type."""
    for key, value, parameter, numbers in context.numeric:
        if not numbers:
            continue
        low, high = parameter.accepted(context.facts.kernel)
        outside = [number for number in numbers if not low <= number <= high]
        if outside:
            yield Problem(
                (key,),
                f"{key} = {value:.80}: {outside[0]} is outside {low}..{high}{_in_unit(parameter)}.",
                f"Kernel {context.facts.kernel.release} refuses it with EINVAL (by the catalogue).",
                f"Write a number from {low} to {high}{_now(context, key)}.",
            )


@rule("warning", "Documentation/networking/ip-sysctl.rst")
def without_meaning(context: Context) -> Iterator[Problem]:
    """A number that the kernel accepts although only a few have a meaning, such as tcp_sack = 7."""
    for key, _value, parameter, numbers in context.numeric:
        number = numbers[0] if numbers and len(numbers) == 1 else None
        # timewait.timestamps_value has more to say of this one.
        if number is None or parameter.sensible is None or key == "net.ipv4.tcp_timestamps":
            continue
        low, high = parameter.sensible[0] or 0, parameter.sensible[1]
        limits = parameter.accepted(context.facts.kernel)
        if high is not None and not low <= number <= high and limits[0] <= number <= limits[1]:
            yield Problem(
                (key,),
                f"{key} = {number}: only {low} to {high} mean anything.",
                f"The kernel takes it without a word. {parameter.summary}",
                f"Write a number from {low} to {high}{_now(context, key)}.",
            )


# Key -> the most seconds that anybody means; more were milliseconds.
_SECONDS = {
    "net.ipv4.tcp_fin_timeout": 900,
    "net.ipv4.tcp_keepalive_time": 172800,
    "net.ipv4.tcp_keepalive_intvl": 7200,
    "net.netfilter.nf_conntrack_tcp_timeout_established": 4320000,
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait": 7200,
    "net.netfilter.nf_conntrack_tcp_timeout_fin_wait": 7200,
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait": 14400,
    "net.netfilter.nf_conntrack_udp_timeout": 7200,
    "net.netfilter.nf_conntrack_generic_timeout": 43200,
}
# Key -> the fewest milliseconds; less were seconds.
_MILLISECONDS = {
    "net.ipv4.tcp_tw_reuse_delay": 50,
    "net.ipv4.neigh.default.base_reachable_time_ms": 1000,
    "net.ipv4.neigh.default.retrans_time_ms": 50,
    "net.ipv6.neigh.default.base_reachable_time_ms": 1000,
    "net.ipv6.neigh.default.retrans_time_ms": 50,
}
# Keys whose last number is bytes; less than this were KiB or MiB.
_BYTES = (
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.rmem_default",
    "net.core.wmem_default",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)
_FEWEST_BYTES = 16384
# More pages than any host has had: 1 TiB at 4 KiB each. Where memory is known, family buffers says it exactly.
_PAGES = ("net.ipv4.tcp_mem", "net.ipv4.udp_mem")
_MOST_PAGES = 2**28


@rule("warning", "Documentation/networking/ip-sysctl.rst", keys=(*_SECONDS, *_MILLISECONDS, *_BYTES, *_PAGES))
def unit_mistaken(context: Context) -> Iterator[Problem]:
    """A number that only makes sense in another unit than the key has: milliseconds where seconds are meant, KiB where
    bytes are, bytes where pages are.
    """
    for key in context.proposed:
        numbers = context.numbers(key)
        if not numbers or numbers[-1] <= 0:
            continue
        number = numbers[-1]
        if key in _SECONDS and number > _SECONDS[key]:
            unit, means, other, write = "seconds", duration(min(number, 10**12)), "milliseconds", number // 1000
        elif key in _MILLISECONDS and number < _MILLISECONDS[key]:
            unit, means, other, write = "milliseconds", f"{number} ms", "seconds", number * 1000
        elif key in _BYTES and number < _FEWEST_BYTES and not _held(context, key, number):
            unit, means, other, write = "bytes", f"{number} bytes", "KiB", number * 1024
        elif key in _PAGES and number > _MOST_PAGES and context.facts.memory_bytes is None and number < 2**63:
            page = context.facts.page_size
            unit, means, other, write = f"pages of {page} bytes", amount(number * page), "bytes", number // page
        else:
            continue
        yield Problem(
            (key,),
            f"{key} = {context.proposed[key]:.80}: the unit is {unit}, so {number} is {means}.",
            f"As a number of {other} it would be a common value.",
            f"Write {write} there if {other} were meant{_now(context, key)}.",
        )


def _held(context: Context, key: str, number: int) -> bool:
    """Whether the host lives with as little already."""
    now = integers(context.now(key))
    return now is not None and number >= now[-1]


@rule("error", "Documentation/networking/ip-sysctl.rst")
def order(context: Context) -> Iterator[Problem]:
    """Numbers of a list in the wrong order: least, default, most of a buffer; the pressure levels of tcp_mem; the ends
    of a range.
    """
    for key, value, parameter, numbers in context.numeric:
        if (
            parameter.value_names
            and numbers is not None
            and len(numbers) == parameter.values
            and list(numbers) != sorted(numbers)
        ):
            names = " <= ".join(parameter.value_names)
            yield Problem(
                (key,),
                f"{key} = {value:.80} is not in the order {names}.",
                "The kernel refuses a range that ends before it begins."
                if parameter.values == 2
                else "The kernel does not check the order; the last number would limit less than the first grants.",
                f"Write {key} = {' '.join(str(number) for number in sorted(numbers))} instead.",
            )


@rule("error", "proc_sys(5)")
def beyond_another_key(context: Context) -> Iterator[Problem]:
    """A number that the kernel holds against another key, and refuses: a fragment threshold above the other one, an
    unprivileged port above the first local port.
    """
    for key, value, parameter, numbers in context.numeric:
        # ports.range_below_unprivileged has more to say of that one.
        if not numbers or key == "net.ipv4.ip_local_port_range":
            continue
        for other, below in ((parameter.not_below, True), (parameter.not_above, False)):
            limits = integers(context.after(other)) if other else None
            if other is None or not limits or (numbers[0] >= limits[0] if below else numbers[0] <= limits[0]):
                continue
            yield Problem(
                (key, other) if context.sets(other) else (key,),
                f"{key} = {value:.80} is {'below' if below else 'above'} {other} = {context.after(other)}: the write "
                "fails with EINVAL.",
                f"The kernel holds the two against each other. {parameter.summary}".strip(),
                f"Write {key} = {limits[0]} or {'more' if below else 'less'}, or change {other} in the same set.",
            )


@rule("error", "Documentation/networking/ip-sysctl.rst")
def port_list(context: Context) -> Iterator[Problem]:
    """Something else than ports and ranges of ports, separated by commas."""
    for key, value, parameter in context.textual:
        if parameter.type != "ranges" or not key.endswith("_ports"):
            continue
        ports = [int(port) for port in re.findall(r"[0-9]+", value)] if _PORTS.fullmatch(value) else [-1]
        if any(not 0 <= port <= 65535 for port in ports):
            yield Problem(
                (key,),
                f"{key} = {value!r:.80} is not a list of ports.",
                "The kernel refuses it with EINVAL.",
                f"Write it like {key} = 8080,9000-9010, without blanks.",
            )


@rule("error", "sysctl.d(5)")
def comment_in_text(context: Context) -> Iterator[Problem]:
    """A comment after a text: the kernel takes it as a part of the name."""
    for key, value, parameter in context.textual:
        if parameter.type == "text" and re.search(r"\s[#;]", value):
            yield Problem(
                (key,),
                f"{key} = {value!r:.80}: the comment would be a part of the value.",
                "A sysctl.d file has comments only on lines of their own.",
                f"Write {key} = {value.split()[0]} and the comment on a line before it.",
            )


@rule("warning", "Documentation/networking/ip-sysctl.rst")
def trigger(context: Context) -> Iterator[Problem]:
    """A file that does something when it is written and holds no value, such as route.flush."""
    for key, _value, parameter in context.textual:
        if parameter.type == "trigger":
            yield Problem(
                (key,),
                f"{key} is a trigger, not a setting.",
                "It acts once when written, cannot be read back, and would act again at each boot.",
                "Leave it out; where the action is wanted, run it as a task of its own.",
            )


def _wanted(parameter: Parameter) -> str:
    if parameter.values == 1:
        return "a decimal integer"
    names = f" ({', '.join(parameter.value_names)})" if parameter.value_names else ""
    return f"{parameter.values} decimal integers{names}"


def _example(context: Context, key: str, parameter: Parameter) -> str:
    known = context.now(key) or parameter.default
    if known:
        return known
    if parameter.values > 1:
        return " ".join(["4096", "131072", "6291456", "1"][: parameter.values])
    digits = re.match(r"[0-9]+", context.proposed[key])
    return digits.group() if digits else "1"


def _now(context: Context, key: str) -> str:
    now = context.now(key)
    return f"; it is {now} now" if now else ""


def _in_unit(parameter: Parameter) -> str:
    return f" {parameter.unit}" if parameter.unit else ""


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else noun + "s"
