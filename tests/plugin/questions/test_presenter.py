"""`--recipe-ask` at a pseudo-terminal: wrong values, several recipes, workers, and no terminal."""

from __future__ import annotations

import os
import pty
import time
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.files import is_readable
from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

ASKS = """
inputs:
  serial: {pattern: 'SN[0-9]+', description: As printed.}
  volts: {type: number, max: 30, unit: V}
  pin: {secret: true, required: false}
steps:
  - name: show
    type: shell
    parse: text
    cmd: [echo, "${{ vars.serial }}", "${{ vars.volts }}"]
"""


def at_terminal(project: Project, lines: list[tuple[str, str]], *options: str) -> tuple[int, str]:
    """Run pytest at a pseudo-terminal; type each line once its prompt is shown."""
    pid, end = pty.fork()
    if pid == 0:
        os.chdir(project.path)
        environ = {name: value for name, value in os.environ.items() if name != "CI"}
        command = [*PYTEST, "--recipe-ask", *options]
        os.execve(command[0], command, environ | {"COLUMNS": "80"})
    seen, left, deadline = "", list(lines), time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, seen
        if not is_readable(end, 0.1):
            continue
        try:
            seen += os.read(end, 10_000).decode().replace("\r\n", "\n")
        except OSError:  # the other end is closed
            break
        if left and left[0][0] in seen:
            prompt, line = left.pop(0)
            seen = seen.replace(prompt, f"({prompt})")
            os.write(end, f"{line}\n".encode())
    os.close(end)
    assert not left, seen
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


@pytest.mark.parametrize("more", [[], ["-n2"]])
def test_missing_inputs_are_asked_once_with_their_rules(project: Project, more: list[str]) -> None:
    project.write("recipes/a.yaml", ASKS)
    project.write(
        "recipes/b.yaml",
        ASKS.replace("volts: {type: number", "volts: {type: json").replace(
            ", max: 30, unit: V", ""
        ),
    )
    status, seen = at_terminal(
        project,
        [
            ("serial> ", "X1"),
            ("'serial' should match SN[0-9]+", "SN1"),
            ("volts> ", "31"),
            ("'volts' should be at most 30 V", "3.5 V"),
        ],
        *more,
    )

    assert status == 0, seen
    assert "recipes/a.yaml needs 2 inputs." in seen
    assert "serial: As printed; text that matches SN[0-9]+" in seen
    assert "2 passed" in seen
    logs = project.path / ".orchestrator/runs/latest/logs"
    assert (logs / "a/show.1.stdout").read_text() == "SN1 3.5\n"


def test_ctrl_c_at_an_input_is_reported_at_its_line(project: Project) -> None:
    project.write("recipes/a.yaml", ASKS)
    status, seen = at_terminal(project, [("serial> ", "\x03")], "--color=no")
    assert status == pytest.ExitCode.INTERRUPTED, seen
    assert f"{project.path}/recipes/a.yaml:2: KeyboardInterrupt" in seen


@pytest.mark.counted
def test_nothing_is_asked_without_a_terminal_or_in_a_pipeline(project: Project) -> None:
    project.write("recipes/a.yaml", ASKS)
    result = project.run("--recipe-ask")
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(["recipes/a.yaml:2:3: no value is given for input 'serial', *"])


def test_an_empty_line_for_the_serial_number_of_a_unit_says_that_its_socket_is_empty(
    project: Project,
) -> None:
    project.write(
        "recipes/panel.yaml",
        "units: {names: [A, B], serial: {pattern: 'SN[0-9]'}}\n"
        "steps: [{name: a, type: shell, cmd: 'true', parse: text}]\n",
    )
    code, seen = at_terminal(project, [("serial.A>", "SN1"), ("serial.B>", "")])

    assert "Unit B: Serial number; empty if there is no unit" in seen
    assert code == 0
    assert "1 passed" in seen
    assert "units: A SN1 passed, B empty" in seen
