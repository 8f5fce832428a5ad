"""Journal of a session: creation of the run folder, test events, seal and report page."""

import contextlib
import json
import os
import platform
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import (
    SCHEMA_VERSION,
    SENT_NOT_CONFIRMED,
    AnyEvent,
    CollectionFailed,
    RecipeStarted,
    RunFinished,
    RunStarted,
    StepFinished,
    TestReported,
)
from pytest_orchestrator.core.files import replacing
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.plugin.interrupts import end_cause, interrupt_text, interrupts_deferred
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.options.values import value_of
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.reporting.progress import print_line
from pytest_orchestrator.plugin.results.blocks import (
    ATTRIBUTE,
    LATE,
    carried,
    key_of,
)
from pytest_orchestrator.plugin.session import run_end
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.history import retention
from pytest_orchestrator.runs.journal.reader import JournalIndex
from pytest_orchestrator.runs.journal.writer import sealed_files
from pytest_orchestrator.runs.provenance import provenance

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.runs.journal.writer import Journal

NAME = "orchestrator-journaling"
SNAPSHOT = "context.json"
_METADATA = lazy_pattern(r"^(Name|Version): *(\S+)", re.MULTILINE)


def begin(session: pytest.Session, state: "SessionState") -> None:
    """Make the run folder and begin its journal; do nothing in an xdist worker.

    Raises:
        UsageError: The folder or the journal cannot be made.
    """
    config, recorder = session.config, state.recorder
    if recorder is None or recorder.journal is not None:
        return
    try:
        earlier = state.resumed.run if state.resumed else None
        journal = state.folder.open()
        runs, current = settings.run_dir(config), state.folder.path.name
        keep = value_of(config, "recipe_keep_runs")
        retention.delete(lookup.prunable(runs, keep, current, spared=earlier))
        retention.delete_settled(runs)
        config.add_cleanup(journal.close)
        state.lines = JournalIndex(journal.path)
        journal.on_written = _on_written(state, state.lines)
        config.add_cleanup(state.lines.close)
        failed = [uncollected(report, state) for report in state.uncollected]
        started = state.started = _started(config, state)
        recorder.begin(journal, [started, *failed])
        if state.resumed is not None:
            state.resumed.write()
    except (OSError, JournalError) as error:
        raise pytest.UsageError(f"the folder of this run cannot be made: {error}") from None
    config.pluginmanager.register(SessionJournal(session, state, recorder, journal), NAME)
    if config.hook.pytest_recipe_report_info.get_hookimpls():
        from pytest_orchestrator.plugin.journal.report_info import ReportInfos

        infos = ReportInfos(config, state, journal)
        config.pluginmanager.register(infos, "orchestrator-report-info")


def _on_written(state: "SessionState", lines: JournalIndex) -> Callable[[AnyEvent, int], None]:
    """Return the callback for lines of the journal: the index, and the file of measurements."""
    path = settings.measurement_file(state.config)
    if path is None:
        return lines.note
    from pytest_orchestrator.plugin.journal import measurement_file

    return measurement_file.begin(state, path).after(lines.note)


def _started(config: pytest.Config, state: "SessionState") -> RunStarted:
    versions: dict[str, Any] = {"pytest": pytest.__version__, "plugins": _plugins(config)}
    station = state.station
    if station is not None:
        file = {"name": station.name, "path": station.id, "sha256": station.sha256}
        laboratory = station.laboratory
        if laboratory is not None:
            file["laboratory"] = ", ".join(filter(None, (laboratory.name, laboratory.address)))
        if station.place:
            file["place"] = station.place
        versions["station_file"] = file
    return RunStarted(
        schema_version=SCHEMA_VERSION,
        run=state.folder.path.name,
        root=str(config.rootpath),
        argv=tuple(map(state.masked, map(str, config.invocation_params.args))),
        host=platform.node(),
        environment=state.masked(provenance(config.rootpath) | versions),
        resumed_from=state.resumed.run if state.resumed else None,
        replay=state.replay.run if state.replay else "",
    )


def _plugins(config: pytest.Config) -> dict[str, str]:
    """Return the versions of the installed pytest plugins by name.

    A regular expression reads the metadata, because the metadata parser is slow.
    """
    versions = {}
    for _, dist in config.pluginmanager.list_plugin_distinfo():
        text = dist.read_text("METADATA") or dist.read_text("PKG-INFO") or ""
        fields = dict(_METADATA.findall(text.partition("\n\n")[0]))
        if fields.keys() == {"Name", "Version"}:
            versions[fields["Name"]] = fields["Version"]
    return versions


class SessionJournal(Plugin):
    """Plugin that writes the journal of a session; registered after the run folder is made."""

    def __init__(
        self,
        session: pytest.Session,
        state: "SessionState",
        recorder: "JournalRecorder",
        journal: "Journal",
    ) -> None:
        self._session = session
        self._state = state
        self._recorder = recorder
        self._journal = journal
        self._item_events = ItemEvents(state)
        self._worker_steps = WorkerSteps(state, recorder)
        self._cause = ""
        self._ending = contextlib.ExitStack()
        self._has_dead_workers = False
        self._has_internal_error = False
        self._pending_finally = 0
        self._shown_error = ""
        # With --dist each, workers share only their reports with this process.
        self._each = session.config.getoption("dist", "no") == "each"
        recorder.failed = self._fail

    def _fail(self, error: JournalError) -> None:
        """Stop the session, because the journal cannot record further steps."""
        self._session.shouldfail = self._session.shouldfail or str(error)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record an item at its last report; with --dist each also steps that workers report."""
        if self._each and hasattr(report, "node"):
            for block in carried(report):
                self._worker_steps.finished(block)
        event = self._item_events.take(report)
        if event is not None:
            self._recorder.append_if_possible(event)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that could not be collected."""
        if report.failed:
            self._recorder.append_if_possible(uncollected(report, self._state))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Record the steps that a worker sent when it ended; only with --dist each."""
        late = getattr(node, "workeroutput", {}).get(LATE, ()) if self._each else ()
        for block in late if self._each else ():
            self._worker_steps.finished(block)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self) -> None:
        """Remember that an xdist worker died while it ran an item."""
        self._has_dead_workers = True

    @pytest.hookimpl(tryfirst=True, specname="pytest_sessionfinish")
    def pytest_sessionfinish_abandoned(self) -> None:
        """Report the finally steps that dead workers did not run, after all workers have ended."""
        if self._has_dead_workers and not self._each:
            from pytest_orchestrator.plugin.reporting import worker_reports

            self._pending_finally = worker_reports.report_pending_finally(self._state)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Say at the very end which instruments are not, or not certainly, in their safe state."""
        for name in self._state.lines.unconfirmed if self._state.lines else ():
            print_line(self._session.config, f"the safe state of {name}: {SENT_NOT_CONFIRMED}")
        if self._has_dead_workers and self._state.station is not None:
            from pytest_orchestrator.plugin.instruments import owed

            owed.say_left_by_dead_workers(self._session.config, self._state.folder.path)

    @pytest.hookimpl(tryfirst=True, specname="pytest_sessionfinish")
    def pytest_sessionfinish_checked(self, session: pytest.Session) -> None:
        """Report a lost journal as an error and set the exit status, before reports are written."""
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
                self._recorder.fail(error)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = self._exit_code(session)

    def _exit_code(self, session: pytest.Session) -> pytest.ExitCode:
        """Return the exit code that replaces exit code 0, or 0 itself if nothing failed."""
        if self._has_internal_error:  # xdist forgets the internal error of a worker
            return pytest.ExitCode.INTERNAL_ERROR
        # pytest.exit(…, 0) in a step leaves steps out, but does not hide a failure.
        is_cut = self._item_events.counts.get("not run") and not self._cause
        failed = self._journal.failed is not None or session.testsfailed or is_cut
        failed = failed or self._state.by_hand
        return pytest.ExitCode.TESTS_FAILED if failed else pytest.ExitCode.OK

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the error of a failed journal ahead of the summary tables."""
        if self._journal.failed is not None:
            self._shown_error = str(self._journal.failed)
            terminalreporter.ensure_newline()
            terminalreporter.write_line(f"orchestrator: {self._shown_error}", red=True)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Store the text of the interrupt that ended the session."""
        self._cause = interrupt_text(excinfo.value)

    def pytest_internalerror(self) -> None:
        """Remember that pytest, or an xdist worker, had an internal error."""
        self._has_internal_error = True

    @pytest.hookimpl(specname="pytest_sessionfinish")
    def pytest_sessionfinish_reports(self) -> None:
        """Defer interrupts until the reports are written."""
        self._ending.enter_context(interrupts_deferred())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Seal the journal and write the report page, after all reports are written."""
        try:
            return (yield)
        finally:
            for event in self._item_events.rest():
                self._recorder.append_if_possible(event)
            with contextlib.suppress(JournalError):
                self._seal()
            self._journal.close()
            if self._journal.failed is not None:
                self._fail_session(session, self._journal.failed)
            else:
                run_end.write_files(session.config, self._state.folder.path)
            try:
                self._ending.close()
            except KeyboardInterrupt as end:
                pytest.exit(interrupt_text(end), returncode=pytest.ExitCode.INTERRUPTED)
            if self._journal.failed is None:
                run_end.follow_up(self._state)

    def _seal(self) -> None:
        session, folder = self._session, self._state.folder.path
        # Before the lock of the journal: a Context change takes the Context's lock first.
        _write(folder / SNAPSHOT, self._snapshot())
        files = sealed_files(folder)
        reason = end_cause(session, self._cause)
        debts = self._state.lines.debts if self._state.lines else ()
        self._journal.seal(
            lambda lines: RunFinished(
                exit_status=int(session.exitstatus),
                lines=lines,
                reason=self._state.masked(reason),
                counts=self._item_events.counts,
                files=files,
                owed=self._pending_finally,
                debts=len(debts),
            )
        )

    def _snapshot(self) -> dict[str, Any]:
        """Return the masked final values of the session's Context and of recipes' own Contexts."""

        def values(context: Any) -> dict[str, Any]:
            masked = self._state.masked_value
            return {key: masked(value) for key, value in context.to_dict().items()}

        scopes = [*self._state.scopes.items()]
        return {
            "values": values(self._state.context),
            "scopes": {key: values(context) for key, context in scopes},
        }

    def _fail_session(self, session: pytest.Session, error: JournalError) -> None:
        """Turn exit status 0 into a failure; print the journal error unless already printed."""
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        terminal: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self._shown_error != str(error):
            terminal.ensure_newline()
            terminal.write_line(f"orchestrator: {error}", red=True)


def _write(path: Path, value: dict[str, Any]) -> None:
    """Write a value to a JSON file atomically; ignore OSError, because the file is only a cache."""
    with contextlib.suppress(OSError):
        with replacing(path) as file:
            file.write(json.dumps(value, ensure_ascii=False).encode())
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


_PLACE = lazy_pattern(r"^(?:.*?:)?(\d+):(\d+): (?:error: )?(.+)$", re.MULTILINE)

Outcome = Literal[
    "passed", "failed", "skipped", "xfailed", "xpassed", "error", "interrupted", "not run"
]


class ItemEvents:
    """Merger that combines the reports of each item into one journal event.

    Attributes:
        counts: Number of items by outcome.
    """

    def __init__(self, state: "SessionState") -> None:
        self.counts: dict[str, int] = {}
        self._state = state
        self._reports: dict[tuple[str, str], list[pytest.TestReport]] = {}
        self._steps: dict[tuple[str, str], tuple[str, str, str]] = {}

    def take(self, report: pytest.TestReport) -> TestReported | None:
        """Add a report; return the item's event after its last report, else None.

        The result is also None if a plugin reruns the item.
        """
        key = getattr(report, "worker_id", "main"), report.nodeid
        reports = self._reports.setdefault(key, [])
        reports.append(report)
        block = getattr(report, ATTRIBUTE, None)
        if block is not None:
            step = block["step"]
            self._steps[key] = key_of(block), step["name"], step["state"]
        # xdist's report of a dead worker has no stage, and no report follows it.
        return None if report.when in ("setup", "call") else self._event(key)

    def rest(self) -> list[TestReported]:
        """Return the events of items whose last report never came.

        An item has no event if it was interrupted after a passed setup and before its call was
        reported.
        """
        keys = [
            key
            for key, reports in self._reports.items()
            if any(one.when == "call" or not one.passed for one in reports)
        ]
        return [event for key in keys if (event := self._event(key))]

    def _event(self, key: tuple[str, str]) -> TestReported | None:
        reports = self._reports.pop(key)
        recipe, step, state = self._steps.pop(key, (None, None, ""))
        seconds, text, main, call = 0.0, "", None, reports[-1]
        for one in reports:
            outcome: str = one.outcome
            if outcome == "rerun":
                return None  # a plugin reruns the item
            seconds += one.duration
            if outcome == "failed":
                text += f"{text and chr(10)}{one.longreprtext}"
            if main is None and _outcome(one) != "passed":
                main = one
            if one.when == "call":
                call = one
        main = main or call
        outcome = _outcome(main, state)
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        masked = self._state.masked
        return TestReported(
            node=main.nodeid,
            outcome=outcome,
            seconds=round(seconds, 6),
            recipe=recipe,
            step=step,
            reason=masked(_reason(main)),
            text=masked(text),
            worker=key[0],
        )


def uncollected(report: pytest.CollectReport, state: "SessionState") -> CollectionFailed:
    """Return the journal event for a file that pytest could not collect."""
    text = state.masked(report.longreprtext)
    match = _PLACE.search(text)
    line, column, reason = (int(match[1]), int(match[2]), match[3]) if match else (0, 0, "")
    crash = getattr(report.longrepr, "reprcrash", None)
    if not match and crash is not None:
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
    if state == "not run" and not report.passed:  # its setup may have been interrupted
        return "not run"
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    if report.failed and report.when in ("setup", "teardown"):
        return "error"
    return report.outcome


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    longrepr: Any = report.longrepr
    if longrepr is None:
        return ""
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    return str(crash.message if crash else longrepr).strip().partition("\n")[0]


_OUTCOMES = {"xfailed": "failed", "error": "failed", "xpassed": "passed"}


class WorkerSteps:
    """Recorder of steps of ``--dist each`` workers, from report blocks that the workers sent.

    Args:
        state: The session state of the controller.
        recorder: The journal recorder.
    """

    def __init__(self, state: "SessionState", recorder: "JournalRecorder") -> None:
        self._state = state
        self._recorder = recorder

    def finished(self, block: dict[str, Any]) -> None:
        """Record a finished step from its report block, after the start of its recipe."""
        recipe, step = block["recipe"], block["step"]
        key = key_of(block)
        state = step["state"]
        outcome = _OUTCOMES.get(state, state)
        event = StepFinished(
            recipe=key,
            step=step["name"],
            outcome=outcome,
            meets=outcome in ("passed", "skipped") or "continue_on_error" in step,
            block=block,
        )
        with contextlib.suppress(JournalError):
            loaded = self._recipe(recipe["path"], key)
            if loaded is None:
                self._recorder.append_start(RecipeStarted(recipe=key, about=recipe, steps=()))
            else:
                self._recorder.record_start(loaded, recipe)
            self._recorder.append(event)

    def _recipe(self, path: str, key: str) -> "Recipe | None":
        """Return the recipe that a worker ran; None if this process cannot load the recipe."""
        from pytest_orchestrator.recipe import RecipeError

        try:
            cells = self._state.cells(self._state.config.rootpath / path)
        except (RecipeError, OSError):
            return None
        return next((cell for cell in cells if cell.key == key), None)
