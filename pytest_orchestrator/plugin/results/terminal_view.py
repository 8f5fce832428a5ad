"""Failures of steps and errors of recipes on pytest's terminal.

The explanation in a report is plain text for JUnit, JSON and other files, and in a worker of
pytest-xdist. Only the terminal shows it in its own width, in colours, and in the style of `--tb`.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE

Report = pytest.TestReport | pytest.CollectReport


class _TextLocation:
    """Location of a failure whose explanation is a text, in place of pytest's own object.

    Attributes:
        message: The text; pytest shows its first line in the short summary.
    """

    def __init__(self, text: str) -> None:
        self.message = text

    def __str__(self) -> str:
        """Return the line that pytest shows with `--tb=line`."""
        from pytest_orchestrator.reports import failure_view

        return failure_view.one_line_each(self.message)[0]


class TerminalExplanation:
    """An explanation of a failure that looks different on the terminal than elsewhere.

    Args:
        explanation: The explanation that pytest made, or a text.
        terminal: The terminal writer of pytest's reporter.
        write: Writes the explanation to the terminal.
    """

    def __init__(self, explanation: Any, terminal: Any, write: Callable[[Any], None]) -> None:
        self._explanation = explanation
        self._terminal = terminal
        self._write = write
        if isinstance(explanation, str):
            self.reprcrash = _TextLocation(explanation)

    def __str__(self) -> str:
        return str(self._explanation)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_explanation" not in vars(self):  # as for `copy` and `pickle`
            raise AttributeError(name)
        return getattr(self._explanation, name)

    def toterminal(self, out: Any) -> None:
        """Write the explanation to a terminal writer of pytest."""
        if out is self._terminal:
            self._write(out)
        elif isinstance(self._explanation, str):
            out.line(self._explanation)
        else:
            self._explanation.toterminal(out)


class FailureView(Plugin):
    """Plugin that prepares failures of steps and errors of recipes for the terminal.

    It is registered in the process that has the terminal, not in a worker of pytest-xdist.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._style: str = config.getoption("tbstyle", "auto")
        self._reports: list[tuple[Report, str | None]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Adapt the explanation in the report of a test or step before other plugins get it."""
        if report.longrepr is not None and not isinstance(report.longrepr, tuple):
            block = getattr(report, ATTRIBUTE, None)
            if block is not None and self._is_rich:
                _keep_python_frames(report.longrepr)
            self._adapt(report, is_step=block is not None)
            kind = None if block is None else block["step"].get("kind", "")
            if report.failed:
                self._reports.append((report, kind))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Adapt the errors of a recipe before other plugins get them."""
        if report.failed:
            self._adapt(report, is_step=False)
            self._reports.append((report, None))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Shorten what the terminal shows of failed steps; other plugins have the whole texts."""
        if not self._reports:
            return
        from pytest_orchestrator.plugin.results import failures
        from pytest_orchestrator.reports.text import terminal_width

        captured = self._config.getoption("showcapture", "all")
        is_short = self._config.get_verbosity() < 2
        for report, kind in self._reports:
            if kind is not None and self._style == "line":
                report.sections[:] = []
            elif kind is not None and is_short:
                failures.shorten(report, kind, captured, _shown_text(report, self._style))
            text = text_of(report.longrepr) if self._is_rich else None
            if text is not None:  # pytest-rich prints a text as it is
                report.longrepr = "\n".join(_plain(text, self._style, terminal_width()))
            elif (
                is_short
                and self._style != "line"
                and (kind is not None or text_of(report.longrepr))
            ):
                self._fit_summary(report)

    @property
    def _is_rich(self) -> bool:
        """True if pytest-rich writes to the terminal."""
        return self._config.pluginmanager.has_plugin("rich-terminal-reporter")

    def _fit_summary(self, report: Report) -> None:
        """Cut the message of a failure, of which the short summary shows one line with colours.

        pytest cuts it itself, but counts the codes of colours so that a line may be too long.
        """
        from pytest_orchestrator.core.text import cut_to_width, display_width

        crash = getattr(report.longrepr, "reprcrash", None)
        has_terminal = self._config.pluginmanager.has_plugin("terminalreporter")
        if crash is None or not has_terminal or _is_whole():
            return
        terminal = self._config.get_terminal_writer()
        if not terminal.hasmarkup:  # pytest cuts the line right
            return
        status = self._config.hook.pytest_report_teststatus(report=report, config=self._config)
        word = status[2] if isinstance(status[2], str) else status[2][0]
        path, *rest = report.nodeid.split("::", 1)
        path = os.path.relpath(self._config.rootpath / path, self._config.invocation_params.dir)
        before = f"{word} {'::'.join([path, *rest])} - "
        room = terminal.fullwidth - display_width(before)
        if room > 0:
            crash.message = cut_to_width(crash.message.partition("\n")[0], room)

    def _adapt(self, report: Report, *, is_step: bool) -> None:
        if not self._config.pluginmanager.has_plugin("terminalreporter"):
            return
        explanation: Any = report.longrepr
        terminal = self._config.get_terminal_writer()
        style, is_call = self._style, report.when == "call"
        text = text_of(explanation)
        if text is not None:
            write = partial(_write_text, text, style=style, is_call=is_call)
        elif is_step and is_call and style in ("short", "line"):
            write = partial(_write_traceback, explanation, style=style)
        else:
            return
        report.longrepr = TerminalExplanation(explanation, terminal, write)  # type: ignore[assignment]


def _keep_python_frames(explanation: Any) -> None:
    """Remove the frames in recipes, because pytest-rich parses the file of each frame as Python."""
    traceback = getattr(explanation, "reprtraceback", None)
    entries = [] if traceback is None else traceback.reprentries
    files = [getattr(getattr(one, "reprfileloc", None), "path", None) for one in entries]
    is_python = [file is None or str(file).endswith(".py") for file in files]
    if any(file is not None and ok for file, ok in zip(files, is_python, strict=True)):
        entries[:] = [entry for entry, ok in zip(entries, is_python, strict=True) if ok]


def _is_whole() -> bool:
    """Return True if pytest cuts no line of the short summary, as in a pipeline."""
    return any(map(os.environ.get, ("CI", "BUILD_NUMBER")))


def text_of(explanation: Any) -> str | None:
    """Return the text of an explanation if it is a failure text or the error of a recipe.

    Returns:
        The text; None if the explanation is a traceback or a text without an excerpt.
    """
    if not isinstance(explanation, str):
        traceback = getattr(explanation, "reprtraceback", None)
        entries: Sequence[Any] = getattr(traceback, "reprentries", ())
        if any(getattr(entry, "reprfileloc", None) for entry in entries):
            return None
    from pytest_orchestrator.reports import failure_view

    text = str(explanation)
    return text if failure_view.has_excerpt(text) else None


def _shown_text(report: Report, style: str) -> str:
    """Return the text of a report as the terminal shows it, whatever its width."""
    text = text_of(report.longrepr)
    if text is None or style != "short":
        return str(report.longrepr)
    return "\n".join(_plain(text, style, len(text)))


def _plain(text: str, style: str, width: int) -> list[str]:
    """Return the lines of a text in a style of `--tb`, without colours."""
    from pytest_orchestrator.reports import failure_view

    if style == "line":
        return failure_view.one_line_each(text)
    return failure_view.plain(text, width, short=style == "short")


def _write_text(text: str, out: Any, *, style: str, is_call: bool) -> None:
    from pytest_orchestrator.reports import failure_view

    if style == "line":
        # pytest itself writes the line of a failed call, but none for an error.
        for row in () if is_call else failure_view.one_line_each(text):
            out.line(row)
        return
    from pytest_orchestrator.reports.text import terminal_width

    wrap, short = bool(sys.__stdout__ and sys.__stdout__.isatty()), style == "short"
    for line in failure_view.lines(text, terminal_width(), short=short, wrap=wrap):
        for span in line:
            markup = {"bold": True, span.colour: True} if span.colour else {}
            out.write(span.text, **markup)
        out.line()


def _write_traceback(explanation: Any, out: Any, *, style: str) -> None:
    """Write the traceback of a step without the text that this plugin adds below it."""
    if style == "short":
        explanation.reprtraceback.toterminal(out)


def show_failures(config: pytest.Config) -> None:
    """Register the plugin for failures on the terminal, except in an xdist worker."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailureView(config), "orchestrator-failures")
