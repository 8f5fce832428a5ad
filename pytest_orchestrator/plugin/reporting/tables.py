"""Terminal tables of recipes, read back from the journal, and the header line."""

import contextlib
import os
import shutil
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator import __version__
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs
from pytest_orchestrator.plugin.options import runner, settings
from pytest_orchestrator.plugin.reporting import last_failed
from pytest_orchestrator.plugin.reporting.reports import add_suite_properties, complete_json_report
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE, LATE, NEEDED, carried, key_of
from pytest_orchestrator.plugin.results.failures import shorten
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.plugin.journal.resume import ResumedSession
    from pytest_orchestrator.plugin.journal.snapshots import Snapshots
    from pytest_orchestrator.runs.block import Block

_TABLES = "orchestrator-tables"


class Tables:
    """Plugin that collects the report blocks and shows a table for each recipe.

    Attributes:
        blocks: All blocks, by recipe.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.blocks = BlockStore(config)
        self._failed: list[tuple[pytest.TestReport, str]] = []
        self._here = config.invocation_params.dir

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Move the blocks of a report to `blocks` after all plugins have received the report."""
        try:
            return (yield)
        finally:
            self.keep(report)
            block = report.__dict__.pop(ATTRIBUTE, None)
            report.__dict__.pop(NEEDED, None)
            if report.failed and block is not None:
                self._failed.append((report, block["step"].get("kind", "")))

    def keep(self, report: pytest.TestReport) -> None:
        """Store the blocks of a report."""
        for block in carried(report):
            self.blocks.keep(block)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Return the status of an interrupted step or of a step that did not run, else None."""
        block: dict[str, Any] | None = getattr(report, ATTRIBUTE, None)
        state = "" if block is None else block["step"]["state"]
        if state == "interrupted" and report.failed:
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
        complete_json_report(json_report, self._config, self.blocks)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Complete the JUnit file; shorten long outputs for the terminal."""
        if settings.junit_place(self._config) == "testsuite":
            blocks = (one for blocks in self.blocks.values() for one in blocks)
            add_suite_properties(self._config, blocks)
        if self._config.get_verbosity() < 2:
            captured = self._config.getoption("showcapture", "all")
            for report, kind in self._failed:
                shorten(report, kind, captured)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the texts of interrupted steps, then a table for each recipe."""
        interrupted = terminalreporter.stats.get("interrupted", [])
        if interrupted and self._config.getoption("tbstyle", "auto") != "no":
            _show_failures(
                terminalreporter, interrupted, self._config.getoption("showcapture", "all")
            )
        if self._config.get_verbosity() >= 0 and self.blocks:
            self._show_recipes(terminalreporter)
        if interrupted and terminalreporter.hasopt("f"):
            for report in interrupted:
                terminalreporter.write_line(_summary_line(report), red=True)

    def _show_recipes(self, terminalreporter: Any) -> None:
        from pytest_orchestrator.reports.summary import verdict
        from pytest_orchestrator.reports.terminal import table

        folder = os.path.relpath(state_of(self._config).folder.path, self._here)
        for path, blocks in self.blocks.items():
            word = verdict(blocks)
            terminalreporter.write_sep("-", f"{path}: {word}")
            width = shutil.get_terminal_size().columns
            if word == "not run":
                terminalreporter.write_line(table.not_run_line(blocks, width), yellow=True)
                continue
            for row in table.table(blocks, width):
                terminalreporter.write(row.before)
                terminalreporter.write(row.word, **({row.colour: True} if row.colour else {}))
                terminalreporter.write(f"{row.after}\n")
            for line in table.marginal_lines(blocks, width):
                terminalreporter.write_line(line, yellow=True)
            for line in table.sampled_lines(blocks, width):
                terminalreporter.write_line(line)
            for line in table.closing(blocks, folder, width):
                terminalreporter.write_line(line)
        recorder = state_of(self._config).recorder
        is_whole = recorder is None or not recorder.has_failed
        if is_whole and self._config.getini("recipe_html"):  # written after this summary
            terminalreporter.write_line(f"report {folder}/report.html")


def _show_failures(terminal: Any, reports: list[pytest.TestReport], captured: str) -> None:
    """Show interrupted steps as pytest shows failures: their texts and captured sections.

    Args:
        terminal: The terminal reporter of pytest.
        reports: The reports of the steps.
        captured: The value of ``--show-capture``, which selects the captured sections to show.
    """
    terminal.write_sep("=", "INTERRUPTED")
    for report in reports:
        terminal.write_sep("_", report.head_line or report.nodeid, red=True)
        terminal.write_line(report.longreprtext)
        for title, content in report.sections:
            if captured != "all" and captured not in title:
                continue
            terminal.write_sep("-", title)
            terminal.write_line(content.removesuffix("\n"))


def _summary_line(report: pytest.TestReport) -> str:
    """Return the line of an interrupted step for the short test summary."""
    from pytest_orchestrator.core.text import cut_to_width

    crash = getattr(report.longrepr, "reprcrash", None)
    reason = str(crash.message if crash else report.longreprtext).strip().partition("\n")[0]
    width = shutil.get_terminal_size().columns
    return cut_to_width(f"INTERRUPTED {report.nodeid} - {reason}", width)


def show_tables(config: pytest.Config) -> None:
    """Register the plugins for tables and for ``--lf`` once, except in an xdist worker."""
    if not (config.pluginmanager.has_plugin(_TABLES) or hasattr(config, "workerinput")):
        tables = Tables(config)
        config.pluginmanager.register(tables, _TABLES)
        config.pluginmanager.register(last_failed.LastFailed(config, tables.blocks.good))


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
        recipe = self._recipes.setdefault(key, _RecipeBlocks())
        line = self._state.lines.take(key, name) if self._state.lines else None
        if line is None:
            recipe.unrecorded[name] = block
        else:
            recipe.lines.append(line)
            recipe.unrecorded.pop(name, None)

    def __getitem__(self, key: str) -> "list[Block]":
        from pytest_orchestrator.runs.block import from_block

        read = (from_block(block) for _, block in self.plain(key))
        return sorted(filter(None, read), key=lambda block: block.step.index)

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


_MOST = 3


class Header:
    """Plugin that writes the header lines; registered if a session has YAML files or marked tests.

    Attributes:
        serial: Reason why a recipe runs one step at a time in spite of `--recipe-jobs`, by its id.
        earlier: Sources of header lines about earlier runs, from which steps are restored.
    """

    def __init__(self, session: pytest.Session, steps: "list[StepItem]") -> None:
        self._session = session
        self._steps = steps
        self.serial: dict[str, str] = {}
        self.earlier: list[ResumedSession | Snapshots] = []

    def pytest_report_collectionfinish(self) -> list[str]:
        """Return the header: counts of recipes and steps, prerequisite steps, earlier runs."""
        if self._session.config.get_verbosity() < 0:
            return []
        recipes = {item.recipe.key for item in self._steps}
        parts = []
        if self._steps:
            parts.append(f"{counted(len(recipes), 'recipe')}, {counted(len(self._steps), 'step')}")
            parts[0] += _jobs(self._session.config)
            where = runner.header_text(self._session.config)
            parts[0] += f", {where}" if where else ""
        if needed := self._needed():
            names = list(dict.fromkeys(name for _, name in needed))
            listed = ", ".join(names[:_MOST]) + (" ..." if names[_MOST:] else "")
            number = counted(len(needed), "prerequisite step")
            parts.append(f"also runs {number}, not counted: {listed}")
        parts += _sequential_recipes(self.serial)
        others = state_of(self._session.config).others
        if others:
            parts.append(f"{counted(others, 'YAML file')} without steps ignored")
        lines = [f"orchestrator {__version__}: {'; '.join(parts)}"] if parts else []
        more = [line for each in self.earlier for line in each.header_lines()]
        return [*lines, *(f"    {line}" for line in [*more, *self._pending_finally()])]

    def _pending_finally(self) -> list[str]:
        """Return a header line about the last run's pending ``finally`` steps; empty if none."""
        if not self._steps:
            return []
        from pytest_orchestrator.runs import pending_finally

        config = self._session.config
        pending, resumed = (
            pending_finally.pending_finally(settings.run_dir(config)),
            state_of(config).resumed,
        )
        if pending is None or (resumed is not None and resumed.run == pending.run):
            return []
        texts = pending_finally.descriptions(pending.steps)
        listed = "; ".join(texts[:_MOST]) + (" ..." if texts[_MOST:] else "")
        head = f"run {pending.run} was ended before `finally` of {listed} had run"
        return [f"{head}: pytest --recipe-resume={pending.run}"]

    def _needed(self) -> list[tuple[str, str]]:
        """Return the recipe and name of each unselected step that runs because an item needs it."""
        selected = state_of(self._session.config).selected
        needed: dict[tuple[str, str], None] = {}
        for item in self._session.items:
            needs = item.stash.get(NEEDS, None)
            for run, steps in needs.asked if isinstance(needs, Needs) else ():
                recipe = run.recipe.key
                names = selected.get(recipe, ())
                needed |= {(recipe, step.name): None for step in steps if step.name not in names}
        return [*needed]


def serial_header(serial: Mapping[str, str]) -> str:
    """Return a header line that names only the recipes that run one step at a time, and why."""
    return f"orchestrator {__version__}: {'; '.join(_sequential_recipes(serial))}"


def show_serial_recipes(terminal: Any, serial: Mapping[str, str]) -> None:
    """Print after the run which recipes ran one step at a time, and why."""
    if terminal.config.get_verbosity() >= 0:
        for recipe, why in serial.items():
            terminal.write_line(f"{recipe} ran one step at a time: {why}")


def _sequential_recipes(serial: Mapping[str, str]) -> list[str]:
    """Return texts about the recipes whose steps cannot run in parallel, with the reasons."""
    if len(serial) > 1 and len(set(serial.values())) == 1:
        return [f"one step at a time: {next(iter(serial.values()))}"]
    texts = [f"{recipe} one step at a time: {why}" for recipe, why in serial.items()]
    more = [f"{len(texts) - _MOST} more recipes one step at a time"] if texts[_MOST:] else []
    return texts[:_MOST] + more


def _jobs(config: pytest.Config) -> str:
    """Return the number of jobs for the header; empty for one job."""
    wanted = settings.jobs(config, default=1)
    if wanted == 1:
        return ""
    jobs, limit = settings.slots(config, default=1)
    less = f" of {wanted} (`{limit}` allows no more)" if limit else ""
    return f", {counted(jobs, 'job')}{less}"
