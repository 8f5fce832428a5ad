"""A project of a user, and the command line as it is called there."""

import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_orchestrator.cli.main import main
from tests.runs.built import Runs


class Told(NamedTuple):
    """What a command said, and how it exited."""

    code: int
    out: str
    err: str


class Project:
    """A folder in which commands are called."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capsys = capsys

    def write(self, name: str, text: str = "") -> Path:
        """Write a file; the indentation that all its lines share is no part of it."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def call(self, *words: str) -> Told:
        """Call the command line in this process."""
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Told(code, *self._capsys.readouterr())


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    """A project whose rootdir is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    found = Project(tmp_path, capsys)
    found.write("pytest.ini", "[pytest]\n")
    return found


@pytest.fixture
def runs(project: Project) -> Runs:
    """The runs of the project: none yet."""
    return Runs(project.path)
