"""The instrument process, which all steps of a recipe share: its client, and checks of answers."""

import contextlib
import itertools
import os
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.core.events import SENT_NOT_CONFIRMED, SafeConfirmation
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.execution.interruptible import InterruptibleFuture
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.supervisor_client import ending
from pytest_orchestrator.execution.supervision import framing
from pytest_orchestrator.instrument import Author, InstrumentError, error_entries, shown
from pytest_orchestrator.recipe.station.model import OPERATION_COMPLETE, InstrumentSettings

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.lane import Lanes

IDENTIFY: Final = "*IDN?"
"""Query of IEEE 488.2 that asks an instrument for its maker, model, serial number and version."""

_EXAMPLE: Final = '{query: "OUTP?", matches: "^0"}'

# The folders of the user come last, so that a `serial.py` beside a recipe does not replace the
# library; they are needed if pytest itself was found through them.
_MAIN: Final = """\
'the instrument process of pytest-orchestrator: owns the sessions of the instruments'
import sys
sys.path += [one for one in sys.argv[1:] if one not in sys.path]
from pytest_orchestrator.execution.instruments.visa import main
main()"""
_PACKAGE_FOLDER: Final = str(Path(__file__).parents[3])


def _program() -> dict[str, Any]:
    """Return ``argv`` and ``env`` of the instrument process, for `Lanes.connect`."""
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    folders = [_PACKAGE_FOLDER, *(one for one in sys.path if one)]
    argv = [sys.executable, *flags, "-P", "-c", _MAIN, *folders]
    return {"argv": argv, "env": dict(os.environ)}


def session_options(settings: InstrumentSettings) -> dict[str, Any]:
    """Return the settings of a session, as the instrument process receives them."""
    names = (
        "resource",
        "backend",
        "timeout",
        "read_termination",
        "write_termination",
        "baud_rate",
        "greeting",
        "prompt",
    )
    return {name: getattr(settings, name) for name in names}


class InstrumentProcess:
    """The instrument process and the requests that it has not answered yet. Thread-safe.

    Args:
        lanes: They start the process, and kill it.

    Attributes:
        pid: The pid of the process.

    Raises:
        InstrumentError: The process cannot be started.
    """

    def __init__(self, lanes: "Lanes") -> None:
        try:
            self._socket, self.pid = lanes.connect(**_program())
        except (LaneLost, OSError) as error:
            message = f"the instrument process cannot be started: {error}"
            raise InstrumentError(message, kind="closed") from error
        self._drop = lanes.drop
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, tuple[InterruptibleFuture, Mapping[str, Any]]] = {}
        self._end = ""  # a sentence once the process has ended
        # A thread sends, because Ctrl-C in the main thread could cut a long request in two.
        self._requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="instrument requests", daemon=True)
        self._reader = threading.Thread(target=self._read, name="instrument replies", daemon=True)
        self._writer.start()
        self._reader.start()

    @property
    def has_ended(self) -> bool:
        """True if the process has ended, so that no further request can be executed."""
        return bool(self._end)

    def submit(
        self, request: Mapping[str, Any], author: Author | None = None
    ) -> InterruptibleFuture:
        """Send a request; requests to one instrument are executed in their order.

        Args:
            request: ``name``, ``do`` (``open``, ``write``, ``query``, ``block``, ``write_block``,
                ``read``, ``renew``, ``close`` or ``interrupt``), and what the operation needs:
                ``options``, ``command``, ``data``, ``timeout``. ``renew`` comes before safe
                commands: no earlier answer can come after it. ``interrupt`` does not wait for its
                turn: the command that waits for an answer fails, and the next command is sent. Its
                answer is False if the backend cannot do so; sockets of ``@py`` can.
            author: Its author, who is of interest to a replay only.

        Returns:
            The answer: text, bytes, True, False or None. It raises InstrumentError if the request
            fails, or if the process ends before it has answered. It cannot be cancelled.
        """
        del author
        answer = InterruptibleFuture()
        with self._lock:
            if self._end:
                answer.set_exception(_lost(self._end, request))
                return answer
            number = next(self._numbers)
            self._pending[number] = answer, request
            self._requests.put({"id": number, **request})
        return answer

    def close(self, grace: float) -> None:
        """Have the process close its sessions and end; kill it if it does not end in time.

        Args:
            grace: Seconds for the commands that run.
        """
        self._requests.put(None)
        self._reader.join(grace)
        with contextlib.suppress(LaneLost):
            self._drop(self.pid, 0.0)
        self._reader.join()
        self._writer.join()
        self._socket.close()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the reader reports the end
            while (request := self._requests.get()) is not None:
                framing.send(self._socket, request)
            self._socket.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError, TypeError):
            while True:
                self._answer(framing.receive(self._socket)[0])
        self._fail_all()

    def _answer(self, reply: dict[str, Any]) -> None:
        with self._lock:
            answer, request = self._pending.pop(reply["id"])
        if "error" not in reply:
            answer.set_result(reply["value"])
            return
        name, command = request["name"], request.get("command") or ""
        error = InstrumentError(
            reply["error"], instrument=name, command=command, kind=reply["kind"]
        )
        answer.set_exception(error)

    def _fail_all(self) -> None:
        """Fail the requests that the process can no longer answer."""
        try:
            how = ending(self._drop(self.pid, 0.0)[0])
        except LaneLost as lost:
            how = f"was ended, because {lost}"
        with self._lock:
            self._end = f"the instrument process (pid {self.pid}) {how}"
            pending, self._pending = [*self._pending.values()], {}
        self._requests.put(None)
        for answer, request in pending:
            answer.set_exception(_lost(self._end, request))


def _lost(end: str, request: Mapping[str, Any]) -> InstrumentError:
    name, command = request["name"], request.get("command") or ""
    what = f"'{command}'" if command else f"'{request['do']}'"
    message = f"{name}: {what} was not completed: {end}"
    return InstrumentError(message, instrument=name, command=command, kind="closed")


def check_identity(settings: InstrumentSettings, idn: str, station: str) -> None:
    """Compare an answer to ``*IDN?`` with the pattern of the station file, if it has one.

    Args:
        settings: The instrument.
        idn: The answer.
        station: The id of the station file.

    Raises:
        InstrumentError: Another instrument has answered.
    """
    if settings.idn is None or re.search(settings.idn, idn):
        return
    place = settings.at.get("idn")
    where = f"{station}:{place.line}" if place else station
    raise InstrumentError(
        f"{settings.name}: {IDENTIFY} is answered by '{one_line(idn)}', "
        f"{where} expects '{settings.idn}'",
        instrument=settings.name,
        command=IDENTIFY,
        kind="refused",
    )


def confirm(
    settings: InstrumentSettings, send: Callable[[str], str], station: str
) -> SafeConfirmation:
    """Check that an instrument has executed the `safe` commands that were just sent to it.

    Args:
        settings: The instrument.
        send: Sends a query and returns its answer.
        station: The id of the station file.

    Returns:
        The proof; an instrument that cannot answer gives none.

    Raises:
        InstrumentError: It has not answered as it should, or its error queue is not empty.
    """
    confirmation = settings.confirm
    if confirmation is None:
        return SENT_NOT_CONFIRMED
    name, query = settings.name, f"'{confirmation.query}'"
    cure = f"; say 'confirm: {_EXAMPLE}' or 'confirm: none' in {station}"
    if confirmation != OPERATION_COMPLETE:
        query, cure = f"{query} of 'confirm' in {station}", ""
    try:
        answer = send(confirmation.query)
    except InstrumentError as error:
        if error.kind != "timeout":
            raise
        raise InstrumentError(f"{name} did not answer {query}{cure}", instrument=name) from None
    if not re.search(confirmation.matches, answer.strip()):
        but = f"'{shown(answer, 80)}', which does not match '{confirmation.matches}'{cure}"
        raise InstrumentError(f"{name} answered {query} with {but}", instrument=name)
    if not settings.check_errors:
        return "confirmed"
    try:
        entries = error_entries(send, name)
    except InstrumentError as error:
        if error.kind not in ("timeout", "protocol"):
            raise
        raise InstrumentError(
            f"{error}; if it has no error queue, say 'check_errors: false' in {station}",
            instrument=name,
        ) from None
    if entries:
        found = ", then ".join(entries[:3])
        message = f"{name}: after the commands of 'safe' the error queue has {found}"
        raise InstrumentError(message, instrument=name)
    return "confirmed"
