# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts for tests: namespaces of their own, or whole labs."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import controller
import labs
import namespace_host
import pytest
from namespace_host import Namespace

# Fixtures for whole labs.
lab_is_possible = labs.lab_is_possible
make_lab = labs.make_lab


@pytest.fixture(scope="session", autouse=True)
def _no_orphans() -> Iterator[None]:
    yield
    controller.end_orphans()


@contextlib.contextmanager
def new_namespace() -> Iterator[Namespace]:
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network and mount namespaces")
    with namespace_host.new_namespace() as namespace:
        yield namespace


@pytest.fixture
def netns() -> Iterator[Namespace]:
    """A fresh host of its own."""
    with new_namespace() as namespace:
        yield namespace


@pytest.fixture(scope="session")
def new_netns() -> Any:
    """For tests that need several hosts: `with new_netns() as host:`."""
    return new_namespace


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `interpreter` runs on the oldest and the newest Python that a managed host may have."""
    if "interpreter" in metafunc.fixturenames:
        metafunc.parametrize("interpreter", host_interpreters(), ids=lambda python: python.split("/")[-3] or "python")


def host_interpreters() -> list[str]:
    """The oldest and the newest from 3.6 on among the versions of pyenv; this one where there are none."""
    root = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv")
    found: dict[tuple[int, ...], str] = {}
    for python in root.glob("versions/3.*/bin/python"):
        numbers = python.parts[-3].split(".")
        if all(number.isdigit() for number in numbers) and int(numbers[1]) >= 6:
            found[tuple(map(int, numbers))] = str(python)
    return [found[min(found)], found[max(found)]] if found else [sys.executable]
