# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts in files: there and back, the three shapes, and what is no file of facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nettune.kernel.plugins.plugin_utils import stored_facts
from ansible_collections.nettune.kernel.plugins.plugin_utils.findings import UnusableRequest

FACTS: dict[str, Any] = {"kernel": {"release": "6.1.0"}, "sysctl": {"net.core.somaxconn": "4096"}}


@pytest.mark.parametrize("host", ["web1", "web1.example.com", "2001:db8::1", "../../etc/passwd", "a b%2F", ".."])
def test_there_and_back_in_the_folder(tmp_path: Path, host: str) -> None:
    path, changed = stored_facts.write(str(tmp_path / "facts"), host, FACTS)
    assert changed
    assert path.resolve().parent == tmp_path / "facts"
    assert stored_facts.read(str(tmp_path / "facts"), host) == FACTS
    assert stored_facts.write(str(tmp_path / "facts"), host, FACTS) == (path, False)
    assert stored_facts.write(str(tmp_path / "facts"), host, {**FACTS, "cpus": 2}) == (path, True)
    assert [item.name for item in (tmp_path / "facts").iterdir()] == [path.name]


@pytest.mark.parametrize("shape", [FACTS, {"nettune": FACTS}, {"ansible_facts": {"nettune": FACTS, "os": 1}}])
def test_shapes(tmp_path: Path, shape: dict[str, Any]) -> None:
    (tmp_path / "web1.json").write_text(json.dumps(shape))
    assert stored_facts.read(str(tmp_path), "web1") == FACTS


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "web1.json does not exist"),
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100000, "nested too deep"),
        (b"[]", "no facts"),
        (b'{"ansible_facts": {}}', "no facts"),
        (b'{"ansible_facts": null, "nettune": 3}', "no facts"),
    ],
)
def test_refused_in_one_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "web1.json").write_bytes(content)
    with pytest.raises(UnusableRequest, match=sentence) as refused:
        stored_facts.read(str(tmp_path), "web1")
    assert "\n" not in str(refused.value)
