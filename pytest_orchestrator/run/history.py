"""Many runs: what the steps of a recipe took and measured when the recipe passed.

Runs are read from the newest on, each once, and only as many as are asked for; of each no
more is kept than its figures.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_orchestrator.run import runs
from pytest_orchestrator.run.record import RecipeRecord, StepRecord
from pytest_orchestrator.run.verdict import verdict_of

FIGURES: Final = {"seconds": "s", "cpu_seconds": "s", "max_rss": "bytes"}
"""What is known of all steps, each with its unit."""

MEASURED: Final = "measurements."
"""What the name of a figure begins with that is a measurement of the step."""


class Once(NamedTuple):
    """A recipe that ran once.

    Attributes:
        run: Id of the run.
        started: When the recipe began, in ISO 8601 UTC.
        passed: No step of it failed or was cut off, and one passed at least.
        steps: The figures of its steps that ran, by name.
    """

    run: str
    started: str
    passed: bool
    steps: Mapping[str, Mapping[str, float]]


class History:
    """The runs of a project, as far back as anybody asks.

    Attributes:
        units: Of measurements, by recipe, step and figure; as the newest run has them.

    Args:
        folders: Folders of runs, the newest first.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.units: dict[tuple[str, str, str], str] = {}
        self._rest = iter(folders)
        self._read: dict[str, list[Once]] = {}

    @property
    def recipes(self) -> list[str]:
        """The keys of the recipes that were met so far."""
        return list(self._read)

    def read_all(self) -> None:
        """Read all runs that there are."""
        while self._more():
            pass

    def of(self, recipe: str) -> Iterator[Once]:
        """Give each time that a recipe ran, the last one first.

        Args:
            recipe: Its key.
        """
        told = 0
        while True:
            known = self._read.get(recipe, [])
            if told < len(known):
                yield known[told]
                told += 1
            elif not self._more():
                return

    def figures(self, recipe: str, step: str, last: int) -> dict[str, list[float]]:
        """Return what a step took and measured in the last passing runs of its recipe.

        Args:
            recipe: Key of the recipe.
            step: Name of the step.
            last: Number of the runs that count: the last ones that passed and had the step.

        Returns:
            The figures by name, the newest first.
        """
        found: dict[str, list[float]] = {}
        counting = (once for once in self.of(recipe) if once.passed and step in once.steps)
        for once in islice(counting, last):
            for name, value in once.steps[step].items():
                found.setdefault(name, []).append(value)
        return found

    def _more(self) -> bool:
        """Read one run more; one that cannot be trusted or is not over tells nothing."""
        folder = next(self._rest, None)
        if folder is None:
            return False
        try:
            run = runs.load(folder)
        except runs.NoRun:
            return True
        if run.state in ("finished", "interrupted"):
            for recipe in run.recipes.values():
                self._read.setdefault(recipe.key, []).append(_once(folder.name, recipe))
                for step in recipe.steps.values():
                    self._note_units(step)
        return True

    def _note_units(self, step: StepRecord) -> None:
        for name, unit in units_of(step).items():
            self.units.setdefault((step.recipe, step.name, name), unit)


def _once(run: str, recipe: RecipeRecord) -> Once:
    ran = {step.name: figures_of(step) for step in recipe.steps.values()}
    passed = verdict_of(recipe) == "passed"
    return Once(run, recipe.started, passed, {name: told for name, told in ran.items() if told})


def figures_of(step: StepRecord) -> dict[str, float]:
    """Return what a step took and measured; nothing of one that did not run."""
    if step.block is None or step.state == "restored":
        return {}
    return figures_in(step.block)


def units_of(step: StepRecord) -> dict[str, str]:
    """Return the units of the measurements of a step, as far as they have some."""
    measured = (step.block or {}).get("measurements", ())
    return {MEASURED + one["name"]: one["unit"] for one in measured if one.get("unit")}


def figures_in(block: Mapping[str, Any]) -> dict[str, float]:
    """Return what the block of a step says that it took and measured, as numbers.

    Args:
        block: The block, as reports have it.

    Returns:
        The figures by name: those of `FIGURES`, and measurements behind `MEASURED`.
    """
    used = block.get("resources")
    if used is None:
        return {}
    told: dict[str, float] = {"seconds": used["seconds"]}
    cpu = [used[name] for name in ("cpu_user_seconds", "cpu_system_seconds") if name in used]
    if cpu:
        told["cpu_seconds"] = round(sum(cpu), 6)
    if "max_rss" in used:
        told["max_rss"] = used["max_rss"]
    for one in block.get("measurements", ()):
        value = one.get("value")
        if isinstance(value, int | float) and not isinstance(value, bool):
            told[MEASURED + one["name"]] = value
    return told
