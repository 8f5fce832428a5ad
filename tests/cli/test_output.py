"""Stdout of the command line when it cannot be written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
