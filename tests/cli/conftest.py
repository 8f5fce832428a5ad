"""A project of a user, in which tests call the command line."""

import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_orchestrator.cli.main import main
from tests.runs.built import Runs


class Completed(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


class Project:
    """A folder in which tests call commands."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capsys = capsys

    def write(self, name: str, text: str = "") -> Path:
        """Write a file; the common indentation of its lines is removed."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def call(self, *words: str) -> Completed:
        """Run a command in this process."""
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Completed(code, *self._capsys.readouterr())


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    """Return a project whose rootdir is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    created = Project(tmp_path, capsys)
    created.write("pytest.ini", "[pytest]\n")
    return created


@pytest.fixture
def runs(project: Project) -> Runs:
    """Return the builder of the project's runs, which has made none yet."""
    return Runs(project.path)
