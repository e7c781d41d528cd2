# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What docs/safety.md names as proof exists: files, tests in them, Molecule scenarios, targets of make."""

from __future__ import annotations

import re


def rows(root):
    for line in (root / "docs/safety.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if (
            line.startswith("|")
            and len(cells) == 3
            and not set(cells[0]) <= {"-"}
            and cells[2] != "broken on purpose in"
        ):
            yield cells


def test_every_promise_has_a_failure_and_a_test_that_exists(root):
    files = {
        path.name: path for path in root.glob("tests/**/test_*.py") if path.parent.name in ("trial", "module_utils")
    }
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    proofs = 0
    for promise, failure, proof in rows(root):
        assert failure, promise
        source = ""
        for name in re.findall(r"`([^`]+)`", proof):
            if name.endswith(".py"):
                path = root / name if "/" in name else files[name]
                source = path.read_text(encoding="utf-8")
            elif name.startswith("test_"):
                assert f"def {name}(" in source, f"{name} is not in the file named before it"
            elif name.startswith("make "):
                assert re.search(f"^{name.split()[1]}:", makefile, re.MULTILINE), name
            elif name == "left_behind":
                continue
            else:
                assert (root / "molecule" / name).is_dir(), name
            proofs += 1
    assert proofs >= 25
