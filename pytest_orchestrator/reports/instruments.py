"""Instruments of a run, as reports show them."""

from typing import TYPE_CHECKING, Literal

import msgspec

from pytest_orchestrator.core.events import SENT_NOT_CONFIRMED

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import RunRecord

SafeState = Literal["reached", "sent, not confirmed", "not reached", "owed", "none"]


class InstrumentView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instrument that a run has used.

    Attributes:
        name: Its name in the station file.
        resource: Its VISA resource.
        idn: Its answer to ``*IDN?``; empty if it gave none.
        calibrated: Date of its calibration; empty if the station file names none.
        due: Date on which the calibration is due; empty if the station file names none.
        overdue: A sentence if the calibration is overdue; else empty.
        safe_state: ``none`` if the station file has no commands for it, ``owed`` if they were not
            sent, ``sent, not confirmed`` if it cannot answer.
        reason: Reason why the safe state was not reached; empty if it was.
        simulation: The file that simulates it; empty for a real instrument.
        recipes: Keys of the recipes that began a use of it.
    """

    name: str
    resource: str
    idn: str = ""
    calibrated: str = ""
    due: str = ""
    overdue: str = ""
    safe_state: SafeState = "owed"
    reason: str = ""
    simulation: str = ""
    recipes: tuple[str, ...] = ()


def instruments_of(record: "RunRecord") -> list[InstrumentView]:
    """Return the instruments that a run has used, in the order of their first use."""
    views: dict[str, InstrumentView] = {}
    for event in record.opened:
        recipes = views[event.instrument].recipes if event.instrument in views else ()
        views[event.instrument] = InstrumentView(
            name=event.instrument,
            resource=event.resource,
            idn=event.idn,
            calibrated=event.calibrated,
            due=event.due,
            overdue=event.overdue,
            safe_state="owed" if event.has_safe_state else "none",
            simulation=event.simulation,
            recipes=tuple(dict.fromkeys((*recipes, event.recipe))),
        )
    for end in record.made_safe:
        view = views.get(end.instrument)
        if view is not None and not end.run and view.safe_state != "none":
            reached: SafeState = "not reached" if end.reason else "reached"
            if end.confirmation == SENT_NOT_CONFIRMED:
                reached = end.confirmation
            views[end.instrument] = msgspec.structs.replace(
                view, safe_state=reached, reason=end.reason
            )
    return [*views.values()]
