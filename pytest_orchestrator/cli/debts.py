"""Debts of earlier runs at the command line: who owes them, and how one is dropped by hand.

Each change is in a journal of its own beside the runs; the journal of the debtor stays as it is.
"""

import argparse
import os
import platform
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import UsageError, nearest_of
from pytest_orchestrator.cli.project import project, runs_folder
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import AnyEvent
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station
    from pytest_orchestrator.runs.owed_safe import OwedSafe


def owed_safe() -> "list[OwedSafe]":
    """Return the safe states that runs and commands of this project owe."""
    from pytest_orchestrator.runs.owed_safe import Ledger

    return Ledger(runs_folder()).owed


def owed_by_name(name: str, station: "Station | None") -> "list[OwedSafe]":
    """Return the debts of an instrument, by its present name or that of the time of use."""
    return [one for one in owed_safe() if name in (one.instrument, one.name_in(station))]


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
    if settings.safe and not any(one.covers(use) for one in owed_safe()):
        record([use])


def record(events: "Iterable[AnyEvent]") -> None:
    """Record events in a sealed journal of their own; it is on the disk when this returns.

    Raises:
        UsageError: The journal cannot be written.
    """
    from pytest_orchestrator.core.errors import JournalError
    from pytest_orchestrator.core.events import SCHEMA_VERSION, RunFinished, RunStarted
    from pytest_orchestrator.runs.folder import RunFolder, free_id, instruments_folder
    from pytest_orchestrator.runs.journal.debts import Debts
    from pytest_orchestrator.runs.provenance import provenance

    store, root = instruments_folder(runs_folder()), project().root
    run, debts = free_id(store), Debts()
    started = RunStarted(
        schema_version=SCHEMA_VERSION,
        run=run,
        root=str(root),
        argv=tuple(map(masker().mask, sys.argv[1:])),
        host=platform.node(),
        environment=provenance(root),
    )
    try:
        log = RunFolder(store, run).open()
        for event in (started, *events):
            log.append(event)
            debts.fold(event)
        log.seal(lambda n: RunFinished(exit_status=0, lines=n, debts=len(debts)))
    except (OSError, JournalError) as error:
        raise UsageError(f"the debt cannot be recorded: {error}") from None


def masker() -> "Masker":
    """Return a masker for the secrets in the environment."""
    from pytest_orchestrator.core.secrets import NAMES, Masker

    secrets = Masker(project().listed("recipe_secret_names") or NAMES)
    secrets.add_environment(os.environ)
    return secrets


def forgive_instrument(name: str, station: "Station | None", reason: str) -> int:
    """Drop the debts of an instrument, and print them.

    Raises:
        UsageError: No safe state of the instrument is owed.
    """
    debts = owed_by_name(name, station)
    if not debts:
        names = {one.instrument for one in owed_safe()}
        raise UsageError(f"no safe state of '{name}' is owed{nearest_of(name, names)}")
    return _forgive([one.key for one in debts], reason, [f"{one.phrase} owed" for one in debts])


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
    texts = [f"{one.phrase} owed" for one in ledger.owed if one.run == run]
    for one in pending_finally.pending_runs(base):
        if one.run == run:
            lines = pending_finally.descriptions(one.steps)
            texts += [f"`finally` of {each} that run {run} owed" for each in lines]
    if run in ledger.damaged:
        texts.append(f"all that the damaged journal of run {run} may hide")
    if not texts:
        raise UsageError(f"run {run} owes no safe state and no `finally`")
    return _forgive([(run, "")], reason, texts)


def _forgive(keys: Iterable[tuple[str, str]], reason: str, texts: Iterable[str]) -> int:
    """Drop debts, each a run and an instrument; an empty instrument is all debts of the run.

    Raises:
        UsageError: There is no reason, or it cannot be recorded.
    """
    from pytest_orchestrator.core.events import DebtForgiven
    from pytest_orchestrator.runs.provenance import provenance

    if not reason.strip():
        raise UsageError("--reason is empty; say why, for the journal")
    who = provenance(project().root)["user"]
    record(DebtForgiven(run=run, instrument=one, reason=reason, who=who) for run, one in keys)
    for text in texts:
        say(f"dropped: {text}")
    return 0
