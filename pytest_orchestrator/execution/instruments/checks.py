"""Checks of an instrument: its identity, and the proof that it has executed its safe commands."""

import re
from collections.abc import Callable
from typing import Final

from pytest_orchestrator.core.events import SENT_NOT_CONFIRMED, SafeConfirmation
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.instrument import InstrumentError, error_entries, shown
from pytest_orchestrator.recipe.station.model import (
    OPERATION_COMPLETE,
    InstrumentSettings,
)

IDENTIFY: Final = "*IDN?"
"""Query of IEEE 488.2 that asks an instrument for its maker, model, serial number and version."""

_EXAMPLE: Final = '{query: "OUTP?", matches: "^0"}'


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
