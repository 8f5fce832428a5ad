"""History of figures in the journals of many runs, and the baseline check of a step.

Runs are read on demand, newest first and each once; of each only its figures are kept. A baseline
decides a verdict, so its runs are read from their journals with a check of the hash of each line;
drawings and statistics use the files of `runs.history`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from msgspec import UNSET, Struct

from pytest_orchestrator.core.figures.notation import figure, history_notation
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Measurement, Verdict, is_memory_bound
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.drift import ENOUGH, Drift, find_drift
from pytest_orchestrator.runs.history.model import FIGURES, MEASURED, figures_of
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord
from pytest_orchestrator.runs.summary import verdict_of
from pytest_orchestrator.runs.verdicts import is_good


class RecordedRecipe(Struct, frozen=True):
    """Recorded figures of one run of a recipe.

    Attributes:
        passed: True if no step failed or was cut off, and at least one passed.
        steps: The figures of the steps that ran, by name of the step.
    """

    passed: bool
    steps: Mapping[str, Mapping[str, float]]


class History:
    """Figures of the runs of a project, read on demand.

    Args:
        folders: Folders of runs, newest first.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._rest = iter(folders)
        self._read: dict[str, list[RecordedRecipe]] = {}

    def of(self, recipe: str) -> Iterator[RecordedRecipe]:
        """Yield the runs of a recipe, newest first.

        Args:
            recipe: Key of the recipe.
        """
        count = 0
        while True:
            runs = self._read.get(recipe, [])
            if count < len(runs):
                yield runs[count]
                count += 1
            elif not self._more():
                return

    def figures(self, recipe: str, step: str, last: int) -> dict[str, list[float]]:
        """Return the figures of a step in the last passing runs of its recipe.

        Args:
            recipe: Key of the recipe.
            step: Name of the step.
            last: Number of runs to use: the newest ones that passed and executed the step.

        Returns:
            The values by name of the figure, newest first.
        """
        figures: dict[str, list[float]] = {}
        passing = (once for once in self.of(recipe) if once.passed and step in once.steps)
        for once in islice(passing, last):
            for name, value in once.steps[step].items():
                figures.setdefault(name, []).append(value)
        return figures

    def passed(self, recipe: str) -> int:
        """Return the number of runs in which a recipe passed, at most `ENOUGH`."""
        return len([*islice((once for once in self.of(recipe) if once.passed), ENOUGH)])

    def _more(self) -> bool:
        """Read the next run, or return False if all were read; a damaged one adds nothing."""
        folder = next(self._rest, None)
        if folder is None:
            return False
        try:
            run = lookup.load_record(folder, raw_blocks=True)
        except lookup.NoRun:
            return True
        self.add(run)
        return True

    def add(self, run: RunRecord) -> None:
        """Add the next older run; one that has not ended adds nothing."""
        if run.state in ("finished", "interrupted"):
            for recipe in (one for one in run.recipes.values() if one.is_tested):
                self._read.setdefault(recipe.key, []).append(_once(recipe))


def _once(recipe: RecipeRecord) -> RecordedRecipe:
    figures = {step.name: figures_of(step) for step in recipe.steps.values()}
    passed = is_good(verdict_of(recipe))
    ran = {name: values for name, values in figures.items() if values}
    return RecordedRecipe(passed, ran)


NAME = "compare."
"""Prefix of the names of baseline criteria, before the name of the figure."""


def figures_of_attempt(ended: Ended, measured: Sequence[Measurement]) -> dict[str, float]:
    """Return the figures of an attempt, by the names that `History` uses."""
    usage = ended.usage
    figures: dict[str, float] = {"seconds": usage.seconds}
    cpu = [one for one in (usage.cpu_user_seconds, usage.cpu_system_seconds) if one is not UNSET]
    if cpu:
        figures["cpu_seconds"] = sum(cpu)
    if usage.max_rss is not UNSET and not is_memory_bound(usage.source):
        figures["max_rss"] = usage.max_rss
    for one in measured:
        if isinstance(one.value, int | float) and not isinstance(one.value, bool):
            figures[MEASURED + one.name] = one.value
    return figures


def baseline_verdicts(
    figures: Mapping[str, float],
    earlier: Mapping[str, list[float]],
    factor: float,
    place: Place,
    units: Mapping[str, str] | None = None,
    *,
    required: bool = False,
    enough: int = ENOUGH,
) -> Iterator[Verdict]:
    """Compare figures of a step with the same figures of earlier runs.

    Args:
        figures: The figures of a step.
        earlier: Values from earlier passing runs; a figure with too few is not compared.
        factor: Highest ratio of a figure to its median in the earlier runs that is no drift.
        place: Position of the step.
        units: Units of measurements, by name of the figure.
        required: True if a figure with too few earlier values fails.
        enough: Number of earlier values that are needed; 1 if the baseline is a single run.

    Returns:
        A verdict for each figure that was compared, and if required for all others but the peak
        of memory.
    """
    for name, value in figures.items():
        values = earlier.get(name, [])
        is_compared = len(values) >= enough
        # The peak of a short program is only a bound in some runs, so it cannot be required.
        if not (is_compared or (required and name != "max_rss")):
            continue
        unit = FIGURES.get(name) or (units or {}).get(name, "")
        drift = find_drift(value, values, factor, name, enough=enough)
        unmet = None if is_compared else nothing_compared(len(values), enough)
        yield Verdict(
            name=f"{NAME}{name.removeprefix(MEASURED)}",
            expected=f"within a factor of {factor:g} of the baseline",
            place=place,
            measured=value,
            unit=unit,
            distance=None if drift is None else round(abs(value - drift.limit), 6),
            unmet=unmet if drift is None else _reason(drift, unit),
        )


def nothing_compared(runs: int, enough: int) -> str:
    """Return the phrase for a recipe or a figure that has too few earlier runs."""
    return f"nothing compared, {runs} of {counted(enough, 'run')}"


def _reason(drift: Drift, unit: str) -> str:
    baseline = drift.baseline
    side = "at most" if drift.value > baseline.median else "at least"
    several = f"the median of the last {baseline.runs} passing runs"
    what = several if baseline.runs > 1 else "that of the baseline run"
    made = history_notation([drift.value, baseline.median], unit, equals=drift.limit)
    return (
        f"{made.with_unit(drift.value)} is {figure(drift.factor, most=3)} times {what}, "
        f"{made.with_unit(baseline.median)}; {side} {made.with_unit(drift.limit)}"
    )
