"""Requirements of a recipe: extras, programs and a terminal."""

from pathlib import Path

import pytest

from pytest_orchestrator.core import extras
from pytest_orchestrator.execution.requirements import missing_requirement
from pytest_orchestrator.recipe.model.root_mappings import Requires


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with the program `flash`, below a rootdir with `tools/erase`."""
    for name, mode in (("bin/flash", 0o755), ("tools/erase", 0o755), ("tools/notes", 0o644)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(
        "pytest_orchestrator.core.extras.EXTRAS", {"xdist": ("xdist",), "visa": ("no_such_visa",)}
    )
    return tmp_path


@pytest.mark.parametrize(
    ("requires", "reason"),
    [
        (Requires(), None),
        (Requires(extras=("xdist",), programs=("flash", "tools/erase"), terminal=True), None),
        (
            Requires(extras=("xdist", "visa")),
            "extra 'visa' is not installed (pip install 'pytest-orchestrator[visa]')",
        ),
        (Requires(programs=("flash", "dfu-util")), "program 'dfu-util' is not on PATH"),
        (
            Requires(programs=("tools/notes",)),
            "program 'tools/notes' is no program that can be run",
        ),
    ],
)
def test_the_first_missing_requirement_is_named(
    programs: Path, requires: Requires, reason: str | None
) -> None:
    assert "visa" in extras.EXTRAS
    assert missing_requirement(requires, programs, lambda: True) == reason


def test_a_missing_terminal_is_a_missing_requirement(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    reason = "the session has no terminal at which a person can answer"
    assert missing_requirement(Requires(terminal=True), programs, lambda: False) == reason
    monkeypatch.setenv("CI", "true")
    reason = "CI is set, so no person is asked"
    assert missing_requirement(Requires(terminal=True), programs, lambda: False) == reason


def test_requirements_of_two_files_are_joined() -> None:
    one = Requires(extras=("http",), programs=("a", "b"))
    other = Requires(extras=("http", "dask"), programs=("b",), terminal=True)
    assert one.joined(other) == Requires(
        extras=("http", "dask"), programs=("a", "b"), terminal=True
    )
