# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Python 2 has to read before it can be told that it is too old: plain enough for it.

Here by the syntax alone; `make test-matrix` has a Python 2.7 run it.
"""

from __future__ import annotations

import ast

import pytest

SENTENCE = "plugins/module_utils/_modern_python.py"
MODULES = ["net_facts", "rollout_probe", "sysctl_trial", "sysctl_trial_info"]
# The same in both languages. Anything else is looked at by whoever needs it, and then added here.
PLAIN = (
    *(ast.Module, ast.Expr, ast.Assign, ast.Name, ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Subscript),
    *(ast.Import, ast.ImportFrom, ast.alias, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.If, ast.Try),
    *(ast.ExceptHandler, ast.Call, ast.keyword, ast.Attribute, ast.Compare, ast.BinOp, ast.UnaryOp, ast.operator),
    *(ast.unaryop, ast.cmpop, ast.expr_context),
)


@pytest.mark.parametrize("path", [SENTENCE, *(f"plugins/modules/{name}.py" for name in MODULES)])
def test_python_2_can_read_it(root, path):
    source = (root / path).read_text()
    assert source.isascii(), "Python 2 wants the encoding named"
    for node in ast.walk(ast.parse(source)):
        where = f"line {getattr(node, 'lineno', '?')}: {ast.dump(node)[:80]}"
        assert isinstance(node, PLAIN), where
        if isinstance(node, ast.FunctionDef | ast.arg):
            assert (node.returns if isinstance(node, ast.FunctionDef) else node.annotation) is None, where
        if isinstance(node, ast.arguments):
            assert not node.kwonlyargs + node.posonlyargs, where


@pytest.mark.parametrize("name", MODULES)
def test_nothing_else_is_imported_before(root, name):
    """Whatever else a module needs, it imports behind open_module()."""
    tree = ast.parse((root / "plugins" / "modules" / f"{name}.py").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [node.module.rpartition(".")[2] for node in imports] == ["_modern_python"]
    (main,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    kinds = [ast.unparse(statement).partition("(")[0] for statement in main.body]
    assert kinds[0] == "module = open_module"


def test_every_module_of_hosts_is_among_them(root):
    folder = root / "plugins" / "modules"
    assert sorted(path.stem for path in folder.glob("*.py") if "_modern_python" in path.read_text()) == MODULES
