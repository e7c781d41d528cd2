# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of hosts in files, one JSON file a host, for validation without hosts."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.nettune.kernel.plugins.plugin_utils.atomic_file import replacing
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import UnusableRequest

# What a host's name may hold without being quoted in the name of its file; the slash is not among it.
_PLAIN = ":@+,=[]~ "


def path_of(directory: str, host: str) -> Path:
    return Path(directory).expanduser() / (urllib.parse.quote(host, safe=_PLAIN) + ".json")


def read(directory: str, host: str) -> dict[str, Any]:
    """The facts of one host. Raises UnusableRequest."""
    path = path_of(directory, host)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableRequest(
            f"there are no stored facts: {path} does not exist; tune_store_facts_dir stores what a host says"
        ) from None
    except OSError as problem:
        raise UnusableRequest(f"stored facts cannot be read: {path}: {problem.strerror}") from None
    except RecursionError:
        raise UnusableRequest(f"stored facts are no JSON: {path}: it is nested too deep") from None
    except ValueError as problem:
        raise UnusableRequest(f"stored facts are no JSON: {path}: {problem}") from None
    facts = bare(stored)
    if facts is None:
        raise UnusableRequest(f"{path} holds no facts of nettune.kernel.net_facts: there is no kernel in it")
    return facts


def bare(stored: object) -> dict[str, Any] | None:
    """The facts themselves, out of any of the three shapes in which they are kept."""
    for name in ("ansible_facts", "nettune"):
        if isinstance(stored, Mapping) and isinstance(stored.get(name), Mapping):
            stored = stored[name]
    return dict(stored) if isinstance(stored, Mapping) and "kernel" in stored else None


def write(directory: str, host: str, facts: Mapping[str, Any]) -> tuple[Path, bool]:
    """The file, and whether it differs from what was there."""
    path = path_of(directory, host)
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    try:
        if path.read_text(encoding="utf-8") == text:
            return path, False
    except (OSError, ValueError):
        pass
    with replacing(path) as stream:
        stream.write(text)
    return path, True
