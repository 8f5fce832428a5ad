"""pytest-xdist: steps for which a worker had to be ended from outside.

xdist tells that a worker has crashed. Of such a one it is known that the time of its step was
over, so that this is told, and kept for the worker that takes its place.
"""

from pathlib import Path
from typing import Any

from pytest_orchestrator.execution.lanes import watchdog
from pytest_orchestrator.plugin import explaining
from pytest_orchestrator.plugin.blocks import ATTRIBUTE, NEEDED
from pytest_orchestrator.plugin.state import state_of
from pytest_orchestrator.runs import watchdog_entry
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import NAME


def tell(report: Any, guarded: Path) -> None:
    """Let a report and the journal say for what a worker was ended, where it was.

    Args:
        report: What xdist is about to tell of the item that the worker was running.
        guarded: The file of the worker's guard.
    """
    word = watchdog.ended_by_watchdog(guarded)
    if word is None:
        return
    state = state_of(report.node.config)
    text, told = word[0], watchdog_entry.WatchdogReport.of(word[1][1:])
    shown = explaining.raised(text.removeprefix("orchestrator: ")).getrepr(style="value")
    explaining.blame(shown, state.config.rootpath / told.path, told.line, told.reason)
    report.longrepr = shown
    journal = state.folder.path / NAME
    entries = read_journal(journal).entries if journal.exists() else []
    event = watchdog_entry.timeout_event(entries, told, report.node.gateway.id)
    if event is None or state.keeper is None:
        return
    state.keeper.tell(event)
    if event.block["step"]["node"] != report.nodeid:
        setattr(report, NEEDED, [event.block])
        return
    setattr(report, ATTRIBUTE, event.block)
    report._json_report_extra = {"metadata": {ATTRIBUTE: event.block}}  # noqa: SLF001 - its name
