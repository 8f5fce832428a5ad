"""Journal of a command that uses instruments or drops debts, beside the runs of the project."""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_orchestrator.core.events import SCHEMA_VERSION, AnyEvent, RunFinished, RunStarted
from pytest_orchestrator.runs.folder import RunFolder, free_id, instruments_folder
from pytest_orchestrator.runs.journal.debts import Debts
from pytest_orchestrator.runs.provenance import provenance


@contextmanager
def command_journal(
    base: Path, root: Path, argv: tuple[str, ...]
) -> Iterator[Callable[[AnyEvent], None]]:
    """Open a journal, and seal it at the end of the block; yield the function that appends to it.

    An event is on the disk when that function returns.

    Args:
        base: The folder of the runs.
        root: The rootdir.
        argv: The arguments of the command.

    Raises:
        OSError: The folder cannot be created.
        JournalError: The journal cannot be written.
    """
    store = instruments_folder(base)
    run, debts = free_id(store), Debts()
    journal = RunFolder(store, run).open()
    journal.on_written = lambda event, _: debts.fold(event)

    def append(event: AnyEvent) -> None:
        journal.append(event)
        journal.sync()

    status = 1
    try:
        append(
            RunStarted(
                schema_version=SCHEMA_VERSION,
                run=run,
                root=str(root),
                argv=argv,
                host=platform.node(),
                environment=provenance(root),
            )
        )
        yield append
        status = 0
    finally:
        journal.seal(lambda n: RunFinished(exit_status=status, lines=n, debts=len(debts)))
