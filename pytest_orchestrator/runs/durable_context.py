"""Durable Context: each change is written to a file before it counts."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.history import History
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import SCHEMA_VERSION, Change, ContextChanged, RunStarted
from pytest_orchestrator.runs.journal import reader
from pytest_orchestrator.runs.journal.chain import Chain, Entry
from pytest_orchestrator.runs.journal.writer import Journal

_RUN: Final = "serve"
"""Value of the field that has the run id in the journal of a session."""


class NotKept(OrchestratorError):
    """A file does not contain a Context that can be continued."""

    slug = "not-kept"


class DurableContext(NamedTuple):
    """A Context and its file.

    Attributes:
        context: The Context with all changes in the file.
        journal: The writer that records each further change before it counts; close it at the end.
        torn: Number of bytes of a last change that was not written completely and was removed.
    """

    context: Context
    journal: Journal
    torn: int


def open_durable_context(path: Path) -> DurableContext:
    """Continue the Context of a file, or create the file.

    Args:
        path: The file.

    Raises:
        NotKept: The file is damaged, or is not the file of a Context.
        JournalError: The file cannot be written, or another process writes it.
        OSError: The file cannot be read.
    """
    if not path.exists() or not path.stat().st_size:
        path.unlink(missing_ok=True)
        journal, read = Journal(path), None
        journal.append(RunStarted(schema_version=SCHEMA_VERSION, run=_RUN))
    else:
        read = reader.read_journal(path)
        _check(path, read)
        journal = Journal(path, Chain(read.chain.length, read.chain.hash))
        if path.stat().st_size != read.size + read.torn:
            journal.close()
            raise NotKept(f"{path} was changed while it was read; try again")
        os.truncate(path, read.size)
        if not read.entries:
            journal.append(RunStarted(schema_version=SCHEMA_VERSION, run=_RUN))
    context = Context("serve")
    if read is not None:
        context.restore(_snapshot(read.entries))
    context.observed(journal.append)
    return DurableContext(context, journal, read.torn if read else 0)


def _check(path: Path, read: reader.Reading) -> None:
    first = read.entries[0].event if read.entries else None
    if read.damage is not None and read.entries:
        raise NotKept(f"{path} is damaged: {read.damage}; nothing was changed")
    if read.entries and not (isinstance(first, RunStarted) and first.run == _RUN):
        raise NotKept(f"{path} is the journal of a run; take a file of its own")
    if not read.entries and (read.damage is not None or not _may_be_torn(path)):
        raise NotKept(f"{path} is no file of a Context; take another one")


def _may_be_torn(path: Path) -> bool:
    """Return True if the file may be the beginning of a first line."""
    with path.open("rb") as file:
        return b'{"n":1,'.startswith(file.read(7))


def _snapshot(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return a snapshot for `Context.restore`, made of the changes in a journal."""
    changes: dict[str, list[Change]] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, ContextChanged):
            index = event.new if event.op == "pop" else None
            change = Change(event.key, entry.ts, event.who, event.op, None, event.new, index)
            changes.setdefault(event.key, []).append(change)
    values, histories = {}, {}
    for key, listed in changes.items():
        history = History()
        history.adopt(key, listed)
        histories[key] = [change.as_dict() for change in history.of(key)]
        history.add(key, "", "delete", None)
        if listed[-1].op != "delete":
            values[key] = history.of(key)[-1].old
    return {"version": 1, "values": values, "history": histories}
