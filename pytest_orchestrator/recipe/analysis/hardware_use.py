"""Check whether a recipe declares that it uses hardware: locks, instruments, `implicit: false`."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.fields import type_hooks
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import InstrumentQuery, Step

INSTRUMENT_FIXTURE: Final = "instrument"
"""Name of the fixture that opens instruments of the station."""


class HardwareUse(NamedTuple):
    """A place of a recipe that declares the use of hardware.

    Attributes:
        path: The file that contains the place, relative to the rootdir.
        place: The place.
        what: The declaration, such as ``step 'measure' has locks``.
    """

    path: str
    place: Place
    what: str

    def __str__(self) -> str:
        """Return the position and the declaration."""
        return f"{self.path}:{self.place.line}:{self.place.column}: {self.what}"


def hardware_use(recipe: Recipe) -> HardwareUse | None:
    """Return the first declaration that a recipe uses hardware; None if it has none.

    Programs and modules of steps are not analysed: what they do without a lock or an instrument of
    the station is not known.

    Args:
        recipe: The recipe; the recipes that it needs are not included.
    """
    return next(_declarations(recipe), None)


def _declarations(recipe: Recipe) -> Iterator[HardwareUse]:
    if recipe.locks:
        yield HardwareUse(recipe.id, recipe.at.get("locks", Place(1, 1)), "the recipe has locks")
    if INSTRUMENT_FIXTURE in recipe.fixtures:
        place = recipe.at.get("fixtures", Place(1, 1))
        yield HardwareUse(recipe.id, place, f"the recipe has fixture '{INSTRUMENT_FIXTURE}'")
    samplers = (one.step for one in recipe.samplers)
    for step in (*recipe.steps, *recipe.final, *samplers):
        source = recipe.source(step).id
        for key, what in _of_step(step, str(recipe.path)):
            place = step.at.get(key) or step.at.get("name") or step.at[""]
            yield HardwareUse(source, place, f"step '{step.name}' has {what}")


def _of_step(step: Step, recipe: str) -> Iterator[tuple[str, str]]:
    """Yield the key and the words of each declaration of a step."""
    if step.locks:
        yield "locks", "locks"
    if step.file_use is not None and step.file_use.locks:
        yield "use", "locks of the file that it uses"
    if not step.implicit:
        yield "implicit", "`implicit: false`"
    if INSTRUMENT_FIXTURE in step.fixtures:
        yield "fixtures", f"fixture '{INSTRUMENT_FIXTURE}'"
    if isinstance(step, InstrumentQuery):
        yield "instrument", f"instrument '{step.instrument}'"
    elif any(_instruments(step, recipe)):
        yield "instrument", "an instrument"


def _instruments(step: Step, recipe: str) -> Iterable[object]:
    """Return the instruments of a step; a hook that fails may hide some, so it counts as one."""
    try:
        return type_hooks.instruments_of(step, recipe)
    except type_hooks.HookError:
        return ("unknown",)
