"""Failure representation of a step, and its captured output."""

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.result import Process, StepResult
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.plugin.options import runner
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

_REPORT: dict[str, Any] = {
    "nodeid": "",
    "location": ("", 0, ""),
    "keywords": {},
    "outcome": "failed",
    "longrepr": None,
    "when": "call",
}


def failure_text(config: pytest.Config, recipe: Recipe, step: Step, result: StepResult) -> str:
    """Return the failure text of a step."""
    from pytest_orchestrator.reports import failure

    root, here = config.rootpath, config.invocation_params.dir
    return failure.text(recipe, step, result, root, here, options(config, recipe))


def aftermath(config: pytest.Config, recipe: Recipe, step: Step, result: StepResult) -> str:
    """Return the text below the traceback of a step: output, usage, repeat command."""
    from pytest_orchestrator.reports import failure

    root, here = config.rootpath, config.invocation_params.dir
    return failure.aftermath(recipe, step, result, root, here, options(config, recipe))


def options(config: pytest.Config, recipe: Recipe) -> list[str]:
    """Return the options that the repeat command of a step needs to give the same result."""
    from pytest_orchestrator.reports import failure

    given = state_of(config).var_values
    names = [name for name in given if name in recipe.var_names]
    values = {name: {"value": given[name].value, "origin": given[name].origin} for name in names}
    last = config.getoption("recipe_compare")
    compared = [f"--recipe-compare={last}"] if last else []
    answers = state_of(config).answer_options(recipe)
    return [*runner.options(config), *compared, *failure.options(values), *answers]


def explained_there(config: pytest.Config, raised: Raised) -> Any:
    """Return the longrepr that pytest made in the step's process, with notes of the error added."""
    report: Any = config.hook.pytest_report_from_serializable(
        config=config, data={**_REPORT, **raised.report}
    )
    for note in getattr(raised, "__notes__", ()):
        report.longrepr.reprtraceback.reprentries[-1].lines.append(f"E       {note}")
    return report.longrepr


def raised(text: str) -> pytest.ExceptionInfo[BaseException]:
    """Return the exception info of a `pytest.fail` with a text and without a traceback."""
    try:
        # `from None`: a Ctrl-C that is being handled must not be shown as the cause.
        raise pytest.fail.Exception(text, pytrace=False) from None  # noqa: TRY301
    except pytest.fail.Exception:
        return pytest.ExceptionInfo.from_current()


def blame(shown: Any, path: Path, line: int, message: str) -> None:
    """Set the crash location of a failure to a line of the recipe, and set its message."""
    crash = getattr(shown, "reprcrash", None)
    if crash is not None:
        crash.path, crash.lineno, crash.message = str(path), line, message


def set_message(shown: Any, result: StepResult) -> None:
    """Set the message of an exception to the reason where that says more: an element, a writer."""
    crash = getattr(shown, "reprcrash", None)
    says_more = result.failure is not None and (result.failed_element or result.failure.notes)
    if crash is not None and result.failure is not None and says_more:
        _, *rest = crash.message.split("\n")
        crash.message = "\n".join([result.failure.reason, *rest])


_MOST = 10
_WIDEST = 400
_WHOLE = 40
_STDERR = "Captured stderr call"
_LOG = "Captured log call"
_STDERR_TITLE = "stderr, "
_OF_TRANSCRIPT = lazy_pattern(
    r"(?m)^(?:\x1b\[\d+m)*INFO +(?:\x1b\[0m)? ?"
    r"pytest_orchestrator\.(?:instrument|step)\.(\S+?):\w+\.py:\d+ "
)
"""Start of a line of these loggers in the default `log_format` of pytest, maybe with colours."""
_LOGGED = lazy_pattern(r"[-\d]{10}T[:\d]{8} \| (\w+) \| (\S+) \| (.*)")
"""A line of `get_logger`, which writes to stderr and is captured as a log record too."""


def shown_live(config: pytest.Config) -> tuple[int, int] | None:
    """Return the stdout and stderr descriptors for live output (``-s``, ``tee-sys``), or None."""
    if config.getoption("capture", "") not in ("no", "tee-sys") or hasattr(config, "workerinput"):
        return None
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled(), contextlib.suppress(OSError, AttributeError):
        return sys.stdout.fileno(), sys.stderr.fileno()
    return None


def shorten_transcript(report: pytest.TestReport) -> None:
    """Leave out level, logger and file of the lines of instruments and step types.

    A line is then ``psu > MEAS:VOLT?``. A project with a `log_format` of its own keeps that, and
    so does the output of a program, which may be long.
    """
    for at, (name, text) in enumerate(report.sections):
        if name.startswith("Captured log"):
            report.sections[at] = name, _OF_TRANSCRIPT.sub(r"\1 ", text)


def show_output(result: "StepResult", item: pytest.Item | None = None) -> None:
    """Put the output of a step's process into the captured sections of pytest.

    Args:
        result: The result of the step.
        item: The item that pytest is calling, which gets the sections directly. Without it, the
            output is written to the streams that pytest captures.
    """
    process = _process(result)
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
            )  # with tee-sys, live output is captured too


def _process(result: "StepResult") -> "Process | None":
    """Return the process of a step; with ``foreach`` that of the element that made it fail."""
    element = result.failed_element
    shown = result if element is None else element.result
    return shown.ended.process if shown.ended else None


def printed(result: "StepResult") -> list[tuple[str, str]]:
    """Return captured output as (title, text) sections, for a report that pytest did not make."""
    process = _process(result)
    if process is None or process.shown:
        return []
    streams = (("stdout", process.stdout), ("stderr", process.stderr))
    return [(f"Captured {name} call", stream.text) for name, stream in streams if stream.text]


def shorten(report: Any, kind: str, captured: str, text: str) -> None:
    """Shorten the sections of a report to their last lines for the terminal.

    Reports other than that of the terminal have received the whole sections before.

    A log record that the shown lines of stderr contain is left out of the section of records.

    Args:
        report: The report of a failed step.
        kind: The kind of the failure. The text and the sections of a failure that is no
            exception take 40 lines together.
        captured: The value of ``--show-capture``, which selects the captured sections to show.
        text: The text of the failure on the terminal.
    """
    most, shown = _MOST, text.splitlines()
    first = next((at for at, line in enumerate(shown) if line.startswith(_STDERR_TITLE)), None)
    if first is not None:
        report.sections[:] = [pair for pair in report.sections if pair[0] != _STDERR]
        stderr = [line.removeprefix("  ") for line in shown[first + 1 :]]
    else:
        stderr = dict(report.sections).get(_STDERR, "").splitlines()[-most:]
        stderr = stderr if captured == "all" else []
    sections = [
        (name, _without_shown(stderr, text) if name == _LOG else text)
        for name, text in report.sections
    ]
    report.sections[:] = [(name, text) for name, text in sections if text]
    if kind not in ("exception", "") and report.sections:
        room = _WHOLE - 1 - len(shown)
        most = max(1, min(most, room // len(report.sections) - 2))
    report.sections[:] = [(name, _last_lines(text, most)) for name, text in report.sections]


def _without_shown(stderr: list[str], log: str) -> str:
    """Return a log section without the records that `get_logger` also wrote to stderr.

    Args:
        stderr: The lines of stderr that are shown.
        log: The section of log records.
    """
    lines, at = log.splitlines(), -1
    for line in stderr:
        written = _LOGGED.fullmatch(line)
        if written is None:
            is_next = at >= 0 and lines[at : at + 1] == [line]  # of a message with several lines
        else:
            same = (n for n, text in enumerate(lines) if _is_record(text, *written.groups()))
            at = next(same, -1)
            is_next = at >= 0
        if is_next:
            del lines[at]
        elif written is None:
            at = -1
    return "\n".join(lines)


def _is_record(text: str, level: str, name: str, message: str) -> bool:
    return text.endswith(message) and level in text and name in text


def _last_lines(text: str, most: int) -> str:
    lines = text.splitlines()
    shown = "\n".join(_cut(line) for line in lines[-most:])
    if len(lines) <= most:
        return f"{shown}\n" if text.endswith("\n") else shown
    return f"… the last {most} of {len(lines)} lines (-vv shows all)\n{shown}\n"


def _cut(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]} … ({len(line):,} characters)"
