"""Keys of the root mappings `sampling`, `requires` and `units` of a recipe."""

from __future__ import annotations  # few recipes have these keys: read at their first use

import re
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from pytest_orchestrator.core.extras import EXTRAS
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.recipe.expressions.expression import Template
from pytest_orchestrator.recipe.expressions.names import EARLY
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import (
    Dotted,
    FilePath,
    Identifier,
    InstrumentName,
    StepName,
    Text,
    Word,
    key,
    some,
)
from pytest_orchestrator.recipe.model.measurements import Rule, Source, Uncertainty
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.recipe.problems import either

FASTEST = 0.01
"""Shortest interval between two samples, in seconds."""


def interval(value: float | str) -> float:
    """Return an interval in seconds; it must be 10 ms to a day."""
    return key_types.pause_from(FASTEST, "10 ms", value)


class Sampling(Struct, frozen=True, kw_only=True):
    """Keys of an entry of ``sampling``.

    Attributes:
        source: The uncertainties and the calibration of `instrument`; None without one.
        templates: The expressions in its limits, each with its field.
        at: The place of the value of each key in the file; below ``""`` the place of the entry.
    """

    cmd: Annotated[
        str | tuple[str, ...] | None,
        key(
            "A command line, or a list of a program and its arguments, that prints one number.",
            "psu measure --temperature",
            written=str | tuple[Word, ...],
            rule=key_types.command,
            names=EARLY,
        ),
    ] = None
    module: Annotated[
        Dotted | None,
        key("The module of a function that returns one number.", "scriptlets.python.bench"),
    ] = None
    function: Annotated[
        Identifier | None, key("The function of the module.", "case_temperature")
    ] = None
    instrument: Annotated[
        InstrumentName | None,
        key(
            "The instrument of the station file whose answer to `query` is one number.",
            "psu",
        ),
    ] = None
    query: Annotated[
        str | None,
        key(
            "The query that is sent to the instrument, between two commands of steps.",
            "MEAS:CURR?",
            rule=key_types.scpi,
            names=EARLY,
        ),
    ] = None
    every: Annotated[
        float,
        key(
            "Time from one sample to the next: seconds, or a text such as `500ms`, `1s`, `1m`. The "
            "default is 1 s.",
            "1s",
            written=int | float | str,
            rule=interval,
        ),
    ] = 1.0
    unit: Annotated[Text | None, key("The unit of the value and of the limits.", "°C")] = None
    low: Annotated[
        float | None,
        key("The lowest value that is allowed.", -10, names=EARLY, written=int | float),
    ] = None
    high: Annotated[
        float | None,
        key("The highest value that is allowed.", 85, names=EARLY, written=int | float),
    ] = None
    uncertainty: Annotated[
        Uncertainty | None,
        key(
            "The uncertainty of each sample, as that of a measurement, without expressions.",
            0.5,
            written=int | float | dict[str, Any],
            own=True,
        ),
    ] = None
    decision: Annotated[
        Rule,
        key(
            "The decision rule for each sample. The default is that of the recipe.",
            "guarded",
        ),
    ] = "simple"
    abort: Annotated[
        bool,
        key("`true`: a value outside its limits ends the running steps at once.", True),
    ] = False
    from_: Annotated[
        StepName | None,
        key("The first step that is watched. The default is the first step.", "burn_in"),
    ] = field(default=None, name="from")
    to: Annotated[
        StepName | None,
        key("The last step that is watched. The default is the last step.", "burn_in"),
    ] = None
    scope: Annotated[
        Literal["each", "once"],
        key(
            "In a recipe with `units`, `each`: the value is sampled for each unit, while steps of "
            "the unit run, and `abort` ends that unit. The default is `once`.",
            "each",
        ),
    ] = "once"

    source: Source | None = None
    templates: tuple[Template, ...] = ()
    at: dict[str, Place] = {}


class Sampler(Struct, frozen=True, kw_only=True):
    """A sampled value of a recipe.

    Attributes:
        step: The step code of one sample; its name is that of the value.
        sampling: The interval, the limits and the steps that are watched.
    """

    step: Step
    sampling: Sampling

    @property
    def name(self) -> str:
        """The name of the value."""
        return self.step.name

    def watched(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Return the steps that are watched: those from ``from`` to ``to``.

        Args:
            steps: All steps of the recipe in execution order, without those of ``finally``.
        """
        if self.step.unit:
            steps = tuple(one for one in steps if one.unit in ("", self.step.unit))
        first, last = self.sampling.from_, self.sampling.to
        places = [at for at, step in enumerate(steps) if first is None or _is_of(step, first)]
        ends = [at for at, step in enumerate(steps) if last is None or _is_of(step, last)]
        return steps[places[0] : ends[-1] + 1] if places and ends else ()


def _is_of(step: Step, name: str) -> bool:
    """Return True for the step of that name, for its cells, and for the steps that it uses."""
    base = step.name.partition("[")[0]
    return base == name or base.startswith(f"{name}.")


def extra(text: str) -> str:
    """Check the name of an extra of this package."""
    if text not in EXTRAS:
        raise ValueError(f"should be {either(EXTRAS)}{nearest(text, EXTRAS)}")
    return text


some_extras = some("an extra")
"""Rule for lists of extras."""

some_programs = some("a program")
"""Rule for lists of programs."""


class Requires(Struct, frozen=True, kw_only=True):
    """Keys of ``requires``."""

    extras: Annotated[
        tuple[Annotated[str, Meta(extra={"rule": extra})], ...],
        key("Extras of pytest-orchestrator that are installed.", ["http"], rule=some_extras),
    ] = ()
    terminal: Annotated[
        bool,
        key(
            "`true`: a person can answer at the terminal of the session, or answers were given "
            "before the run.",
            True,
        ),
    ] = False
    programs: Annotated[
        tuple[FilePath, ...],
        key(
            "Programs that are on `PATH`; one with a slash is a path relative to the rootdir.",
            ["dfu-util"],
            rule=some_programs,
        ),
    ] = ()

    def joined(self, other: Requires) -> Requires:
        """Return the requirements of both."""
        return Requires(
            extras=_joined(self.extras, other.extras),
            terminal=self.terminal or other.terminal,
            programs=_joined(self.programs, other.programs),
        )


some_units = some("a unit")
"""Rule for lists of units."""

MOST_UNITS: Final = 64
"""Most units of one recipe."""


def unit_count(value: int) -> int:
    """Check a number of units."""
    if not 1 <= value <= MOST_UNITS:
        raise ValueError(f"should be 1 to {MOST_UNITS}")
    return value


def unit_name(text: str) -> str:
    """Check the name of a unit, which is a part of node ids and of names of vars."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text):
        raise ValueError("should be at most 32 letters, digits, _ and -")
    return text


class Units(Struct, frozen=True, kw_only=True):
    """Keys of ``units``.

    Attributes:
        empty: Names of the units whose serial number is an empty text: their sockets are empty,
            and no step runs for them. Known at collection.
    """

    count: Annotated[
        int | None,
        key("The number of units; their names are `1`, `2` and so on.", 4, rule=unit_count),
    ] = None
    names: Annotated[
        tuple[Annotated[str, Meta(extra={"rule": unit_name})], ...],
        key("The names of the units, instead of `count`.", ["A", "B"], rule=some_units),
    ] = ()
    serial: Annotated[
        InputField | None,
        key(
            "The serial numbers: a typed input for each unit, `serial.A` for unit `A`. An empty "
            "text means that the socket of the unit is empty.",
            {"pattern": "SN[0-9]+"},
            own=True,
        ),
    ] = None

    empty: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """The names of all units, in order."""
        return self.names or tuple(str(number + 1) for number in range(self.count or 0))

    @property
    def present(self) -> tuple[str, ...]:
        """The names of the units that are not empty."""
        return tuple(name for name in self.all if name not in self.empty)


def serial_of(unit: str) -> str:
    """Return the name of the input that has the serial number of a unit."""
    return f"serial.{unit}"


def _joined(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*one, *other)))
