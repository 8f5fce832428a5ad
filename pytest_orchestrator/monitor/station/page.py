"""Part of the operator page by which a station is operated, and its actions."""

import time
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from msgspec import Struct

from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.monitor.auth import STATION, is_operator
from pytest_orchestrator.monitor.form_fields import FormField, form_field, lines_in
from pytest_orchestrator.monitor.station.station import Moment, State, Station, serial_input
from pytest_orchestrator.reports.head.meta import unit_text
from pytest_orchestrator.reports.text import cut, look, sign
from pytest_orchestrator.runs.operator.channel import Answering, Reply
from pytest_orchestrator.runs.summary import cause_of, verdict_of
from pytest_orchestrator.runs.units import by_unit
from pytest_orchestrator.runs.verdicts import STATES, is_good

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.wrappers import Response as Redirect

    from pytest_orchestrator.runs.record import RunRecord

_WORDS = {"passed": "pass", "failed": "fail", "timeout": "fail", "error": "fail"}


class UnitView(Struct, frozen=True):
    """Unit of a batch: name, serial number, state as a word, its sign and style, reason.

    `can_end` is true if the operator can abort the unit, and others go on.
    """

    name: str
    serial: str
    word: str
    sign: str
    look: str
    reason: str
    can_end: bool


class StationView(Struct, frozen=True):
    """Values of the part of the operator page that belongs to a station.

    Attributes:
        state: ``idle``, ``running`` or ``ended``.
        key: Name of the state for elements of the page.
        nonce: Nonce of the state; empty for a viewer.
        operates: True if the browser may operate the station.
        title: Name of the recipe.
        operator: Name of the operator.
        fields: The inputs; the serial number comes first.
        units: The units of the batch.
        word: The verdict of the batch as one word.
        look: Its style.
        note: What happened, if the batch did not end by itself.
        output: Last lines of a session that ended without a run.
        ended: End of the batch in seconds since the epoch; 0 before.
        seconds: Seconds since then.
        refusal: Reason why the last action was refused; empty if it was not.
        problem: The rule that the typed name violates.
    """

    state: State
    key: str
    nonce: str
    operates: bool
    title: str
    operator: str
    fields: list[FormField]
    units: list[UnitView]
    word: str
    look: str
    note: str
    output: str
    ended: float
    seconds: float
    refusal: str
    problem: str


def version_of(moment: Moment | None) -> str:
    """Return the version of the page of a station without a run; of a monitor without one."""
    return f"s{moment.version}" if moment else ".0"


def station_view(
    station: Station,
    moment: Moment,
    record: "RunRecord | None",
    sent: tuple[Answering, Reply] | None = None,
) -> StationView:
    """Return what the page shows of a station.

    Args:
        station: The station.
        moment: Its state.
        record: The run of its session; None before it has one.
        sent: Values that were refused, and the reply.
    """
    operates, recipe = is_operator(), station.recipe()
    answer, reply = sent or (Answering(nonce=""), Reply())
    typed = answer.lines if sent else {}
    fields: list[FormField] = []
    if moment.state == "idle" and not isinstance(recipe, Exception):
        serial = serial_input(recipe)
        names = sorted(recipe.inputs, key=lambda one: one != serial and "." not in one)
        fields = [
            form_field(name, recipe.inputs[name], typed, reply.problems.get(name, ""))
            for name in names
        ]
    units = [*_units(record, moment)] if record else []
    word, style = _verdict(moment, units)
    return StationView(
        state=moment.state,
        key=f"s{moment.version}",
        nonce=moment.nonce if operates else "",
        operates=operates,
        title=station.name if isinstance(recipe, Exception) else recipe.name or station.name,
        operator=moment.operator,
        fields=fields,
        units=units,
        word=word,
        look=style,
        note=_note(moment, record),
        output=moment.output,
        ended=moment.ended,
        seconds=max(0.0, time.time() - moment.ended),
        refusal=str(recipe) if isinstance(recipe, Exception) else reply.refusal if sent else "",
        problem=reply.problems.get("who", ""),
    )


def _units(record: "RunRecord", moment: Moment) -> Iterator[UnitView]:
    """Yield the units of a run: those of a panel, else the recipe, or each cell of its matrix."""
    for recipe in by_unit(record.recipes.values()):
        state = verdict_of(recipe)
        unit = str(recipe.about.get("unit") or "")
        is_open, is_aborted = STATES[state].sense == "open", unit in moment.aborted_units
        word = _WORDS.get(state, state)
        if is_aborted and (is_open or state == "interrupted"):
            word = "is ended" if is_open else "aborted"
        yield UnitView(
            name=unit or str(recipe.about.get("cell") or ""),
            serial=cut(unit_text([recipe])[0], 60),
            word=word,
            sign=sign(state),
            look=look(state),
            reason=cut(one_line(cause_of(recipe)), 160),
            can_end=bool(unit) and is_open and not is_aborted and moment.state == "running",
        )


def _verdict(moment: Moment, units: list[UnitView]) -> tuple[str, str]:
    """Return the verdict of a batch as one word, and its style."""
    if moment.state != "ended":
        return ("ready", "waiting") if moment.state == "idle" else ("running", "running")
    if moment.aborted:
        return "aborted", "failed"
    if units and all(one.word == "pass" for one in units) and not moment.status:
        return "pass", "passed"
    if moment.status is not None and moment.status < 0:
        return "killed", "failed"
    words = {one.word for one in units} - {"pass"}
    return (next(iter(words)) if len(words) == 1 else "fail"), "failed"


def _note(moment: Moment, record: "RunRecord | None") -> str:
    """Return what happened to a batch that did not end by itself, and what is owed."""
    parts = []
    if moment.aborted:
        when = "is being ended" if moment.state == "running" else "was ended"
        parts.append(f"{moment.aborted} pressed Abort: the batch {when}, and its last steps run.")
    if moment.state != "ended":
        return " ".join(parts)
    if moment.status is not None and moment.status < 0:
        parts.append(f"The session was killed (signal {-moment.status}); no process of it is left.")
    owed = [*record.debts.owed] if record else []
    if owed:
        parts.append(
            f"Safe state owed: {', '.join(owed)} may still be on. The next start pays it, or: "
            f"pytest-orchestrator instruments safe {owed[0]}"
        )
    good = record is not None and all(is_good(verdict_of(one)) for one in record.recipes.values())
    if moment.status and moment.status > 0 and good and not moment.aborted:
        parts.append(f"The session ended with exit status {moment.status}.")
    return " ".join(parts)


def add_station(server: "Flask", station: Station) -> None:
    """Add the actions of a station to the web application of the monitor.

    Args:
        server: The web application.
        station: The station.
    """
    from flask import jsonify, redirect, request

    @server.post(f"{STATION}/<action>")  # only of `auth.ACTIONS`
    def act(action: str) -> "Response | Redirect | tuple[Response | str, int]":
        form = request.form
        nonce, who = form.get("nonce", ""), form.get("who", "")
        if action == "start":
            reply = station.start(nonce, lines_in(form), who)
        elif action == "abort":
            reply = station.abort(nonce, who, form.get("unit", ""))
        else:
            reply = station.next(nonce) if action == "next" else station.repeat(nonce)
        status = 200 if not reply.refusal else 422 if reply.problems else 409
        if request.accept_mimetypes.best == "application/json":
            return jsonify(refusal=reply.refusal, problems=reply.problems), status
        return redirect("/operator", 303) if status == 200 else (_refused(reply), status)


def _refused(reply: Reply) -> str:
    """Return the page of a refused action, which leads back to the station."""
    meta = '<meta http-equiv="refresh" content="3; url=/operator">'
    text = f"{escape(reply.refusal)} <a href='/operator'>Back to the station</a>"
    return f"<!doctype html><html lang=en><title>Station</title>{meta}<h1>{text}</h1>"
