"""Process state of a lane: only the variables that differ are set, and none is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.python_lane.item import apply_process_state

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def same_variables() -> Iterator[None]:
    """Restore the environment variables and the working folder after a test."""
    before, folder = dict(os.environ), Path.cwd()
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    os.chdir(folder)


def _apply(**env: str) -> None:
    request: dict[str, Any] = {"env": env, "cwd": str(Path.cwd()), "sys_path": list(sys.path)}
    apply_process_state(request)


def test_the_variables_are_those_of_the_last_request() -> None:
    _apply(HOME="/h", BENCH="1", GONE="x")
    _apply(HOME="/h", BENCH="2", NEW="y")

    assert dict(os.environ) == {"HOME": "/h", "BENCH": "2", "NEW": "y"}
    assert os.getenv("GONE") is None


def test_changes_of_an_imported_module_are_undone_by_the_same_request() -> None:
    _apply(HOME="/h", BENCH="1", KEPT="x")
    os.environ["BENCH"] = "of a module"
    os.environ["ADDED"] = "by a module"
    del os.environ["KEPT"]

    _apply(HOME="/h", BENCH="1", KEPT="x")

    assert dict(os.environ) == {"HOME": "/h", "BENCH": "1", "KEPT": "x"}


def test_equal_variables_are_not_set_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _apply(HOME="/h", BENCH="1")
    names: list[bytes] = []
    monkeypatch.setattr(os, "putenv", lambda name, _: names.append(name))

    _apply(HOME="/h", BENCH="2")

    assert names == [b"BENCH"]
