"""Debts of earlier runs at the command line: who owes them, and how one is dropped by hand.

Each change is in a journal of its own beside the runs; the journal of the debtor stays as it is.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli.arguments import UsageError, nearest_of
from pytest_orchestrator.cli.project import project, runs_folder
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import AnyEvent, InstrumentSafe
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station
    from pytest_orchestrator.runs.owed_safe import OwedSafe


def owed_safe() -> "list[OwedSafe]":
    """Return the safe states that runs and commands of this project owe."""
    from pytest_orchestrator.runs.owed_safe import Ledger

    return Ledger(runs_folder()).owed


def owed_by_name(name: str, station: "Station | None") -> "list[OwedSafe]":
    """Return the debts of an instrument, by its present name or that of the time of use."""
    return [one for one in owed_safe() if name in (one.instrument, present_name(one, station))]


def present_name(debt: "OwedSafe", station: "Station | None") -> str:
    """Return the name of an instrument in the station file; empty if it is not there."""
    found = None if station is None else debt.found_in(station)
    return "" if found is None else found.name


def text_of(debt: "OwedSafe") -> str:
    """Return a debt as a phrase."""
    return f"the safe state of {debt.instrument} that run {debt.run} owed"


def sentence(debt: "OwedSafe", station: "Station") -> str:
    """Return what becomes of a debt, as the list of instruments says it."""
    name = present_name(debt, station)
    if not name:
        return debt.obstacle(station)
    renamed = "" if name == debt.instrument else f" ({name} in {station.id})"
    return (
        f"run {debt.run} has not made {debt.instrument}{renamed} safe: its safe state is owed, the "
        "next session that uses instruments sends it"
    )


def plain(debt: "OwedSafe", station: "Station") -> dict[str, Any]:
    """Return a debt as `--json` prints it."""
    use = debt.use
    return {
        "run": debt.run,
        "recipe": use.recipe,
        "instrument": use.instrument,
        "name": present_name(debt, station),
        "resource": use.resource,
        "backend": use.backend,
        "simulation": use.simulation,
        "safe": use.safe,
    }


def declare_reason(parser: argparse.ArgumentParser) -> None:
    """Declare the option with the reason why a debt is dropped."""
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="why it is dropped, for the journal"
    )


def make_debt(settings: "InstrumentSettings", command: str) -> None:
    """Record that the safe state of an instrument is owed, unless the same is owed already.

    The caller holds the lock of the instrument, so no session pays the debt meanwhile.

    Args:
        settings: The instrument.
        command: The command that uses it.

    Raises:
        UsageError: The debt cannot be recorded.
    """
    from pytest_orchestrator.runs.owed_safe import use_of

    use = use_of(settings, command, masker().mask_json)
    is_owed = any(one.covers(use) for one in owed_safe())
    if settings.safe and not is_owed:
        with journal() as append:
            append(use)


def record_payment(debts: "Sequence[OwedSafe]", result: "InstrumentSafe") -> None:
    """Record the attempt to pay debts.

    Raises:
        UsageError: It cannot be recorded.
    """
    from pytest_orchestrator.runs.owed_safe import masked_result

    result = masked_result(result, masker().mask)
    with journal() as append:
        for one in debts:
            append(one.paid_by(result))


@contextmanager
def journal() -> "Iterator[Callable[[AnyEvent], None]]":
    """Open a journal, and seal it at the end of the block; yield the function that appends to it.

    An event is on the disk when that function returns.

    Raises:
        UsageError: The journal cannot be written.
    """
    from pytest_orchestrator.core.errors import JournalError
    from pytest_orchestrator.core.events import RunFinished
    from pytest_orchestrator.runs.folder import RunFolder, free_id, instruments_folder
    from pytest_orchestrator.runs.journal.debts import Debts

    store = instruments_folder(runs_folder())
    run, debts, status = free_id(store), Debts(), 1
    try:
        log = RunFolder(store, run).open()
        log.on_written = lambda event, _: debts.fold(event)

        def append(event: "AnyEvent") -> None:
            log.append(event)
            log.sync()

        try:
            append(_started(run))
            yield append
            status = 0
        finally:
            log.seal(lambda n: RunFinished(exit_status=status, lines=n, debts=len(debts)))
    except (OSError, JournalError) as error:
        raise UsageError(f"the debt cannot be recorded: {error}") from None


def _started(run: str) -> "AnyEvent":
    from pytest_orchestrator.core.events import SCHEMA_VERSION, RunStarted
    from pytest_orchestrator.runs.provenance import provenance

    root = project().root
    return RunStarted(
        schema_version=SCHEMA_VERSION,
        run=run,
        root=str(root),
        argv=tuple(map(masker().mask, sys.argv[1:])),
        host=platform.node(),
        environment=provenance(root),
    )


def masker() -> "Masker":
    """Return a masker for the secrets in the environment."""
    from pytest_orchestrator.core.secrets import NAMES, Masker

    secrets = Masker(project().listed("recipe_secret_names") or NAMES)
    secrets.add_environment(os.environ)
    return secrets


def forgive(keys: Sequence[tuple[str, str]], reason: str) -> None:
    """Drop debts, each a run and an instrument; an empty instrument is all debts of the run.

    Raises:
        UsageError: There is no reason, or it cannot be recorded.
    """
    from pytest_orchestrator.core.events import DebtForgiven
    from pytest_orchestrator.runs.provenance import provenance

    if not reason.strip():
        raise UsageError("--reason is empty; say why, for the journal")
    who = provenance(project().root)["user"]
    with journal() as append:
        for run, instrument in keys:
            append(DebtForgiven(run=run, instrument=instrument, reason=reason, who=who))


def forgive_instrument(name: str, station: "Station | None", reason: str) -> int:
    """Drop the debts of an instrument, and print them.

    Raises:
        UsageError: No safe state of the instrument is owed.
    """
    debts = owed_by_name(name, station)
    if not debts:
        names = {one.instrument for one in owed_safe()}
        raise UsageError(f"no safe state of '{name}' is owed{nearest_of(name, names)}")
    forgive([one.key for one in debts], reason)
    for one in debts:
        say(f"dropped: {text_of(one)}")
    return 0


def forgive_run(name: str, reason: str) -> int:
    """Drop all debts of a run, and print them.

    Raises:
        UsageError: The run does not exist, or owes nothing.
    """
    from pytest_orchestrator.runs import lookup, pending_finally
    from pytest_orchestrator.runs.folder import instruments_folder
    from pytest_orchestrator.runs.owed_safe import Ledger

    base = runs_folder()
    try:
        by_command = [one.name for one in lookup.run_folders(instruments_folder(base))]
        run = name if name in by_command else lookup.find_run(base, name).name
    except lookup.NoRun as error:
        raise UsageError(str(error)) from None
    ledger = Ledger(base)
    texts = [text_of(one) for one in ledger.owed if one.run == run]
    for one in pending_finally.pending_runs(base):
        if one.run == run:
            lines = pending_finally.descriptions(one.steps)
            texts += [f"`finally` of {each} that run {run} owed" for each in lines]
    if run in ledger.damaged:
        texts.append(f"all that the damaged journal of run {run} may hide")
    if not texts:
        raise UsageError(f"run {run} owes no safe state and no `finally`")
    forgive([(run, "")], reason)
    for text in texts:
        say(f"dropped: {text}")
    return 0
