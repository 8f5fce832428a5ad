"""Sampled values of a recipe: values that are measured again and again while steps run."""

from __future__ import annotations  # few recipes have these keys: read at their first use

from typing import Annotated

from msgspec import Struct, field

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.expression import Template
from pytest_orchestrator.recipe.expressions.names import EARLY
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import (
    Dotted,
    Identifier,
    InstrumentName,
    StepName,
    Text,
    Word,
    key,
)
from pytest_orchestrator.recipe.model.step import Step

FASTEST = 0.01
"""Shortest interval between two samples, in seconds."""


def interval(value: float | str) -> float:
    """Return an interval in seconds; it must be 10 ms to a day."""
    return key_types.pause_from(FASTEST, "10 ms", value)


class Sampling(Struct, frozen=True, kw_only=True):
    """Keys of an entry of ``sampling``.

    Attributes:
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
        first, last = self.sampling.from_, self.sampling.to
        places = [at for at, step in enumerate(steps) if first is None or _is_of(step, first)]
        ends = [at for at, step in enumerate(steps) if last is None or _is_of(step, last)]
        return steps[places[0] : ends[-1] + 1] if places and ends else ()


def _is_of(step: Step, name: str) -> bool:
    """Return True for the step of that name, for its cells, and for the steps that it uses."""
    base = step.name.partition("[")[0]
    return base == name or base.startswith(f"{name}.")
