"""Earlier figures of the steps of a project, and the baseline check of a step.

Runs are read on demand from the history store, newest first and each once for a recipe.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Final

from msgspec import UNSET

from pytest_orchestrator.core.figures.notation import figure, history_notation
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Measurement, Verdict, is_memory_bound
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.runs.history.build import past_recipe
from pytest_orchestrator.runs.history.drift import ENOUGH, LAST, Drift, Value, drift_of
from pytest_orchestrator.runs.history.model import FIGURES, MEASURED, PastRecipe, PastStep
from pytest_orchestrator.runs.index.database import Index
from pytest_orchestrator.runs.index.past_runs import read_all
from pytest_orchestrator.runs.record import RunRecord
from pytest_orchestrator.runs.units import by_unit

Earlier = Mapping[str, Sequence[Value]]
"""Earlier figures of a step by name, newest first."""

_DEEPEST: Final = 1_000
"""Number of runs among which the first ones since a change of the limits are looked for."""


class History:
    """Figures of the runs of a project, read on demand.

    Args:
        base: The folder of the runs; None for no runs but those that are added.
        of: Id of a run: only those before it are read. Empty for all that have ended.
    """

    def __init__(self, base: Path | None, of: str = "") -> None:
        self._base, self._run = base, of
        self._known: dict[str, list[PastRecipe]] = {}
        self._rest: dict[str, Iterator[PastRecipe]] = {}

    def of(self, recipe: str) -> Iterator[PastRecipe]:
        """Yield the runs of a recipe, newest first.

        Args:
            recipe: Key of the recipe.
        """
        known = self._known.setdefault(recipe, [])
        if recipe not in self._rest:
            self._rest[recipe] = self._read(recipe)
        for at in count():
            if at == len(known):
                known.extend(islice(self._rest[recipe], 1))
            if at == len(known):
                return
            yield known[at]

    def _read(self, recipe: str) -> Iterator[PastRecipe]:
        if self._base is None:
            return
        with Index(self._base) as index:
            among = index.runs("key", recipe)
        for run in read_all(self._base, of=self._run, among=among):
            yield from (one for one in run.recipes if one.key == recipe)

    def figures(
        self, recipe: str, step: str, last: int, *, simulated: bool | None = None
    ) -> dict[str, list[Value]]:
        """Return the figures of a step in earlier runs of its recipe that passed.

        Args:
            recipe: Key of the recipe.
            step: Name of the step.
            last: Number of runs to use: the newest ones that passed and executed the step. If it
                has measurements, also the runs back to a change of their limits or instruments.
            simulated: True for runs with simulated instruments, False for others; None for all.

        Returns:
            The values by name of the figure, newest first.
        """
        figures: dict[str, list[Value]] = {}
        passing = (one for one in self.of(recipe) if one.is_reference)
        wanted = (one for one in passing if simulated in (None, bool(one.simulated)))
        found = (values for one in wanted if (values := values_in(one, one.by_name.get(step))))
        for number, values in enumerate(islice(found, _DEEPEST), 1):
            for name, value in values.items():
                figures.setdefault(name, []).append(value)
            measured = [name for name, value in values.items() if value.limits is not None]
            enough = max(last, LAST) if measured else last
            if number >= enough and not any(_is_like(figures[name]) for name in measured):
                break
        return figures

    def passed(self, recipe: str) -> int:
        """Return the number of runs in which a recipe passed, at most `ENOUGH`."""
        return len([*islice((one for one in self.of(recipe) if one.is_reference), ENOUGH)])

    def add(self, run: RunRecord) -> None:
        """Add the next older run; one that has not ended adds nothing."""
        if run.state in ("finished", "interrupted"):
            for recipe in (one for one in by_unit(run.recipes.values()) if one.is_tested):
                self._known.setdefault(recipe.key, []).append(past_recipe(recipe))


def _is_like(values: Sequence[Value]) -> bool:
    """Return True if the oldest of some values has the limits and instruments of the newest."""
    first, last = values[0], values[-1]
    return (first.limits, first.instruments) == (last.limits, last.instruments)


def values_in(recipe: PastRecipe, step: PastStep | None) -> dict[str, Value]:
    """Return the figures of a step in a run by name; empty if it did not run."""
    figures = step.figures if step else {}
    measured = {MEASURED + one.name: one for one in (step.measurements if step else ())}
    return {
        name: Value.of(number, measured[name], recipe.instruments)
        if name in measured
        else Value(number, FIGURES.get(name, ""))
        for name, number in figures.items()
    }


NAME = "compare."
"""Prefix of the names of baseline criteria, before the name of the figure."""


def figures_of_attempt(ended: Ended, measured: Sequence[Measurement]) -> dict[str, Value]:
    """Return the figures of an attempt, by the names that `History` uses."""
    usage = ended.usage
    figures: dict[str, float] = {"seconds": usage.seconds}
    cpu = [one for one in (usage.cpu_user_seconds, usage.cpu_system_seconds) if one is not UNSET]
    if cpu:
        figures["cpu_seconds"] = sum(cpu)
    if usage.max_rss is not UNSET and not is_memory_bound(usage.source):
        figures["max_rss"] = usage.max_rss
    values = {name: Value(number, FIGURES[name]) for name, number in figures.items()}
    for one in measured:
        if isinstance(one.value, int | float) and not isinstance(one.value, bool):
            values[MEASURED + one.name] = Value.of(one.value, one)
    return values


def baseline_verdicts(
    figures: Mapping[str, Value],
    earlier: Earlier,
    factor: float,
    place: Place,
    *,
    last: int = LAST,
    required: bool = False,
    enough: int | None = None,
) -> Iterator[Verdict]:
    """Compare figures of a step with the same figures of earlier runs.

    Args:
        figures: The figures of a step.
        earlier: Values from earlier passing runs; a figure with too few is not compared.
        factor: Highest ratio of a duration or of memory to its median in the earlier runs that is
            no drift.
        place: Position of the step.
        last: Number of the last runs with which it is compared.
        required: True if a figure with too few earlier values fails.
        enough: Number of earlier values that are needed; 1 if the baseline is a single run, None
            for the usual number.

    Returns:
        A verdict for each figure that was compared, and if required for all others but the peak
        of memory.
    """
    for name, value in figures.items():
        values = earlier.get(name, [])
        needed = enough or value.enough
        is_compared = len(values) >= needed
        # The peak of a short program is only a bound in some runs, so it cannot be required.
        if not (is_compared or (required and name != "max_rss")):
            continue
        drift = drift_of(value, values, name, factor, last=last, enough=enough)
        unmet = None if is_compared else nothing_compared(len(values), needed)
        yield Verdict(
            name=f"{NAME}{name.removeprefix(MEASURED)}",
            expected=_expected(value, factor),
            place=place,
            measured=value.number,
            unit=value.unit,
            distance=None if drift is None else round(abs(value.number - drift.limit), 6),
            unmet=unmet if drift is None else _reason(drift, value.unit),
        )


def _expected(value: Value, factor: float) -> str:
    if value.limits is None:
        return f"within a factor of {factor:g} of the baseline"
    share = "" if value.limits == (None, None) else ", or 10 % of the range,"
    return f"within 4 deviations{share} of the baseline"


def nothing_compared(runs: int, enough: int) -> str:
    """Return the phrase for a recipe or a figure that has too few earlier runs."""
    return f"nothing compared, {runs} of {counted(enough, 'run')}"


def _reason(drift: Drift, unit: str) -> str:
    baseline = drift.baseline
    side = "at most" if drift.value > baseline.median else "at least"
    last = "first" if drift.is_first else "last"
    several = f"the median of the {last} {baseline.runs} passing runs"
    what = several if baseline.runs > 1 else "that of the baseline run"
    made = history_notation([drift.value, baseline.median], unit, equals=drift.limit)
    size = f"{figure(drift.factor, most=3)} times"
    if drift.is_measured:
        what = several if baseline.runs > 1 else "the baseline run"
        size = f"{drift.text} from"
    since = " since its limits or instruments changed" if drift.is_first else ""
    return (
        f"{made.with_unit(drift.value)} is {size} {what}{since}, "
        f"{made.with_unit(baseline.median)}; {side} {made.with_unit(drift.limit)}"
    )
