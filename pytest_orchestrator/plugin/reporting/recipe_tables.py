"""Summary of the recipes in the terminal, below the tests."""

import contextlib
import os
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.options.declared import LATEST
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pytest

    from pytest_orchestrator.reports.summary import Unsafe
    from pytest_orchestrator.reports.terminal.lines import Line
    from pytest_orchestrator.runs.block import Block


def show(terminal: Any, recipes: "Mapping[str, list[Block]]") -> None:
    """Write the summary of the recipes and the path of the run.

    Args:
        terminal: The terminal reporter of pytest.
        recipes: The blocks of the steps of each recipe; each access reads them from the journal.
    """
    choice = settings.recipe_table(terminal.config)
    if not choice:
        return
    from pytest_orchestrator.reports.text import terminal_width

    width = terminal_width()
    if choice in ("all", "most"):
        _write_tables(terminal, recipes, width, choice)
    elif choice != "none":
        _write_overview(terminal, recipes, width, choice)
    lines = state_of(terminal.config).lines
    if lines and lines.simulated:
        names = ", ".join(lines.simulated)
        terminal.write_line(f"simulated, no real instrument: {names}", yellow=True)
    _write_rest(terminal)
    if line := _path(terminal.config, width):
        terminal.write_line(line)


def _write_rest(terminal: Any) -> None:
    """Write what a session that ended early has left: steps of `finally`, and how to resume."""
    if not any(terminal.stats.get(name) for name in ("not run", "interrupted")):
        return
    from pytest_orchestrator.runs.lookup import NoRun, load_record
    from pytest_orchestrator.runs.pending_finally import rest_of

    with contextlib.suppress(NoRun):
        record = load_record(state_of(terminal.config).folder.path)
        record.end("finished")
        rest = rest_of(record)
        for sentence in rest.owed:
            terminal.write_line(sentence, red=True)
        if rest.command:
            terminal.write_line(f"resume {rest.command}")


def _write_tables(
    terminal: Any, recipes: "Mapping[str, list[Block]]", width: int, choice: str
) -> None:
    """Write a table for each recipe, then the measurements in the cells of each matrix."""
    from pytest_orchestrator.reports.summary import verdict
    from pytest_orchestrator.reports.terminal import table
    from pytest_orchestrator.reports.terminal.cells import RecipeCells

    cells, ends = RecipeCells(), unsafe_of(terminal.config)
    for key, blocks in recipes.items():
        terminal.write_sep("-", f"{key}: {verdict(blocks, ends.get(key, ()))}")
        cells.add(blocks)
        _write(terminal, table.table(blocks, width, is_whole=choice == "all"))
        for text in (*table.sampled_lines(blocks, width), *table.closing(blocks, width)):
            terminal.write_line(text)
        for end in ends.get(key, ()):
            terminal.write_line(f"unsafe     {end.instrument}: {end.reason}")
    for title, lines in cells.tables(width):
        terminal.write_sep("-", title)
        _write(terminal, lines)


def _write_overview(
    terminal: Any, recipes: "Mapping[str, list[Block]]", width: int, choice: str
) -> None:
    """Write a line for each recipe with the steps that did not pass, or only one line in all."""
    from pytest_orchestrator.reports.terminal.lines import plain_line
    from pytest_orchestrator.reports.terminal.overview import overview
    from pytest_orchestrator.reports.terminal.screen import screen, totals

    ends = unsafe_of(terminal.config)
    runs = [overview(one, ends.get(key, ())) for key, one in recipes.items() if one]
    if choice == "totals":
        lines = [plain_line(totals(runs, width), width)]
    else:
        more = "see the report" if _has_report(terminal.config) else "see --recipe-table=all"
        lines = screen(runs, width, only_failed=choice == "failed", more=more)
    has_texts = any(terminal.stats.get(name) for name in _WITH_TEXT) or terminal.hasopt("P")
    if lines and has_texts:
        terminal.write_sep("-", "recipes")
    elif len(lines) == 1:
        terminal.currentfspath = None  # else pytest puts an empty line between dots and summary
    _write(terminal, lines)


def unsafe_of(config: "pytest.Config") -> "Unsafe":
    """Return the safe states that were not reached in this session, by recipe."""
    lines = state_of(config).lines
    return lines.unsafe if lines else {}


_WITH_TEXT = ("failed", "error", "interrupted", "xfailed", "xpassed")
"""Categories of pytest whose texts may stand above the summary."""


def _write(terminal: Any, lines: "Iterable[Line]") -> None:
    for line in lines:
        terminal.ensure_newline()
        for part in line.parts:
            terminal.write(part.text, **({part.colour: True} if part.colour else {}))
        terminal.write("\n")


def _path(config: "pytest.Config", width: int) -> str:
    """Return the line with the path of the report, which is in the folder of the run.

    A line that would wrap has the link to the latest run instead of the folder.
    """
    path = report_path(config, config.invocation_params.dir)
    line = f"{'report' if _has_report(config) else 'run'} {path}" if path else ""
    run = state_of(config).folder.path
    if len(line) > width and run.with_name(LATEST).resolve() == run.resolve():
        line = line.replace(run.name, LATEST)
    return line


def report_path(config: "pytest.Config", start: "Path") -> str:
    """Return the path of the report from a folder.

    Args:
        config: The configuration of the session.
        start: The folder.

    Returns:
        The path of the run folder if there is no report; empty if that folder cannot be made.
    """
    recorder = state_of(config).recorder
    if recorder is None or recorder.journal is None:
        return ""
    folder = os.path.relpath(state_of(config).folder.path, start)
    return f"{folder}/report.html" if _has_report(config) else folder


def _has_report(config: "pytest.Config") -> bool:
    """Return True if `report.html` will be written after the summary."""
    recorder = state_of(config).recorder
    is_whole = recorder is None or not recorder.has_failed
    return is_whole and bool(config.getini("recipe_html"))
