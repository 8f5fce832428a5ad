"""Rows of the table of measurements, one a measurement, and the table as CSV and JSON Lines.

All formats have the same columns. A spreadsheet evaluates a cell of a CSV file that begins like a
formula. So a text with such a beginning, or with an apostrophe, has an apostrophe before it;
without that first apostrophe it is the text again. JSON Lines has all texts as they are.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from pytest_orchestrator.core.figures.decisions import SIMPLE
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.runs.history.model import PastMeasurement, PastRun, joined
from pytest_orchestrator.runs.statistics.units import station_of, unit_of

Type: TypeAlias = Literal["number", "text", "boolean", "json"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement of a step in a run; the names and the order of the fields are the columns.

    Attributes:
        run: Id of the run.
        time: End of the step, in ISO 8601 UTC; else the start of its recipe.
        recipe: Path of the recipe.
        cell: Cell of its matrix.
        step: Name of the step.
        element: Element of ``foreach``, as text.
        attempt: Number of the attempt of the step that measured the value.
        state: State of the step.
        dut: Serial number of the unit under test; the whole text if it has none.
        dut_type: Its type.
        station: Test station.
        operator: Operator.
        name: Name of the measurement.
        value: The value if it is a finite number.
        text: The value if it is none: a text as it is, any other value as JSON.
        type: Type of the value; None if it was not measured.
        unit: Unit of the value and the limits.
        low: Lower limit.
        high: Upper limit.
        equals: The value that is expected, as JSON.
        matches: The pattern that a text must match.
        margin: Distance to the nearest limit, negative outside.
        verdict: pass, fail or unset.
        marginal: True if the value passes near a limit.
        digest: SHA-256 that seals the journal of the run; None while it is running.
        uncertainty: U of the value, with k = 2; None if it is not known.
        rule: Decision rule; None without numeric limits.
        decided: Word of the rule for a value within U of a limit; else None.
    """

    run: str
    time: str | None
    recipe: str
    cell: str | None
    step: str
    element: str | None
    attempt: int
    state: str
    dut: str | None
    dut_type: str | None
    station: str | None
    operator: str | None
    name: str
    value: int | float | None
    text: str | None
    type: Type | None
    unit: str | None
    low: float | None
    high: float | None
    equals: str | None
    matches: str | None
    margin: float | None
    verdict: str
    marginal: bool
    digest: str | None
    uncertainty: float | None
    rule: str | None
    decided: str | None


COLUMNS: Final = Row.__struct_fields__
"""Names of the columns, in order."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Step and run of a measurement: the columns that all measurements of a step share.

    Attributes:
        test_meta: The `test_meta` of the recipe; it has the unit under test, and the operator
            before that of the run.
    """

    run: str
    time: str
    recipe: str
    cell: str
    step: str
    attempt: int
    state: str
    test_meta: Mapping[str, Any]
    station: str
    operator: str
    digest: str = ""


def rows_of(runs: Iterable[PastRun]) -> Iterator[Row]:
    """Yield the rows of runs: run by run, recipe by recipe, step by step."""
    for run in runs:
        for recipe in run.recipes:
            for step in recipe.steps:
                if not step.measurements:
                    continue
                origin = Origin(
                    run=run.id,
                    time=step.stopped or recipe.started,
                    recipe=recipe.path,
                    cell=recipe.cell,
                    step=step.name,
                    attempt=step.attempts,
                    state=step.state,
                    test_meta=recipe.test_meta,
                    station=station_of(run, recipe),
                    operator=run.operator,
                    digest=run.seal,
                )
                yield from rows_of_step(origin, step.measurements)


def rows_of_step(origin: Origin, measured: Iterable[PastMeasurement]) -> Iterator[Row]:
    """Yield the rows of the measurements of a step."""
    meta, unit = origin.test_meta, unit_of(origin.test_meta)
    dut = unit.serial or joined(meta.get("dut"))
    operator = joined(meta.get("operator"))
    for one in measured:
        value, text, kind = _value(one)
        yield Row(
            run=origin.run,
            time=origin.time or None,
            recipe=origin.recipe,
            cell=origin.cell or None,
            step=origin.step,
            element=one.element,
            attempt=origin.attempt,
            state=origin.state,
            dut=dut or None,
            dut_type=unit.type or None,
            station=origin.station or None,
            operator=operator or origin.operator or None,
            name=one.name,
            value=value,
            text=text,
            type=kind,
            unit=one.unit or None,
            low=_number(one.low),
            high=_number(one.high),
            equals=None if one.equals is UNSET else _json(one.equals),
            matches=one.matches or None,
            margin=_number(one.margin),
            verdict=one.verdict,
            marginal=bool(one.marginal),
            digest=origin.digest or None,
            uncertainty=_number(one.uncertainty),
            rule=one.rule or (None if one.low is one.high is UNSET else SIMPLE),
            decided=one.decided or None,
        )


def _value(measured: PastMeasurement) -> tuple[int | float | None, str | None, Type | None]:
    """Return a value as a number or as a text, and its type."""
    value: Any = measured.value
    if value is UNSET or value is None:
        return None, None, None
    if isinstance(value, str):
        return None, value, "text"
    if isinstance(value, bool):
        return None, _json(value), "boolean"
    if isinstance(value, int | float):
        return (None, str(value), "text") if measured.figure is None else (value, None, "number")
    return None, _json(value), "json"


def _number(value: float | UnsetType) -> float | None:
    return None if value is UNSET or not math.isfinite(value) else value


def _json(value: Json) -> str:
    return msgspec.json.encode(value).decode()


_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")
_QUOTED: Final = lazy_pattern(r'[,"\n\r]')


class TextFormat(NamedTuple):
    """Format of a table of measurements as text, UTF-8 with line feeds.

    Attributes:
        header: The first line of a file; empty without one.
        lines: Function that returns rows as complete lines.
    """

    header: bytes
    lines: Callable[[Iterable[Row]], bytes]


def csv_lines(rows: Iterable[Row]) -> bytes:
    """Return rows as CSV without a header.

    Numbers have all their digits; true and false are words; a missing value is empty.
    """
    lines = (",".join(map(_cell, msgspec.structs.astuple(row))) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def json_lines(rows: Iterable[Row]) -> bytes:
    """Return rows as JSON Lines: an object with all columns in each line."""
    return b"".join(_encode(row) + b"\n" for row in rows)


FORMATS: Final[Mapping[str, TextFormat]] = {
    "csv": TextFormat(f"{','.join(COLUMNS)}\n".encode(), csv_lines),
    "jsonl": TextFormat(b"", json_lines),
}
"""The formats by the suffix of their files."""


def _cell(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value) if value is not True and value is not False else str(value).lower()
    if value.startswith(_FORMULA):
        value = f"'{value}"
    return '"' + value.replace('"', '""') + '"' if _QUOTED.search(value) else value


_encode: Final = msgspec.json.Encoder().encode
