"""What the recipes of a run took and measured in the runs before it, for curves."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pytest_orchestrator.runs.compare.history import MEASURED, History, figures_of, units_of
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord
from pytest_orchestrator.runs.summary import verdict_of

_RUNS: Final = 20
_FIGURES: Final = 24
_MOST_STEPS: Final = 200


def trends(
    run: RunRecord, before: Iterable[Path], most_bytes: int | None = None
) -> list[dict[str, Any]]:
    """Follow the figures of a run back through the runs before it.

    Args:
        run: The run.
        before: Folders of the runs before it, the newest first.
        most_bytes: How much of their journals is read; None is all.

    Returns:
        For each figure of which there is more than one point its ``name``, ``unit`` and
        ``points``, the oldest first, each with ``run``, ``value`` and ``passed``.
    """
    folders = islice(before, _RUNS)
    history = History(folders if most_bytes is None else _affordable(folders, most_bytes))
    found: list[dict[str, Any]] = []
    for recipe in run.recipes.values():
        found += islice(_trends(run, recipe, history), _FIGURES - len(found))
    return found


def _trends(run: RunRecord, recipe: RecipeRecord, history: History) -> Iterator[dict[str, Any]]:
    figures = {step.name: figures_of(step) for step in recipe.steps.values()}
    whole = sum(one["seconds"] for one in figures.values() if one)
    earlier = list(islice(history.of(recipe.key), _RUNS - 1)) if whole else []
    if not earlier:
        return
    passed = verdict_of(recipe) == "passed"

    def told(name: str, unit: str, last: float, values: list[float | None]) -> dict[str, Any]:
        points = [
            {"run": once.run, "value": value, "passed": once.passed}
            for once, value in zip(earlier, values, strict=True)
            if value is not None
        ]
        points.reverse()
        return {
            "name": name,
            "unit": unit,
            "points": [*points, {"run": run.id, "value": last, "passed": passed}],
        }

    seconds = [sum(one["seconds"] for one in once.steps.values()) for once in earlier]
    yield told(f"{recipe.key}: all steps together", "s", whole, [*seconds])
    for step in islice(recipe.steps.values(), _MOST_STEPS):
        units = units_of(step)
        for name, value in figures[step.name].items():
            if name.startswith(MEASURED):
                values = [once.steps.get(step.name, {}).get(name) for once in earlier]
                if any(one is not None for one in values):
                    what = f"{step.name}: {name.removeprefix(MEASURED)}"
                    yield told(what, units.get(name, ""), value, values)


def _affordable(folders: Iterable[Path], most: int) -> Iterator[Path]:
    """Give folders as long as their journals are small."""
    for folder in folders:
        try:
            most -= (folder / NAME).stat().st_size
        except OSError:
            continue
        if most < 0:
            return
        yield folder
