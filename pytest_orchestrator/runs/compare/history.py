"""History of figures over many runs, trends, and the baseline check of a step.

Runs are read from the newest on, each once, and only as many as are asked for; of each no
more is kept than its figures.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Measured, Verdict
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.drift import ENOUGH, Drift, UsualRange, drifted, usual_range
from pytest_orchestrator.runs.record import RecipeRecord, StepRecord
from pytest_orchestrator.runs.summary import verdict_of

FIGURES: Final = {"seconds": "s", "cpu_seconds": "s", "max_rss": "bytes"}
"""What is known of all steps, each with its unit."""

MEASURED: Final = "measurements."
"""What the name of a figure begins with that is a measurement of the step."""


class RecordedRecipe(NamedTuple):
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
        self._read: dict[str, list[RecordedRecipe]] = {}

    @property
    def recipes(self) -> list[str]:
        """The keys of the recipes that were met so far."""
        return list(self._read)

    def read_all(self) -> None:
        """Read all runs that there are."""
        while self._more():
            pass

    def of(self, recipe: str) -> Iterator[RecordedRecipe]:
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
            run = lookup.load_record(folder)
        except lookup.NoRun:
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


def _once(run: str, recipe: RecipeRecord) -> RecordedRecipe:
    ran = {step.name: figures_of(step) for step in recipe.steps.values()}
    passed = verdict_of(recipe) == "passed"
    return RecordedRecipe(
        run, recipe.started, passed, {name: told for name, told in ran.items() if told}
    )


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


class Point(NamedTuple):
    """The figure in one run.

    Attributes:
        run: Id of the run.
        start: When the recipe began there, in ISO 8601 UTC.
        value: The figure.
        passed: The recipe passed there.
    """

    run: str
    start: str
    value: float
    passed: bool


class Trend(NamedTuple):
    """A figure over the runs.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        figure: ``seconds``, ``cpu_seconds``, ``max_rss``, or the name of a measurement.
        unit: What it is in; empty where that is not known.
        points: The runs, the oldest first.
        usual: Of those that passed; None where none did.
        drift: In which way the last one is out of what those before it had.
    """

    recipe: str
    step: str
    figure: str
    unit: str
    points: tuple[Point, ...]
    usual: UsualRange | None
    drift: Drift | None


def trends(folders: Iterable[Path], name: str = "") -> list[Trend]:
    """Follow figures from run to run.

    Args:
        folders: Folders of runs, the newest first.
        name: Name of a step: all its figures; or of a measurement, wherever it is taken.
            Empty are the seconds and the measurements of all steps.

    Returns:
        The trends, by recipe, step and figure.
    """
    history = History(folders)
    history.read_all()
    return [
        _trend(history, recipe, step, figure)
        for recipe in history.recipes
        for step, figures in _known(history.of(recipe)).items()
        for figure in figures
        if _is_meant(name, step, figure)
    ]


def _is_meant(name: str, step: str, figure: str) -> bool:
    if not name:
        return figure == "seconds" or figure.startswith(MEASURED)
    return name in (step, figure.removeprefix(MEASURED), f"{step}.{figure}")


def _known(times: Iterator[RecordedRecipe]) -> dict[str, dict[str, None]]:
    """Return the figures of each step, as names in order."""
    found: dict[str, dict[str, None]] = {}
    for once in times:
        for step, figures in once.steps.items():
            found.setdefault(step, {}).update(dict.fromkeys(figures))
    return found


def _trend(history: History, recipe: str, step: str, figure: str) -> Trend:
    points = [
        Point(once.run, once.started, once.steps[step][figure], once.passed)
        for once in history.of(recipe)
        if figure in once.steps.get(step, ())
    ][::-1]
    good = [point.value for point in points if point.passed]
    before = [point.value for point in points[:-1] if point.passed]
    what = figure if figure in FIGURES else ""
    return Trend(
        recipe,
        step,
        figure.removeprefix(MEASURED),
        FIGURES.get(figure) or history.units.get((recipe, step, figure), ""),
        tuple(points),
        usual_range(good) if good else None,
        drifted(points[-1].value, before, what=what),
    )


NAME = "compare."
"""What the names of these criteria begin with, before that of the figure."""


def figures_of_attempt(ended: Ended, measured: Sequence[Measured]) -> dict[str, float]:
    """Return what a try took and measured, by the names that `History` has for it."""
    usage = ended.usage
    told: dict[str, float] = {"seconds": usage.seconds}
    cpu = [one for one in (usage.cpu_user_seconds, usage.cpu_system_seconds) if one is not None]
    if cpu:
        told["cpu_seconds"] = sum(cpu)
    if usage.max_rss is not None:
        told["max_rss"] = usage.max_rss
    for one in measured:
        if isinstance(one.value, int | float) and not isinstance(one.value, bool):
            told[MEASURED + one.name] = one.value
    return told


def baseline_verdicts(
    figures: Mapping[str, float],
    earlier: Mapping[str, list[float]],
    factor: float,
    place: Place,
    units: Mapping[str, str] | None = None,
) -> Iterator[Verdict]:
    """Hold figures against earlier ones.

    Args:
        figures: What a step took and measured.
        earlier: The same of earlier passing runs; those with too few are not judged.
        factor: How many times what was usual a figure may be.
        place: Where the step stands.
        units: Of measurements.

    Returns:
        A criterion for each figure of which enough is known.
    """
    for name, value in figures.items():
        known = earlier.get(name, [])
        if len(known) < ENOUGH:
            continue
        what = name if name in FIGURES else ""
        unit = FIGURES.get(name) or (units or {}).get(name, "")
        drift = drifted(value, known, factor, what)
        yield Verdict(
            name=f"{NAME}{name.removeprefix(MEASURED)}",
            wanted=f"{factor:g} times what was usual",
            place=place,
            measured=value,
            unit=unit,
            distance=None if drift is None else round(abs(value - drift.limit), 6),
            unmet=None if drift is None else _told(drift, unit),
        )


def _told(drift: Drift, unit: str) -> str:
    usual = drift.usual
    side = "at most" if drift.value > usual.median else "at least"
    return (
        f"{_shown(drift.value, unit)} is {drift.factor:.3g} times the median of the last "
        f"{usual.runs} passing runs, {_shown(usual.median, unit)}; {side} "
        f"{_shown(drift.limit, unit)}"
    )


def _shown(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1e6:.4g} MB"
    return f"{value:.4g} {unit}".rstrip()
