"""Conversion of the record of a run to the form that the history store keeps.

The journal is masked when it is written. All texts of the store come from the journal alone, so no
secret reaches the store that is not in the journal.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.text import cut_to_length, element_label
from pytest_orchestrator.runs.history.model import (
    PastMeasurement,
    PastRecipe,
    PastRun,
    PastStep,
    joined,
    usage_in,
)
from pytest_orchestrator.runs.record import NOT_REACHED
from pytest_orchestrator.runs.summary import (
    cause_of,
    interruption,
    remarks_of,
    seconds,
    simulated_in,
    verdict,
    verdict_of,
)
from pytest_orchestrator.runs.units import by_unit

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import InstrumentOpened
    from pytest_orchestrator.runs.block import Element, Measurement
    from pytest_orchestrator.runs.record import RecipeRecord, RunRecord, StepRecord

_LONGEST_REASON: Final = 500
_LONGEST_VALUE: Final = 1_000


def past_run(record: "RunRecord", name: str) -> PastRun:
    """Return what the history store keeps of a run.

    Args:
        record: The record of a run that has ended.
        name: Name of its folder.

    Raises:
        ValueError: The run has not ended.
    """
    if record.state == "running":
        raise ValueError(f"run {name} has not ended")
    started = record.started
    environment = started.environment if started else {}
    units = by_unit(() if record.state == "damaged" else record.recipes.values())
    recipes = tuple(map(past_recipe, units))
    return PastRun(
        id=name,
        state=record.state,
        started=record.first,
        seconds=round(seconds(record), 6),
        verdict=verdict(record, [one.verdict for one in recipes]),
        cause=record.damage or _cut(interruption(record)),
        exit_status=record.finished.exit_status if record.finished else None,
        host=started.host if started else "",
        station=_named("station", recipes) or _station(environment),
        operator=_named("operator", recipes) or _people(record),
        resumed_from=(started and started.resumed_from) or "",
        environment=environment,
        seal=record.seal,
        recipes=recipes,
    )


def _named(key: str, recipes: Iterable[PastRecipe]) -> str:
    """Return the values of a key of `test_meta` in all recipes, each once."""
    values = (joined(recipe.test_meta.get(key)) for recipe in recipes)
    return ", ".join(dict.fromkeys(filter(None, values)))


def _station(environment: Mapping[str, Any]) -> str:
    file = environment.get("station_file")
    return str(file.get("name") or "") if isinstance(file, Mapping) else ""


def _people(record: "RunRecord") -> str:
    answers = ((step.block and step.block.answers) or () for step in record.steps)
    return ", ".join(dict.fromkeys(one.who for each in answers for one in each))


def past_recipe(recipe: "RecipeRecord") -> PastRecipe:
    """Return what the history store keeps of a recipe, which may still be running."""
    about = recipe.about
    reached = [one for one in recipe.steps.values() if one.state not in NOT_REACHED]
    steps = tuple(map(_step, reached))
    selectable = {name for name, step in recipe.steps.items() if not step.sampled}
    return PastRecipe(
        key=recipe.key,
        path=recipe.path,
        name=recipe.name,
        cell=str(about.get("cell") or ""),
        unit=str(about.get("unit") or ""),
        verdict=verdict_of(recipe),
        cause=_cut(cause_of(recipe)),
        started=recipe.started,
        seconds=_duration(reached),
        test_meta=recipe.test_meta,
        vars={name: _short(value) for name, value in _mapping(about.get("vars")).items()},
        digest=str(about.get("sha256") or ""),
        digests=recipe.digests,
        selected=len(selectable - recipe.unselected),
        total=len(selectable),
        only_restored=not recipe.is_tested,
        simulated=simulated_in(recipe.opened.values()),
        instruments=tuple(_instrument(recipe.opened[name]) for name in sorted(recipe.opened)),
        remarks=remarks_of(recipe),
        steps=steps,
    )


def _instrument(one: "InstrumentOpened") -> str:
    calibrated = f", calibrated {one.calibrated}" if one.calibrated else ""
    return _cut(f"{one.instrument}: {one.idn or one.resource}{calibrated}")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _short(var: object) -> Any:
    """Return the value of a var, or the digest of a long value."""
    value = var.get("value") if isinstance(var, Mapping) else None
    data = msgspec.json.encode(value)
    return value if len(data) <= _LONGEST_VALUE else f"sha256:{sha256(data).hexdigest()}"


def _duration(steps: Iterable["StepRecord"]) -> float:
    """Return the seconds from the start of the first step of a run to the end of the last."""
    times = [one.block.time for one in steps if one.state != "restored" and one.block]
    known = [one for one in times if one]
    if not known:
        return 0.0
    first, last = min(one.start for one in known), max(one.stop for one in known)
    return round(max(epoch_seconds(last) - epoch_seconds(first), 0.0), 6)


def _step(step: "StepRecord") -> PastStep:
    block = step.block
    is_empty_loop = block is not None and block.elements == []
    fields = step.outcome_fields if step.state != "passed" or is_empty_loop else {}
    used: dict[str, Any] = {} if step.state == "restored" or not block else {**usage_in(block)}
    return PastStep(
        name=step.name,
        state=step.state,
        kind=fields.get("kind", ""),
        reason=_cut(fields.get("reason", "")),
        attempts=step.attempt,
        reruns=step.reruns,
        sampled=step.sampled,
        stopped=block.time.stop if used and block and block.time else "",
        digest=step.digest,
        measurements=tuple(
            measurements_in((block and block.measurements) or (), step.block_elements)
        ),
        **used,
    )


def _cut(text: str) -> str:
    return cut_to_length(text, _LONGEST_REASON)


def measurements_in(
    measured: Iterable["Measurement"], elements: Iterable["Element"]
) -> Iterator[PastMeasurement]:
    """Yield the measurements of a step, and those of its elements of ``foreach``.

    Args:
        measured: The measurements in the block of the step.
        elements: The elements in it.
    """
    for one in measured:
        yield _measurement(one)
    for element in elements:
        for one in element.measurements or ():
            label = element_label(element.index, element.item).partition("] ")[2]
            yield _measurement(one, f"{one.name}[{element.index}]", label)


def _measurement(one: "Measurement", name: str = "", element: str | None = None) -> PastMeasurement:
    fields = {field: getattr(one, field) for field in one.__struct_fields__}
    return PastMeasurement(**{**fields, "name": name or one.name, "element": element})
