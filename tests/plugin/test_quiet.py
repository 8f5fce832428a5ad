"""Tests with the marker `quiet`, which assert times, run while no other test runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

ROOT = Path(__file__).parents[2]
_TESTS = """
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(3))
def test_loud(number):
    mine = Path(f"inside{number}")
    mine.touch()
    time.sleep(0.3)
    mine.unlink()


@pytest.mark.quiet
@pytest.mark.parametrize("number", range(3))
def test_quiet(number):
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        assert list(Path().glob("inside*")) == []
"""


def test_a_quiet_test_runs_while_no_other_does(project: Project) -> None:
    shutil.copy(ROOT / "conftest.py", project.path)
    project.write("pyproject.toml", "")
    project.ini("markers = quiet")
    project.write("test_x.py", _TESTS)

    result = project.spawn("-n", "2")

    assert result.parseoutcomes() == {"passed": 6}
