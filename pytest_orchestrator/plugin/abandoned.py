"""pytest-xdist: what workers that died have left where no other took their place."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_orchestrator.plugin import tables
from pytest_orchestrator.plugin.waiting import say
from pytest_orchestrator.runs import lookup, watchdog_entry
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.pending_finally import pending_in, told

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.keeping import Keeper
    from pytest_orchestrator.plugin.state import State


def tell(state: "State", keeper: "Keeper", workers: Iterable[str]) -> int:
    """Tell that steps have failed which workers died of, and of what nobody has tidied up.

    Args:
        state: That of the controller.
        keeper: Keeps the events.
        workers: The ids of the workers that died.

    Returns:
        The number of ``finally`` steps that nobody has run.
    """
    folder = state.folder.path
    entries = read_journal(folder / NAME).entries
    for worker in workers:
        reason = f"worker {worker} of pytest-xdist has died, and none took its place"
        event = watchdog_entry.crash_event(entries, worker, reason)
        if event is not None:
            keeper.tell(event)
            tables.keep_block(state.config, event.block)
    owed = pending_in(lookup.load_record(folder))
    if owed:
        listed = "; ".join(told(owed))
        cure = f"pytest --recipe-resume={folder.name}"
        words = f"no worker was left for `finally` of {listed}: {cure}"
        say(state.config, words, after_signal=True)
    return sum(map(len, owed.values()))
