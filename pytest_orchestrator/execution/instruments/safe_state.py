"""Proof that an instrument has executed the commands of its safe state."""

import re
from collections.abc import Callable
from typing import Final

from pytest_orchestrator.instrument import InstrumentError, error_entries, shown
from pytest_orchestrator.recipe.station.model import (
    OPERATION_COMPLETE,
    Confirmation,
    InstrumentSettings,
)

_EXAMPLE: Final = '{query: "OUTP?", matches: "^0"}'


def confirm(
    settings: InstrumentSettings,
    confirmation: Confirmation,
    send: Callable[[str], str],
    station: str,
) -> None:
    """Check that an instrument has executed the `safe` commands that were just sent to it.

    Args:
        settings: The instrument.
        confirmation: The query whose answer shows it.
        send: Sends a query and returns its answer.
        station: The id of the station file.

    Raises:
        InstrumentError: It has not answered as it should, or its error queue is not empty.
    """
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
        return
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
