"""Output of commands: the width of the terminal, and a stdout that cannot be written."""

import argparse
import errno
import io
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from pytest_orchestrator.cli.arguments import say_wrapped, width_of
from tests.runs.built import Runs

RECIPE = "steps: [{name: one, type: shell, cmd: 'true'}]\n"


def _run(words: str, stdout: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell that redirects stdout."""
    return subprocess.run(
        f"{sys.executable} -m pytest_orchestrator {words} {stdout}",
        shell=True,
        executable="/bin/bash",
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a project with a recipe and two runs."""
    tmp_path.joinpath("pytest.ini").write_text("[pytest]\n")
    tmp_path.joinpath("x.yaml").write_text(RECIPE)
    Runs(tmp_path).history(1.0, 1.0)
    return tmp_path


@pytest.mark.measured
@pytest.mark.parametrize(
    ("stdout", "reason"),
    [(">/dev/full", os.strerror(errno.ENOSPC)), (">&-", "stdout is closed")],
)
@pytest.mark.parametrize(
    ("words", "who"),
    [
        ("--help", ""),
        ("--version", ""),
        ("compare", " compare"),
        ("graph x.yaml", " graph"),
        ("measurements", " measurements"),
        ("runs", " runs"),
        ("schema", " schema"),
        ("stats", " stats"),
        ("steps", " steps"),
        ("validate x.yaml", " validate"),
    ],
)
def test_stdout_that_cannot_be_written_is_an_error_of_one_line(
    words: str, who: str, stdout: str, reason: str, folder: Path
) -> None:
    done = _run(words, stdout, folder)

    assert (done.returncode, done.stderr) == (
        1,
        f"pytest-orchestrator{who}: the output cannot be written: {reason}\n",
    )


@pytest.mark.measured
def test_wrong_command_line_is_reported_when_stdout_is_closed(folder: Path) -> None:
    done = _run("schema nope", ">&-", folder)

    assert done.returncode == 2
    assert done.stderr.endswith("no schema 'nope'; there is recipe, report, run, station\n")


def test_the_width_is_that_of_the_terminal_unless_wide_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.delenv("COLUMNS", raising=False)
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        widths = []
        for columns in (93, 0):
            termios.tcsetwinsize(ours, (24, columns))
            widths.append([width_of(argparse.Namespace(wide=wide)) for wide in (False, True)])
        termios.tcsetwinsize(ours, (24, 93))
        monkeypatch.setattr(sys, "stdout", io.StringIO())  # captured, at a terminal
        widths.append([width_of(argparse.Namespace(wide=False))])
        monkeypatch.undo()
    os.close(ours)

    assert widths == [[93, None], [None, None], [None]]


def test_output_that_is_no_terminal_has_the_width_of_columns_or_no_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    args = argparse.Namespace(wide=False)
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        monkeypatch.setattr(sys, "__stdout__", file)
        for columns, width in (("", None), ("100", 100), ("none", None), ("0", None), ("-3", None)):
            monkeypatch.setenv("COLUMNS", columns)
            assert width_of(args) == width
        monkeypatch.delenv("COLUMNS")
        assert width_of(args) is None


def test_long_lines_are_broken_at_spaces_and_indented(capsys: pytest.CaptureFixture[str]) -> None:
    say_wrapped(["gain(channel)", "    used by recipes/a.yaml, recipes/b.yaml\x1b[2J", ""], 30)
    assert capsys.readouterr().out.splitlines() == [
        "gain(channel)",
        "    used by recipes/a.yaml,",
        "        recipes/b.yaml\\x1b[2J",
        "",
    ]
