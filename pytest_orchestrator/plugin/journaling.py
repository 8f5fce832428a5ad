"""The journal of a session, from its first line to its seal."""

import contextlib
import json
import os
import platform
import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import SCHEMA_VERSION, RunFinished, RunStarted
from pytest_orchestrator.plugin import pages, settings
from pytest_orchestrator.plugin.blocks import carried
from pytest_orchestrator.plugin.elsewhere import Elsewhere
from pytest_orchestrator.plugin.interrupts import interrupts_wait
from pytest_orchestrator.plugin.tables import LATE
from pytest_orchestrator.plugin.tested import Tested, uncollected
from pytest_orchestrator.runs.journal.reader import Lines
from pytest_orchestrator.runs.journal.writer import sealed_files
from pytest_orchestrator.runs.provenance import provenance

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.keeping import Keeper
    from pytest_orchestrator.plugin.state import State
    from pytest_orchestrator.runs.journal.writer import Journal

NAME = "orchestrator-journaling"
SNAPSHOT = "context.json"
_METADATA = re.compile(r"^(Name|Version): *(\S+)", re.MULTILINE)


def begin(session: pytest.Session, state: "State") -> None:
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
    config.pluginmanager.register(Journaling(session, state, keeper, journal), NAME)


def _started(config: pytest.Config, state: "State") -> RunStarted:
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


class Journaling:
    """Follows a session and writes its journal; registered once the run has a folder."""

    def __init__(
        self, session: pytest.Session, state: "State", keeper: "Keeper", journal: "Journal"
    ) -> None:
        self._session = session
        self._state = state
        self._keeper = keeper
        self._journal = journal
        self._tested = Tested(state)
        self._elsewhere = Elsewhere(state, keeper)
        self._cause = ""
        self._ending = contextlib.ExitStack()
        self._dead: list[str] = []
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
    def pytest_handlecrashitem(self, report: Any) -> None:
        """Take note of a worker that died in the middle of an item."""
        self._dead.append(report.node.gateway.id)

    @pytest.hookimpl(tryfirst=True, specname="pytest_sessionfinish")
    def pytest_sessionfinish_abandoned(self) -> None:
        """Tell what workers have left, now that all of them are gone and nothing is reported."""
        if self._dead and not self._each:
            from pytest_orchestrator.plugin import abandoned

            self._owed = abandoned.tell(self._state, self._keeper, self._dead)

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
                pages.write(session.config, self._state.folder.path)
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
                reason=self._state.masked(reason),
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
