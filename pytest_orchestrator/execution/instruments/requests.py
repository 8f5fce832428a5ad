"""Requests of step code to instruments, as they pass from the step's process to pytest's.

The reply to a request is a JSON value of its own, because the connection of the Context carries
only the text and the slug of an error, and an `InstrumentError` has more.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from pytest_orchestrator.instrument import Instrument, InstrumentError

INSTRUMENT: Final = "instrument"
"""Request of a step's process to an instrument, beside the operations of the Context."""

Operation = Literal["find", "open", "write", "query", "block", "write_block", "read"]
"""``find`` only checks that the station has the instrument; the bench executes the others."""


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
