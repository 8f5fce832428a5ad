"""The output of steps on its way to pytest's own sections."""

import contextlib
import io
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import StepResult

_MOST = 10
_WIDEST = 400
_WHOLE = 40
_STDERR = "Captured stderr call"
_TOLD = "stderr, "


def shown_live(config: pytest.Config) -> tuple[int, int] | None:
    """Return where output is shown as it comes (``-s``, ``--capture=tee-sys``), or None."""
    if config.getoption("capture", "") not in ("no", "tee-sys") or hasattr(config, "workerinput"):
        return None
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled(), contextlib.suppress(OSError, AttributeError):
        return sys.stdout.fileno(), sys.stderr.fileno()
    return None


def tell_output(result: "StepResult", item: pytest.Item | None = None) -> None:
    """Let pytest's sections show what a step's process printed to stdout and stderr.

    Args:
        result: What became of the step.
        item: The step, where it is one that pytest calls now: what it printed goes into its
            sections at once. Else it is written where pytest captures it.
    """
    process = result.ended.process if result.ended else None
    if process is None:
        return
    captures = item is not None and item.config.getoption("capture", "no") in ("fd", "sys")
    for name, stream, file in (
        ("stdout", process.stdout, sys.stdout),
        ("stderr", process.stderr, sys.stderr),
    ):
        text = stream.text if stream.text.endswith("\n") else f"{stream.text}\n"
        if stream.text and not process.shown and captures and item is not None:
            item.add_report_section("call", name, text)
        elif stream.text and not process.shown:
            file.write(text)
        elif stream.text and isinstance(getattr(file, "buffer", None), io.BytesIO):
            file.buffer.write(
                text.encode(errors="replace")
            )  # tee-sys: what was shown is captured too


def shorten(report: pytest.TestReport, kind: str) -> None:
    """Leave the last lines of each section for the terminal; other reports had it whole.

    Args:
        report: Of a step that failed.
        kind: The kind of its failure; all but an exception take 40 lines with all that is shown.
    """
    most, shown = _MOST, str(report.longrepr).splitlines()
    if any(line.startswith(_TOLD) for line in shown):
        report.sections[:] = [pair for pair in report.sections if pair[0] != _STDERR]
    if kind not in ("exception", "") and report.sections:
        room = _WHOLE - 1 - len(shown)
        most = max(1, min(most, room // len(report.sections) - 2))
    report.sections[:] = [(name, _last_lines(text, most)) for name, text in report.sections]


def _last_lines(text: str, most: int) -> str:
    lines = text.splitlines()
    shown = "\n".join(_cut(line) for line in lines[-most:])
    if len(lines) <= most:
        return f"{shown}\n" if text.endswith("\n") else shown
    return f"… the last {most} of {len(lines)} lines (-vv shows all)\n{shown}\n"


def _cut(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]} … ({len(line):,} characters)"
