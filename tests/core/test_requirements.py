"""Requirements of a recipe: extras, programs and a terminal."""

from pathlib import Path

import pytest

from pytest_orchestrator.core import extras
from pytest_orchestrator.core.extras import missing_requirement


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
    ("names", "files", "reason"),
    [
        ((), (), None),
        (("xdist",), ("flash", "tools/erase"), None),
        (
            ("xdist", "visa"),
            (),
            "extra 'visa' is not installed (pip install 'pytest-orchestrator[visa]')",
        ),
        ((), ("flash", "dfu-util"), "program 'dfu-util' is not on PATH"),
        (
            (),
            ("tools/notes",),
            "program 'tools/notes' is no program that can be run",
        ),
    ],
)
def test_the_first_missing_requirement_is_named(
    programs: Path, names: tuple[str, ...], files: tuple[str, ...], reason: str | None
) -> None:
    assert "visa" in extras.EXTRAS
    assert missing_requirement(names, files, programs, lambda: True) == reason


def test_a_missing_terminal_is_a_missing_requirement(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    reason = "the session has no terminal at which a person can answer"
    assert missing_requirement((), (), programs, lambda: False) == reason
    assert missing_requirement((), (), programs, None) is None
    monkeypatch.setenv("CI", "true")
    reason = "CI is set, so no person is asked"
    assert missing_requirement((), (), programs, lambda: False) == reason
