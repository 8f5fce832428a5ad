"""Record of the exchanges with instruments in the journal, for a run that replays them."""

import contextlib
import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import InstrumentExchange
from pytest_orchestrator.execution.instruments.bench import ORDERS

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.session_state import SessionState

FOLDER: Final = "artifacts/instruments"
"""Folder for the bytes of blocks, in the folder of the run."""

_MOST: Final = 64 << 20
"""Bytes of lines and blocks that one record keeps: some 200,000 short queries."""

_TEXTS: Final = ("instrument", "step", "command", "answer", "error")
"""Fields of an exchange that may contain a secret."""

_LINE: Final = 130
"""Bytes of a line in the journal besides its event: number, time, hash."""


class ExchangeRecord:
    """Record of the exchanges of one process, with instruments and with devices of step types.

    It is thread-safe.

    The lines are appended without an fsync, which follows at the next boundary of a step: a query
    must not wait for the disk.

    Args:
        state: The state of the session.
        most: Bytes that are recorded.
    """

    def __init__(self, state: "SessionState", most: int = _MOST) -> None:
        self._state, self._left, self._lock = state, most, threading.Lock()
        self._worker: str = getattr(state.config, "workerinput", {}).get("workerid", "main")

    def append(self, exchange: InstrumentExchange, data: bytes | None) -> None:
        """Append an exchange to the journal; a journal that fails is reported by the next step.

        Args:
            exchange: The exchange.
            data: The bytes that were sent or received; None if there were none.
        """
        recorder = self._state.recorder
        size = _LINE + len(encode(exchange)) + len(data or b"")
        with self._lock:
            left, self._left = self._left, self._left - size
        if recorder is None or left <= 0:
            return
        if left > size:
            known = self._masked(exchange, data)
        else:
            known = replace(exchange, command="", answer=None, error="")
            known = replace(self._masked(known, None), gap="cut")
        with contextlib.suppress(JournalError):
            recorder.append(replace(known, worker=self._worker))

    def append_of(self, recipe: str, exchange: InstrumentExchange) -> None:
        """Append an exchange of step code with a device whose connection the step itself holds.

        Args:
            recipe: Key of the recipe.
            exchange: The exchange, which has no number yet.
        """
        self.append(replace(exchange, recipe=recipe, order=next(ORDERS)), None)

    def _masked(self, exchange: InstrumentExchange, data: bytes | None) -> InstrumentExchange:
        """Return an exchange without secrets; keep its bytes if there are none."""
        masked, texts = self._state.masked, {name: getattr(exchange, name) for name in _TEXTS}
        known = replace(exchange, **masked(texts))
        text = data.decode(errors="surrogateescape") if data else ""
        if known != exchange or masked(text) != text:
            return replace(known, gap="masked")
        return replace(known, data=self._kept(data)) if data else known

    def _kept(self, data: bytes) -> str:
        """Write bytes to a file of the run, once, and return its path."""
        name = f"{FOLDER}/{hashlib.sha256(data).hexdigest()}"
        path = Path(self._state.folder.path, name)
        # A file that is there already has these bytes; one that is lost is missed by its digest.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
        return name


_KEY = pytest.StashKey[ExchangeRecord]()


def record_of(state: "SessionState") -> ExchangeRecord:
    """Return the record of this process."""
    return state.config.stash.setdefault(_KEY, ExchangeRecord(state))
