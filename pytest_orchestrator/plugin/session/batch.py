"""Session of a station: its run, units that are aborted, and the end if the station is gone."""

import os
import signal
import threading
from pathlib import Path
from typing import Final

import pytest

from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.runs.operator import page_lease
from pytest_orchestrator.runs.operator.batch import (
    BatchSession,
    aborts_in,
    discard_batch,
    note_session,
)

_LOOK: Final = 0.25
"""Seconds between two looks at the lease of the station, and at the units that it aborts."""


def join_station(config: pytest.Config, path: Path) -> None:
    """Note the run in the folder of the station, and do what the station asks for.

    Units that it aborts are ended, also in a worker of xdist; the session ends if no station lives.

    Args:
        config: The configuration of the session.
        path: The file of the batch.
    """
    folder, is_over, state = path.parent, InterruptibleEvent(), state_of(config)
    is_worker = hasattr(config, "workerinput")
    if not is_worker:
        note_session(folder, BatchSession(os.getpid(), state.folder.path.name))

    def watch() -> None:
        while not is_over.wait(_LOOK):
            for unit, who in aborts_in(folder).items():
                for run in [*state.runs.values()]:
                    run.workers.abort_unit(unit, f"{who} pressed Abort for unit {unit}")
            if is_worker:
                continue
            if page_lease.seconds_since_page(folder) > page_lease.STATION_GRACE:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def end() -> None:
        is_over.set()
        if not is_worker and page_lease.seconds_since_page(folder) > page_lease.SECONDS:
            discard_batch(folder)  # no station will do it

    config.add_cleanup(end)
    threading.Thread(target=watch, name="orchestrator-station", daemon=True).start()
