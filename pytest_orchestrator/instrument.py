"""Handle of a measuring instrument for step code, its requests, and the error of its commands.

The session of the instrument is in another process, which all steps of a recipe share. The requests
of a step in a process of its own go to pytest's process by the connection of the Context. Their
reply is a JSON value of its own, because that connection carries only the text and the slug of an
error, and an `InstrumentError` has more.
"""

import base64
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, Self

import msgspec

from pytest_orchestrator.core.errors import OrchestratorError

__tracebackhide__ = True
"""A failure of a command is shown at the line of the test or step that sent it."""

ErrorKind = Literal["status", "timeout", "closed", "protocol", "refused", "missing"]
"""Kind of an `InstrumentError`.

``timeout``: no answer in time. ``closed``: the connection is lost or cannot be opened.
``protocol``: the answer cannot be understood. ``refused``: the instrument is unknown, has another
identity, is locked or is not calibrated. ``missing``: PyVISA is not installed. ``status``: any
other error.
"""

ERROR_QUERY: Final = "SYST:ERR?"
"""Query of SCPI that removes one entry from the error queue of an instrument."""

INSTRUMENT: Final = "instrument"
"""Request of a step's process to an instrument, beside the operations of the Context."""

Operation = Literal["find", "open", "write", "query", "block", "write_block", "read"]
"""``find`` only checks that the station has the instrument; the bench executes the others."""

_MOST_ERRORS = 100
_MOST_SHOWN = 2_000
_ERROR: Final = re.compile(r"\s*([+-]?[0-9]+)\s*(?:,|$)")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")


class InstrumentError(OrchestratorError):
    """Error: a command of an instrument failed; the text names the instrument and the command.

    Args:
        message: One sentence, such as ``psu: no answer to 'MEAS:CURR?' within 2 s``.
        instrument: The name of the instrument.
        command: The command; empty if the error is about no command.
        kind: The kind of the error.
    """

    slug = "instrument"

    def __init__(
        self, message: str, *, instrument: str = "", command: str = "", kind: ErrorKind = "status"
    ) -> None:
        super().__init__(message)
        self.instrument = instrument
        self.command = command
        self.kind: ErrorKind = kind


class Instrument:
    """Handle of one instrument; the first command opens the instrument.

    Each command and each answer is logged at the level INFO to the logger
    ``pytest_orchestrator.instrument.<name>``: commands as ``> VOLT 5``, answers as ``< +5.00``.

    Args:
        name: The name of the instrument in the station file.
        request: Function that executes a request. It receives ``name``, ``do`` (``open``,
            ``write``, ``query``, ``block``, ``write_block`` or ``read``) and, where the operation
            has them, ``command``, ``data`` (base64) and ``timeout`` (seconds). It returns the
            answer as a JSON value, or raises InstrumentError.
    """

    def __init__(self, name: str, request: Callable[[Mapping[str, Any]], Any]) -> None:
        self.name = name
        self._request = request
        self._idn: str | None = None
        self._log = logging.getLogger(f"pytest_orchestrator.instrument.{name}")
        self._log.setLevel(logging.DEBUG)  # the log of the step is the transcript

    def __repr__(self) -> str:
        return f"Instrument({self.name!r})"

    @property
    def idn(self) -> str:
        """The answer to ``*IDN?`` when the instrument was opened; empty if it gave none.

        Raises:
            InstrumentError: The instrument cannot be opened.
        """
        if self._idn is None:
            self._idn = str(self._ask("open") or "")
        return self._idn

    def open(self) -> Self:
        """Open the instrument now, if it is not open, and return this handle.

        Raises:
            InstrumentError: The instrument cannot be opened.
        """
        self._idn = str(self._ask("open") or "")
        return self

    def write(self, command: str) -> None:
        """Send a command that has no answer.

        Args:
            command: ASCII text without its termination, such as ``VOLT 5``.

        Raises:
            InstrumentError: The command cannot be sent.
        """
        self._sent(command)
        self._ask("write", command)

    def query(self, command: str, *, timeout: float | None = None) -> str:
        """Send a command and return its answer.

        Args:
            command: ASCII text without its termination, such as ``MEAS:CURR?``.
            timeout: Seconds to wait for the answer; None for the timeout of the instrument.

        Returns:
            The answer without its termination.

        Raises:
            InstrumentError: The command cannot be sent, or there is no valid answer.
        """
        self._sent(command)
        return self._received(self._ask("query", command, timeout=timeout))

    def query_block(self, command: str, *, timeout: float | None = None) -> bytes:
        """Send a command and return the data of the binary block that answers it.

        Args:
            command: ASCII text without its termination, such as ``CURV?``.
            timeout: Seconds to wait for each part of the answer; None for the timeout of the
                instrument.

        Returns:
            The data of an IEEE 488.2 block of definite or indefinite length, without its header.

        Raises:
            InstrumentError: The command cannot be sent, or the answer is no complete block.
        """
        self._sent(command)
        data = base64.b64decode(self._ask("block", command, timeout=timeout))
        self._log.info("< block of %s bytes", f"{len(data):,}")
        return data

    def write_block(self, command: str, data: bytes) -> None:
        """Send a command that is followed by a binary block.

        Args:
            command: ASCII text before the block, such as ``DATA:ARB wave,`` (with its comma).
            data: The data; the header of a block of definite length is put before it.

        Raises:
            InstrumentError: The command cannot be sent.
        """
        self._log.info("> %s block of %s bytes", shown(command), f"{len(data):,}")
        self._ask("write_block", command, data=base64.b64encode(data).decode())

    def read(self, *, timeout: float | None = None) -> str:
        """Return the answer to a command that was sent by `write`.

        Args:
            timeout: Seconds to wait for the answer; None for the timeout of the instrument.

        Returns:
            The answer without its termination.

        Raises:
            InstrumentError: There is no valid answer.
        """
        return self._received(self._ask("read", timeout=timeout))

    def wait(self, *, timeout: float | None = None) -> None:
        """Wait until the instrument has completed all commands: it answers ``*OPC?`` with 1.

        Args:
            timeout: Seconds to wait; None for the timeout of the instrument.

        Raises:
            InstrumentError: There is no answer in time, or a different answer.
        """
        answer = self.query("*OPC?", timeout=timeout)
        if answer.strip() not in ("1", "+1"):
            raise misunderstood(self.name, "*OPC?", answer, "it has to be answered with 1")

    def errors(self, command: str = ERROR_QUERY) -> list[str]:
        """Read the error queue of the instrument until it is empty.

        Args:
            command: The query that removes one entry from the queue.

        Returns:
            The entries, such as ``-113,"Undefined header"``, oldest first, at most 100.

        Raises:
            InstrumentError: There is no valid answer.
        """
        return error_entries(self.query, self.name, command)

    def _ask(self, do: str, command: str | None = None, **more: Any) -> Any:
        given = {"command": command, **more}
        request = {name: value for name, value in given.items() if value is not None}
        return self._request({"name": self.name, "do": do, **request})

    def _sent(self, command: str) -> None:
        self._log.info("> %s", shown(command))

    def _received(self, answer: Any) -> str:
        self._log.info("< %s", shown(answer))
        return str(answer)


def error_entries(query: Callable[[str], str], name: str, command: str = ERROR_QUERY) -> list[str]:
    """Read the error queue of an instrument until it is empty.

    Args:
        query: Sends a query and returns its answer.
        name: The name of the instrument.
        command: The query that removes one entry from the queue.

    Returns:
        The entries, oldest first, at most 100.

    Raises:
        InstrumentError: There is no valid answer.
    """
    entries: list[str] = []
    while len(entries) < _MOST_ERRORS:
        answer = query(command)
        number = _ERROR.match(answer)
        if number is None:
            cure = "an entry of the error queue begins with a number, and 0 means no error"
            raise misunderstood(name, command, answer, cure)
        if int(number[1]) == 0:
            break
        entries.append(answer.strip())
    return entries


def misunderstood(name: str, command: str, answer: str, cure: str) -> InstrumentError:
    """Return the error that an instrument has answered a query as it should not.

    Args:
        name: The name of the instrument.
        command: The query.
        answer: Its answer.
        cure: The end of the sentence: the answer that was expected.
    """
    sentence = f"{name}: '{command}' was answered with '{shown(answer, 80)}'; {cure}"
    return InstrumentError(sentence, instrument=name, command=command, kind="protocol")


def shown(text: str, most: int = _MOST_SHOWN) -> str:
    """Return a text for a log or message: control characters are escaped, long text is cut.

    Args:
        text: A command or an answer.
        most: The characters of the text that are kept.
    """
    part = "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text[:most]
    )
    return part if len(text) <= most else f"{part}… ({len(text):,} characters)"


def is_query(command: str) -> bool:
    """Return True if an instrument answers a command: it has a ``?`` outside of quotes."""
    return "?" in _QUOTED.sub("", command)


class Author(NamedTuple):
    """Author of requests to instruments.

    Attributes:
        recipe: Key of the recipe, or the path of a test module.
        step: Name of the step or sampled value, or of a hand-written test; empty for the bench.
        attempt: Number of the attempt, from 1.
        element: Index of the element of ``foreach``, from 0; None without one.
    """

    recipe: str
    step: str = ""
    attempt: int = 1
    element: int | None = None


class InstrumentRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request of step code to an instrument.

    Attributes:
        name: The name of the instrument.
        do: The operation.
        command: The text of the command; empty for ``find``, ``open`` and ``read``.
        data: The data of ``write_block``.
        timeout: Seconds to wait for the answer; None for the timeout of the instrument.
    """

    name: str
    do: Operation
    command: str = ""
    data: bytes = b""
    timeout: float | None = None


def parsed(value: Any) -> InstrumentRequest:
    """Return the request that a JSON value describes; its ``data`` is base64.

    Args:
        value: The mapping that `Instrument` made.

    Raises:
        InstrumentError: The value is no request.
    """
    try:
        return msgspec.convert(value, InstrumentRequest)
    except msgspec.ValidationError as error:
        name = value.get("name") if isinstance(value, Mapping) else None
        instrument = name if isinstance(name, str) else ""
        message = f"{instrument or INSTRUMENT}: the request is not valid: {error}"
        raise InstrumentError(message, instrument=instrument) from None


def reply(value: Any, execute: Callable[[InstrumentRequest], Any]) -> dict[str, Any]:
    """Execute a request that came from a step's process, and return its reply as plain JSON.

    Args:
        value: The request as the step's process sent it.
        execute: Executes the request; it returns text, bytes or None.

    Returns:
        ``value``, or ``error`` with ``kind``, ``instrument`` and ``command``.
    """
    try:
        return {"value": json_value(execute(parsed(value)))}
    except InstrumentError as error:
        return {
            "error": str(error),
            "kind": error.kind,
            "instrument": error.instrument,
            "command": error.command,
        }


def json_value(answer: Any) -> Any:
    """Return an answer as JSON: bytes become base64, and all other values stay as they are."""
    return base64.b64encode(answer).decode() if isinstance(answer, bytes) else answer


def value_of(reply: Mapping[str, Any]) -> Any:
    """Return the value of a reply.

    Args:
        reply: The mapping that `reply` made.

    Raises:
        InstrumentError: The request failed.
    """
    if "error" in reply:
        error = dict(reply)
        raise InstrumentError(error.pop("error"), **error)
    return reply["value"]


def opener(request: Callable[[str, Any], Any]) -> Callable[[str], Instrument]:
    """Return the function ``instrument`` of step code in a process of its own.

    Args:
        request: Sends a named request with a JSON value to pytest's process and returns the
            value of its reply, as `RemoteContext.request` does.
    """

    def instrument(name: str) -> Instrument:
        value_of(request(INSTRUMENT, {"name": name, "do": "find"}))
        return Instrument(name, lambda wanted: value_of(request(INSTRUMENT, dict(wanted))))

    return instrument
