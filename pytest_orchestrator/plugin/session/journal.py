"""Journal of a session: run folder, test events, seal, report page."""

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import (
    SCHEMA_VERSION,
    CollectionFailed,
    RecipeStarted,
    RunFinished,
    RunStarted,
    StepFinished,
    TestReported,
)
from pytest_orchestrator.core.text import MAX_CAUSE, clipped
from pytest_orchestrator.plugin.interrupts import interrupts_wait
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE, LATE, carried, key_of, told_of
from pytest_orchestrator.runs.journal.reader import Lines
from pytest_orchestrator.runs.journal.writer import NAME as JOURNAL
from pytest_orchestrator.runs.journal.writer import sealed_files
from pytest_orchestrator.runs.provenance import provenance

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.runs.journal.writer import Journal

NAME = "orchestrator-journaling"
SNAPSHOT = "context.json"
_METADATA = re.compile(r"^(Name|Version): *(\S+)", re.MULTILINE)


def begin(session: pytest.Session, state: "SessionState") -> None:
    """Make the folder of the run and begin its journal; not in a worker of xdist.

    Raises:
        UsageError: One of both cannot be made.
    """
    config, keeper = session.config, state.keeper
    if keeper is None or keeper.sink is not None:
        return
    try:
        earlier = state.resuming.run if state.resuming else None
        journal = state.folder.open(settings.keep_runs(config), earlier)
        config.add_cleanup(journal.close)
        state.lines = Lines(journal.path)
        journal.wrote = state.lines.note
        config.add_cleanup(state.lines.close)
        failed = [uncollected(report, state) for report in state.uncollected]
        started = state.started = _started(config, state)
        keeper.begin(journal, [started, *failed])
        if state.resuming is not None:
            state.resuming.write()
    except (OSError, JournalError) as error:
        raise pytest.UsageError(f"the folder of this run cannot be made: {error}") from None
    config.pluginmanager.register(SessionJournal(session, state, keeper, journal), NAME)


def _started(config: pytest.Config, state: "SessionState") -> RunStarted:
    known = {"pytest": pytest.__version__, "plugins": _plugins(config)}
    return RunStarted(
        schema_version=SCHEMA_VERSION,
        run=state.folder.path.name,
        root=str(config.rootpath),
        argv=tuple(map(state.masked, map(str, config.invocation_params.args))),
        host=platform.node(),
        environment=state.masked(provenance(config.rootpath) | known),
        resumed_from=state.resuming.run if state.resuming else None,
    )


def _plugins(config: pytest.Config) -> dict[str, str]:
    """Return the versions of pytest's plugins; to have their metadata parsed takes long."""
    found = {}
    for _, dist in config.pluginmanager.list_plugin_distinfo():
        text = dist.read_text("METADATA") or dist.read_text("PKG-INFO") or ""
        told = dict(_METADATA.findall(text.partition("\n\n")[0]))
        if told.keys() == {"Name", "Version"}:
            found[told["Name"]] = told["Version"]
    return found


class SessionJournal:
    """Follows a session and writes its journal; registered once the run has a folder."""

    def __init__(
        self,
        session: pytest.Session,
        state: "SessionState",
        keeper: "JournalRecorder",
        journal: "Journal",
    ) -> None:
        self._session = session
        self._state = state
        self._keeper = keeper
        self._journal = journal
        self._tested = ItemEvents(state)
        self._elsewhere = WorkerSteps(state, keeper)
        self._cause = ""
        self._ending = contextlib.ExitStack()
        self._has_dead = False
        self._owed = 0
        self._told = ""
        # Workers that run everything each share nothing with this process but their reports.
        self._each = session.config.getoption("dist", "no") == "each"
        keeper.failed = self._fail

    def _fail(self, error: JournalError) -> None:
        """Let nothing more run that nobody would know of."""
        self._session.shouldfail = self._session.shouldfail or str(error)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what pytest says of an item, and what a worker says of its steps."""
        if hasattr(report, "node") and self._each:
            for block in carried(report):
                self._elsewhere.finished(block)
        told = self._tested.take(report)
        if told is not None:
            self._keeper.tell(told)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what a worker could not collect."""
        if report.failed:
            self._keeper.tell(uncollected(report, self._state))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Keep what a worker has said after all reports."""
        late = getattr(node, "workeroutput", {}).get(LATE, ()) if self._each else ()
        for block in late if self._each else ():
            self._elsewhere.finished(block)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self) -> None:
        """Take note of a worker that died in the middle of an item."""
        self._has_dead = True

    @pytest.hookimpl(tryfirst=True, specname="pytest_sessionfinish")
    def pytest_sessionfinish_abandoned(self) -> None:
        """Tell what workers have left, now that all of them are gone and nothing is reported."""
        if self._has_dead and not self._each:
            from pytest_orchestrator.plugin.reporting import worker_reports

            self._owed = worker_reports.report_pending_finally(self._state)

    @pytest.hookimpl(tryfirst=True, specname="pytest_sessionfinish")
    def pytest_sessionfinish_checked(self, session: pytest.Session) -> None:
        """Report a journal that was lost after the last step, while reports are still written."""
        if self._journal.failed is None:
            try:
                self._journal.check()
            except JournalError as error:
                path = os.path.relpath(self._journal.path, session.config.rootpath)
                session.config.hook.pytest_runtest_logreport(
                    report=pytest.TestReport(
                        nodeid=path,
                        location=(path, 0, "journal"),
                        keywords={},
                        outcome="failed",
                        longrepr=str(error),
                        when="teardown",
                    )
                )
                self._keeper.fail(error)
        # pytest.exit(…, 0) in a step says nothing of what failed.
        failed = self._journal.failed is not None or session.testsfailed
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say first that the journal is not whole: what follows is all that there is."""
        if self._journal.failed is not None:
            self._told = str(self._journal.failed)
            terminalreporter.ensure_newline()
            terminalreporter.write_line(f"orchestrator: {self._told}", red=True)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Take note of who has ended the session."""
        self._cause = str(excinfo.value) or "Ctrl-C"

    @pytest.hookimpl(specname="pytest_sessionfinish")
    def pytest_sessionfinish_reports(self) -> None:
        """Let an interrupt wait for the reports, now that all steps have run."""
        self._ending.enter_context(interrupts_wait())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Seal the journal when all reports are made."""
        try:
            return (yield)
        finally:
            for told in self._tested.rest():
                self._keeper.tell(told)
            with contextlib.suppress(JournalError):
                self._seal()
            self._journal.close()
            if self._journal.failed is not None:
                self._tell_failed(session, self._journal.failed)
            else:
                write_pages(session.config, self._state.folder.path)
            try:
                self._ending.close()
            except KeyboardInterrupt as end:
                pytest.exit(str(end) or "Ctrl-C", returncode=pytest.ExitCode.INTERRUPTED)

    def _seal(self) -> None:
        session, folder = self._session, self._state.folder.path
        # Before the journal is held: who changes the Context holds that first.
        _write(folder / SNAPSHOT, self._snapshot())
        files = sealed_files(folder)
        reason = str(session.shouldfail or session.shouldstop or "") or self._cause
        self._journal.seal(
            lambda lines: RunFinished(
                exit_status=int(session.exitstatus),
                lines=lines,
                reason=self._state.masked(clipped(reason, MAX_CAUSE)),
                counts=self._tested.counts,
                files=files,
                owed=self._owed,
            )
        )

    def _snapshot(self) -> dict[str, Any]:
        """Return the values of the Context at the end, those of recipes' own among them."""

        def values(context: Any) -> dict[str, Any]:
            masked = self._state.masked_value
            return {key: masked(value) for key, value in context.to_dict().items()}

        scopes = [*self._state.scopes.items()]
        return {
            "values": values(self._state.context),
            "scopes": {key: values(context) for key, context in scopes},
        }

    def _tell_failed(self, session: pytest.Session, error: JournalError) -> None:
        """Let the session fail, and say why where the terminal has not yet."""
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        terminal: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self._told != str(error):
            terminal.ensure_newline()
            terminal.write_line(f"orchestrator: {error}", red=True)


def _write(path: Path, value: dict[str, Any]) -> None:
    """Write a file that is there whole or not at all; it is a cache, so it may be missing."""
    partial = path.with_suffix(".partial")
    with contextlib.suppress(OSError):
        with partial.open("w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


_PLACE = re.compile(r"^(?:.*?:)?(\d+):(\d+): (?:error: )?(.+)$", re.MULTILINE)

Outcome = Literal[
    "passed", "failed", "skipped", "xfailed", "xpassed", "error", "interrupted", "not run"
]


class ItemEvents:
    """Puts the reports of an item together: one event for each item.

    Attributes:
        counts: Number of items by what pytest says of them.
    """

    def __init__(self, state: "SessionState") -> None:
        self.counts: dict[str, int] = {}
        self._state = state
        self._reports: dict[tuple[str, str], list[pytest.TestReport]] = {}
        self._steps: dict[tuple[str, str], tuple[str, str, str]] = {}

    def take(self, report: pytest.TestReport) -> TestReported | None:
        """Take a report; return what is to be told once it is the last one of an item."""
        key = getattr(report, "worker_id", "main"), report.nodeid
        reports = self._reports.setdefault(key, [])
        reports.append(report)
        block = getattr(report, ATTRIBUTE, None)
        if block is not None:
            step = block["step"]
            self._steps[key] = key_of(block), step["name"], step["state"]
        # What xdist reports of a worker that died has no stage, and nothing follows it.
        return None if report.when in ("setup", "call") else self._told(key)

    def rest(self) -> list[TestReported]:
        """Return what is to be told of items that did not come to their end.

        Of one that was cut off before it was known what becomes of it there is nothing.
        """
        known = [
            key
            for key, reports in self._reports.items()
            if any(one.when == "call" or not one.passed for one in reports)
        ]
        return [told for key in known if (told := self._told(key))]

    def _told(self, key: tuple[str, str]) -> TestReported | None:
        reports = self._reports.pop(key)
        recipe, step, state = self._steps.pop(key, (None, None, ""))
        if any(report.outcome == "rerun" for report in reports):  # type: ignore[comparison-overlap]
            return None  # it is about to be run again
        main = next((one for one in reports if _outcome(one) != "passed"), reports[-1])
        if main.passed and not hasattr(main, "wasxfail"):
            main = next((one for one in reports if one.when == "call"), main)
        outcome = _outcome(main, state)
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        masked = self._state.masked
        text = "\n".join(one.longreprtext for one in reports if one.failed)
        return TestReported(
            node=main.nodeid,
            outcome=outcome,
            seconds=round(sum(one.duration for one in reports), 6),
            recipe=recipe,
            step=step,
            reason=masked(_reason(main)),
            text=masked(text),
            worker=key[0],
        )


def uncollected(report: pytest.CollectReport, state: "SessionState") -> CollectionFailed:
    """Return what is to be told of a file that could not be collected."""
    text = state.masked(report.longreprtext)
    found = _PLACE.search(text)
    line, column, reason = (int(found[1]), int(found[2]), found[3]) if found else (0, 0, "")
    crash = getattr(report.longrepr, "reprcrash", None)
    if not found and crash is not None:
        line, reason = crash.lineno, str(crash.message).partition("\n")[0]
    if not reason:
        lines = text.strip().splitlines()
        reason = lines[-1].removeprefix("E").strip() if lines else ""
    return CollectionFailed(
        path=report.nodeid, text=text, line=line, column=column, reason=state.masked(reason)
    )


def _outcome(report: pytest.TestReport, state: str = "") -> Outcome:
    if state == "interrupted" and report.failed:
        return "interrupted"
    if state == "not run" and not report.passed:  # it may be interrupted in its setup
        return "not run"
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    if report.failed and report.when in ("setup", "teardown"):
        return "error"
    return report.outcome


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    shown: Any = report.longrepr
    if shown is None:
        return ""
    if isinstance(shown, tuple):
        return str(shown[2]).removeprefix("Skipped: ")
    crash = getattr(shown, "reprcrash", None)
    return str(crash.message if crash else shown).strip().partition("\n")[0]


_OUTCOMES = {"xfailed": "failed", "error": "failed", "xpassed": "passed"}


class WorkerSteps:
    """Makes events of the blocks of such steps.

    Args:
        state: The state of the controller.
        keeper: Keeps the events.
    """

    def __init__(self, state: "SessionState", keeper: "JournalRecorder") -> None:
        self._state = state
        self._keeper = keeper
        self._begun: set[str] = set()

    def finished(self, block: dict[str, Any]) -> None:
        """Keep what the block of a step tells."""
        recipe, step = block["recipe"], block["step"]
        key = key_of(block)
        if key not in self._begun:
            self._begun.add(key)
            steps = self._steps(recipe["path"], key)
            self._keeper.tell(RecipeStarted(recipe=key, about=recipe, steps=steps))
        state = step["state"]
        outcome = _OUTCOMES.get(state, state)
        self._keeper.tell(
            StepFinished(
                recipe=key,
                step=step["name"],
                outcome=outcome,
                meets=outcome in ("passed", "skipped") or "continue_on_error" in step,
                block=block,
            )
        )

    def _steps(self, path: str, key: str) -> tuple[dict[str, Any], ...]:
        from pytest_orchestrator.recipe import RecipeError

        config = self._state.config
        try:
            cells = self._state.cells(config.rootpath / path)
        except (RecipeError, OSError):
            return ()
        found = [cell for cell in cells if cell.key == key]
        return told_of(config, found[0])[1] if found else ()


_BEFORE = 1_000_000
"""Bytes of the journals of earlier runs that are read for curves, so that the end is quick."""

_LARGE = 8_000_000
"""Bytes of a journal, of some 5,000 steps, that is not read within pytest: all of it at once
takes ten times as much memory as pytest has for the steps, and pytest would keep that."""

_APART = f"""\
import sys
from pathlib import Path
from pytest_orchestrator.reports.views import write_all
try:
    write_all(Path(sys.argv[1]), {_BEFORE})
except OSError as error:
    sys.exit(str(error))
"""


def write_pages(config: pytest.Config, folder: Path) -> None:
    """Write them, unless the ini key says no.

    What goes wrong here changes nothing of the run: it is told, and they can be made later.
    """
    if not config.getini("recipe_html"):
        return
    from pytest_orchestrator.reports.views import write_all

    try:
        if (folder / JOURNAL).stat().st_size > _LARGE:
            _write_apart(folder)
        else:
            write_all(folder, _BEFORE)
    except OSError as error:
        _tell(config, f"report.html could not be written: {error}")


def _write_apart(folder: Path) -> None:
    """Write them in a process of its own.

    Raises:
        OSError: It could not do so.
    """
    done = subprocess.run(
        [sys.executable, "-c", _APART, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise OSError(lines[-1])


def _tell(config: pytest.Config, text: str) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(f"orchestrator: {text}", yellow=True)
