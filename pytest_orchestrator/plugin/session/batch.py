"""Session of a station: values from its page, and the end if the station is gone."""

import os
import signal
import threading
from pathlib import Path
from typing import Final

import pytest

from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.runs.operator import page_lease
from pytest_orchestrator.runs.operator.batch import BatchSession, discard_batch, note_session

_LOOK: Final = 1.0
"""Seconds between two looks at the lease of the station."""


def join_station(config: pytest.Config, path: Path) -> None:
    """Note the run in the folder of the station, and end the session if no station lives.

    Args:
        config: The configuration of the session.
        path: The file of the batch.
    """
    folder, is_over = path.parent, InterruptibleEvent()
    note_session(folder, BatchSession(os.getpid(), state_of(config).folder.path.name))

    def watch() -> None:
        while not is_over.wait(_LOOK):
            if page_lease.seconds_since_page(folder) > page_lease.STATION_GRACE:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def end() -> None:
        is_over.set()
        if page_lease.seconds_since_page(folder) > page_lease.SECONDS:
            discard_batch(folder)  # no station will do it

    config.add_cleanup(end)
    threading.Thread(target=watch, name="orchestrator-station", daemon=True).start()
