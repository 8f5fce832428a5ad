"""The output of steps on its way to pytest's own sections."""

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import StepResult

_SHOWN = 10


def tell_output(result: "StepResult") -> None:
    """Write what a step's process printed to stdout and stderr, where pytest captures it."""
    process = result.ended.process if result.ended else None
    if process is None:
        return
    for stream, file in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
        if stream.text:
            file.write(stream.text if stream.text.endswith("\n") else f"{stream.text}\n")


def shorten(report: pytest.TestReport) -> None:
    """Leave the last lines of each section for the terminal; other reports had it whole."""
    report.sections[:] = [(name, _last_lines(text)) for name, text in report.sections]


def _last_lines(text: str) -> str:
    lines = text.splitlines(keepends=True)
    if len(lines) <= _SHOWN:
        return text
    return f"… the last {_SHOWN} of {len(lines)} lines (-vv shows all)\n{''.join(lines[-_SHOWN:])}"
