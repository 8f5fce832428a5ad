"""Identity of an instrument: its answer to the query of IEEE 488.2, and the expected one."""

import re
from typing import Final

from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.instrument import InstrumentError
from pytest_orchestrator.recipe.station.model import InstrumentSettings

IDENTIFY: Final = "*IDN?"
"""Query of IEEE 488.2 that asks an instrument for its maker, model, serial number and version."""


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
