"""Blocks of recipes, read back from the journal, and their summary in the terminal."""

import contextlib
import os
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.options.declared import LATEST
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.reporting import last_failed
from pytest_orchestrator.plugin.reporting.reports import add_suite_properties, complete_json_report
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE, LATE, NEEDED, carried, key_of
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.reports.summary import Unsafe
    from pytest_orchestrator.reports.terminal.lines import Line
    from pytest_orchestrator.runs.block import Block

_TABLES = "orchestrator-tables"


class Tables(Plugin):
    """Plugin that collects the report blocks and shows a summary of the recipes.

    Attributes:
        blocks: All blocks, by recipe.
        last_failed: The plugin that stores the blocked steps for ``--lf``.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.blocks = BlockStore(config)
        self._interrupted: list[pytest.TestReport] = []
        self.last_failed = last_failed.LastFailed(config, self.blocks.good)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Move the blocks of a report to `blocks` after all plugins have received the report."""
        try:
            return (yield)
        finally:
            if ATTRIBUTE in vars(report) or NEEDED in vars(report):
                self._take(report)

    def _take(self, report: pytest.TestReport) -> None:
        """Move the blocks of a report to `blocks`."""
        block: dict[str, Any] | None = getattr(report, ATTRIBUTE, None)
        if block is not None:
            self.last_failed.take(report.nodeid, block["step"]["state"])
        self.keep(report)
        vars(report).pop(ATTRIBUTE, None)
        vars(report).pop(NEEDED, None)

    def keep(self, report: pytest.TestReport) -> None:
        """Store the blocks of a report."""
        for block in carried(report):
            self.blocks.keep(block)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Return the status of an interrupted step or of a step that did not run, else None."""
        block: dict[str, Any] | None = getattr(report, ATTRIBUTE, None)
        state = "" if block is None else block["step"]["state"]
        if report in self._interrupted or (state == "interrupted" and report.failed):
            self._interrupted.append(report)  # its block is gone before the summary asks again
            terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
            if terminal is not None:
                terminal.stats.setdefault("failed", [])  # a session that has this key is red
            return "interrupted", "I", "INTERRUPTED"
        return ("not run", "", "") if state == "not run" and report.skipped else None

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Store the blocks that an xdist worker sent after its last report."""
        for block in getattr(node, "workeroutput", {}).get(LATE, ()):
            self.blocks.keep(block)

    @pytest.hookimpl(optionalhook=True)
    def pytest_json_modifyreport(self, json_report: dict[str, Any]) -> None:
        """Add the final blocks of services and the run to the JSON report."""
        last = {(key, name): one for key in self.blocks for name, one in self.blocks.plain(key)}
        for test in json_report.get("tests", ()):
            block = test.get("metadata", {}).get(ATTRIBUTE)
            if block is not None:
                step = key_of(block), block["step"]["name"]
                test["metadata"][ATTRIBUTE] = last.get(step, block)
        complete_json_report(json_report, self._config, self.blocks, unsafe_of(self._config))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Complete the JUnit file; a sampled value that passed is no test case of it."""
        place = settings.junit_place(self._config)
        if place != "none":
            blocks = (one for blocks in self.blocks.values() for one in blocks)
            if place == "testcase":
                blocks = (one for one in blocks if one.step.sampled and one.step.state == "passed")
            add_suite_properties(self._config, blocks)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the texts of interrupted steps, then the summary of the recipes."""
        interrupted = terminalreporter.stats.get("interrupted", [])
        if interrupted and self._config.getoption("tbstyle", "auto") != "no":
            _show_failures(
                terminalreporter, interrupted, self._config.getoption("showcapture", "all")
            )
        if self.blocks:
            _show(terminalreporter, self.blocks)
        if interrupted:  # pytest would show a green session in red if the key were there
            terminalreporter.stats.setdefault("failed", []).extend(interrupted)

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_terminal_summary")
    def pytest_terminal_summary_around(self, terminalreporter: Any) -> Generator[None]:
        """Count interrupted steps apart again, which the short summary lists among the failed."""
        yield
        stats = terminalreporter.stats
        if interrupted := stats.get("interrupted"):
            stats["failed"] = [one for one in stats["failed"] if one not in interrupted]


def _show_failures(terminal: Any, reports: list[pytest.TestReport], captured: str) -> None:
    """Show interrupted steps as pytest shows failures: their texts and captured sections.

    Args:
        terminal: The terminal reporter of pytest.
        reports: The reports of the steps.
        captured: The value of ``--show-capture``, which selects the captured sections to show.
    """
    terminal.write_sep("=", "INTERRUPTED")
    writer = terminal.config.get_terminal_writer()
    for report in reports:
        if terminal.config.getoption("tbstyle", "auto") == "line":
            terminal.write_line(str(getattr(report.longrepr, "reprcrash", report.longrepr)))
            continue
        terminal.write_sep("_", report.head_line or report.nodeid, red=True)
        report.toterminal(writer)
        for title, content in report.sections:
            if captured != "all" and captured not in title:
                continue
            terminal.write_sep("-", title)
            terminal.write_line(content.removesuffix("\n"))


def show_tables(config: pytest.Config) -> None:
    """Register the plugins for tables and for ``--lf`` once, except in an xdist worker."""
    if not (config.pluginmanager.has_plugin(_TABLES) or hasattr(config, "workerinput")):
        tables = Tables(config)
        config.pluginmanager.register(tables, _TABLES)
        config.pluginmanager.register(tables.last_failed)


def recipes_of(config: pytest.Config) -> "Mapping[str, list[Block]]":
    """Return the blocks that this process received, by recipe; empty in an xdist worker."""
    tables: Tables | None = config.pluginmanager.get_plugin(_TABLES)
    return {} if tables is None else tables.blocks


def keep(config: pytest.Config, report: pytest.TestReport) -> None:
    """Store the blocks of a report that is not sent to other plugins."""
    if hasattr(config, "workeroutput"):
        config.workeroutput.setdefault(LATE, []).extend(carried(report))
    tables = config.pluginmanager.get_plugin(_TABLES)
    if tables is not None:
        tables.keep(report)


def keep_block(config: pytest.Config, block: dict[str, Any]) -> None:
    """Store the block of a step that has no report."""
    tables: Tables | None = config.pluginmanager.get_plugin(_TABLES)
    if tables is not None:
        tables.blocks.keep(block)


class _RecipeBlocks:
    """Blocks of one run of a recipe.

    Attributes:
        lines: Offsets of journal lines with blocks; the last line of a step replaces the others.
        unrecorded: Blocks that the journal does not contain, by the name of the step.
    """

    __slots__ = ("lines", "unrecorded")

    def __init__(self) -> None:
        self.lines = array("Q")
        self.unrecorded: dict[str, dict[str, Any]] = {}


class BlockStore(Mapping[str, "list[Block]"]):
    """Mapping from the key of a recipe to the blocks of its steps, in order.

    The blocks are read from the journal at each access, so that the blocks of many recipes are
    never in memory at the same time.

    Attributes:
        good: The node ids of the sampled values that stayed within their limits.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._state = state_of(config)
        self._recipes: dict[str, _RecipeBlocks] = {}
        self.good: set[str] = set()

    def keep(self, block: dict[str, Any]) -> None:
        """Store a block, or its offset in the journal if the journal contains it."""
        key, name = key_of(block), block["step"]["name"]
        if "sampled" in block["step"] and block["step"]["state"] == "passed":
            self.good.add(block["step"]["node"])
        recipe = self._recipes.get(key) or self._recipes.setdefault(key, _RecipeBlocks())
        line = self._state.lines.take(key, name) if self._state.lines else None
        if line is None:
            recipe.unrecorded[name] = block
        else:
            recipe.lines.append(line)
            recipe.unrecorded.pop(name, None)

    def __getitem__(self, key: str) -> "list[Block]":
        from pytest_orchestrator.runs.block import block_in_line, from_block

        recipe = self._recipes[key]
        lines = map(block_in_line, self._lines(recipe.lines))
        blocks = (*lines, *map(from_block, recipe.unrecorded.values()))
        read = {block.step.name: block for block in blocks if block is not None}
        return sorted(read.values(), key=lambda block: block.step.index)

    def _lines(self, offsets: Iterable[int]) -> Iterator[bytes]:
        journal = self._state.lines
        if journal is None:
            return
        with contextlib.suppress(OSError):  # the session reports the damage
            yield from map(journal.line_at, offsets)

    def plain(self, key: str) -> "Iterable[tuple[str, dict[str, Any]]]":
        """Return the name and the block, as plain data, of each step of a recipe."""
        recipe = self._recipes[key]
        read = self._read(recipe.lines)
        return ({block["step"]["name"]: block for block in read} | recipe.unrecorded).items()

    def _read(self, lines: Iterable[int]) -> Iterator[dict[str, Any]]:
        from pytest_orchestrator.runs.journal.chain import JournalDamaged

        journal = self._state.lines
        if journal is None:
            return
        for line in lines:
            with contextlib.suppress(JournalDamaged, OSError):  # the session reports the damage
                yield journal.at(line).block

    def __iter__(self) -> Iterator[str]:
        return iter(self._recipes)

    def __len__(self) -> int:
        return len(self._recipes)


def _show(terminal: Any, recipes: "Mapping[str, list[Block]]") -> None:
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
    if replay := state_of(terminal.config).replay:
        text = f"REPLAY, no instrument was used: run {replay.run} has answered"
        terminal.write_line(text, yellow=True)
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
    from pytest_orchestrator.reports.terminal.measurements import RecipeCells

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
    from pytest_orchestrator.reports.terminal.screen import overview, screen, totals

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


def unsafe_of(config: pytest.Config) -> "Unsafe":
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


def _path(config: pytest.Config, width: int) -> str:
    """Return the line with the path of the report, which is in the folder of the run.

    A line that would wrap has the link to the latest run instead of the folder.
    """
    path = report_path(config, config.invocation_params.dir)
    line = f"{'report' if _has_report(config) else 'run'} {path}" if path else ""
    run = state_of(config).folder.path
    if len(line) > width and run.with_name(LATEST).resolve() == run.resolve():
        line = line.replace(run.name, LATEST)
    return line


def report_path(config: pytest.Config, start: "Path") -> str:
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


def _has_report(config: pytest.Config) -> bool:
    """Return True if `report.html` will be written after the summary."""
    recorder = state_of(config).recorder
    is_whole = recorder is None or not recorder.has_failed
    return is_whole and bool(config.getini("recipe_html"))
