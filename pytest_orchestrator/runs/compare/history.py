"""History of figures over many runs, trends, and the baseline check of a step.

Runs are read on demand, newest first and each once; of each only its figures are kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

from msgspec import UNSET, MsgspecError, Struct, UnsetType, json

from pytest_orchestrator.core.files import gc_paused
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Measured, Verdict, is_memory_bound
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.block import Measurement, Resources
from pytest_orchestrator.runs.compare.drift import (
    ENOUGH,
    BaselineRange,
    Drift,
    baseline_range,
    find_drift,
)
from pytest_orchestrator.runs.journal.writer import NAME as JOURNAL
from pytest_orchestrator.runs.journal.writer import is_being_written
from pytest_orchestrator.runs.record import RecipeRecord, StepRecord
from pytest_orchestrator.runs.summary import verdict_of
from pytest_orchestrator.runs.verdicts import Outcome, of_steps

FIGURES: Final = {"seconds": "s", "cpu_seconds": "s", "max_rss": "bytes"}
"""Figures that all steps have, each with its unit."""

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block

MEASURED: Final = "measurements."
"""Prefix of the names of figures that are measurements of the step."""


class RecordedRecipe(Struct, frozen=True):
    """Recorded figures of one run of a recipe.

    Attributes:
        run: Id of the run.
        started: Start of the recipe, in ISO 8601 UTC.
        passed: True if no step failed or was cut off, and at least one passed.
        steps: The figures of the steps that ran, by name of the step.
    """

    run: str
    started: str
    passed: bool
    steps: Mapping[str, Mapping[str, float]]


class History:
    """Figures of the runs of a project, read on demand.

    Attributes:
        units: Units of measurements, by recipe, step and figure, from the newest run that has
            one.
        precisions: Significant digits of measurements, as `units`.

    Args:
        folders: Folders of runs, newest first.
        is_verified: False to read only the figures of a sealed journal, without a check of the
            hashes of its lines and without `units` and `precisions`: enough for a drawing, and a
            fifth of the work.
    """

    def __init__(self, folders: Iterable[Path], *, is_verified: bool = True) -> None:
        self.units: dict[tuple[str, str, str], str] = {}
        self.precisions: dict[tuple[str, str, str], int] = {}
        self._rest = iter(folders)
        self._is_verified = is_verified
        self._read: dict[str, list[RecordedRecipe]] = {}

    @property
    def recipes(self) -> list[str]:
        """The keys of the recipes in the runs that were read so far."""
        return list(self._read)

    def read_all(self) -> None:
        """Read all runs."""
        while self._more():
            pass

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

    def _more(self) -> bool:
        """Read the next run, or return False if all were read; a damaged one adds nothing."""
        folder = next(self._rest, None)
        if folder is None:
            return False
        figures = None if self._is_verified else _figures_in_journal(folder)
        if figures is not None:
            for key, once in figures.items():
                self._read.setdefault(key, []).append(once)
            return True
        try:
            run = lookup.load_record(folder, raw_blocks=True)
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
        for name, precision in precisions_of(step).items():
            self.precisions.setdefault((step.recipe, step.name, name), precision)


def _once(run: str, recipe: RecipeRecord) -> RecordedRecipe:
    figures = {step.name: figures_of(step) for step in recipe.steps.values()}
    passed = verdict_of(recipe) == "passed"
    ran = {name: values for name, values in figures.items() if values}
    return RecordedRecipe(run, recipe.started, passed, ran)


# The types of the events from which the end of a step follows directly. A journal with another
# event or another value cannot be decoded with them, and is read as a whole.
class _Line(Struct, tag_field="event"):
    pass


class _RunStarted(_Line, tag="run_started"):
    pass


class _ContextChanged(_Line, tag="context_changed"):
    pass


class _ContextReplaced(_Line, tag="context_replaced"):
    pass


class _RecipeStarted(_Line, tag="recipe_started"):
    recipe: str
    ts: str


class _StepStarted(_Line, tag="step_started"):
    recipe: str
    step: str
    cut_off_in: None = None
    element: None = None


class _Block(Struct):
    """The part of a report block with the figures of the step."""

    resources: Resources | UnsetType = UNSET
    measurements: list[Measurement] | UnsetType = UNSET
    elements: None = None


class _StepFinished(_Line, tag="step_finished"):
    recipe: str
    step: str
    outcome: Literal["passed", "failed", "skipped"]
    block: _Block
    restored: str | None = None


class _TestReported(_Line, tag="test_reported"):
    outcome: Literal["passed", "failed", "skipped", "xfailed", "xpassed", "error"]
    recipe: str = ""
    step: str | None = None


class _RunFinished(_Line, tag="run_finished"):
    lines: int


_decode_lines: Final = json.Decoder(
    _RunStarted
    | _ContextChanged
    | _ContextReplaced
    | _RecipeStarted
    | _StepStarted
    | _StepFinished
    | _TestReported
    | _RunFinished
).decode_lines


class _RecipeFigures:
    """State of each step of a recipe, and its last block, from the lines of a journal."""

    def __init__(self, started: str) -> None:
        self._started = started
        self._states: dict[str, str] = {}
        self._blocks: dict[str, _Block] = {}

    def fold(self, line: _StepStarted | _StepFinished | _TestReported, step: str) -> None:
        """Update the state of a step; raise `KeyError` if pytest reports it without an event."""
        if isinstance(line, _StepStarted):
            self._states[step] = "running"
        elif isinstance(line, _StepFinished):
            self._states[step] = "restored" if line.restored else line.outcome
            self._blocks[step] = _NO_FIGURES if line.restored else line.block
        elif line.outcome != "skipped" and self._states[step] != "running":
            self._states[step] = line.outcome

    def of(self, run: str) -> RecordedRecipe | None:
        """Return the figures at the end of a run; None if a step has not ended."""
        states = {*self._states.values()}
        if "running" in states:
            return None
        figures = {step: figures_in(block) for step, block in self._blocks.items()}
        # A blocked step has another one that failed, or that excuses it.
        passed = of_steps(Outcome("", each) for each in states - {"blocked"}) == "passed"
        ran = {step: values for step, values in figures.items() if values}
        return RecordedRecipe(run, self._started, passed, ran)


_NO_FIGURES: Final = _Block()


def _figures_in_journal(folder: Path) -> dict[str, RecordedRecipe] | None:
    """Return the figures of a finished run by recipe, without a check of its hashes.

    Args:
        folder: The folder of the run.

    Returns:
        None if the run must be read as a whole: it has no sealed journal, or events from which
        the outcome of a step follows in another way than from its end and pytest's report.
    """
    path, recipes = folder / JOURNAL, dict[str, _RecipeFigures]()
    try:
        with gc_paused():
            lines: list[_Line] = [] if is_being_written(path) else _decode_lines(path.read_bytes())
        last = lines[-1] if lines else None
        if not isinstance(last, _RunFinished) or last.lines != len(lines) - 1:
            return None
        for line in lines:
            if isinstance(line, _StepStarted | _StepFinished | _TestReported):
                if line.step is not None:
                    recipes[line.recipe].fold(line, line.step)
            elif isinstance(line, _RecipeStarted):
                if line.recipe in recipes:
                    return None
                recipes[line.recipe] = _RecipeFigures(line.ts)
    except (OSError, KeyError, MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    figures = {key: one.of(folder.name) for key, one in recipes.items()}
    found = {key: one for key, one in figures.items() if one is not None}
    return found if len(found) == len(figures) else None


def figures_of(step: StepRecord) -> dict[str, float]:
    """Return the figures of a step; empty for a step that did not run.

    Returns:
        The figures by name: those of `FIGURES`, and measurements with the prefix `MEASURED`.
    """
    if step.block is None or step.state == "restored":
        return {}
    return figures_in(step.block)


def units_of(step: StepRecord) -> dict[str, str]:
    """Return the units of the measurements of a step, by name of the figure."""
    measured = _measurements(step.block)
    return {MEASURED + one.name: one.unit for one in measured if one.unit}


def precisions_of(step: StepRecord) -> dict[str, int]:
    """Return the `precision` of the measurements of a step that have one, by figure."""
    measured = _measurements(step.block)
    return {MEASURED + one.name: one.precision for one in measured if one.precision}


def _measurements(block: "Block | _Block | None") -> "Sequence[Measurement]":
    if block is None or not (block.measurements or block.elements):
        return ()
    from pytest_orchestrator.runs.block import measurements_of

    return measurements_of(cast("Block", block))  # it has these two fields


def figures_in(block: "Block | _Block") -> dict[str, float]:
    """Return the figures in a block, as `figures_of` does."""
    used = block.resources
    if not used:
        return {}
    figures: dict[str, float] = {"seconds": used.seconds}
    cpu = [one for one in (used.cpu_user_seconds, used.cpu_system_seconds) if one is not UNSET]
    if cpu:
        figures["cpu_seconds"] = round(sum(cpu), 6)
    if used.max_rss is not UNSET and not is_memory_bound(used.source):
        figures["max_rss"] = used.max_rss
    for one in _measurements(block):
        if isinstance(one.value, int | float) and not isinstance(one.value, bool):
            figures[MEASURED + one.name] = one.value
    return figures


class Point(Struct, frozen=True):
    """Point of a trend: the figure in one run.

    Attributes:
        run: Id of the run.
        start: Start of the recipe in that run, in ISO 8601 UTC.
        value: The figure.
        passed: True if the recipe passed in that run.
    """

    run: str
    start: str
    value: float
    passed: bool


class Trend(Struct, frozen=True):
    """Trend of a figure over the runs.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        figure: ``seconds``, ``cpu_seconds``, ``max_rss``, or the name of a measurement.
        unit: Unit of the figure; empty if unknown.
        points: The runs, oldest first.
        usual: Range of the runs that passed; None if none did.
        drift: Drift of the last run from the passing ones before it.
        precision: Significant digits of a measurement; None means the default.
    """

    recipe: str
    step: str
    figure: str
    unit: str
    points: tuple[Point, ...]
    usual: BaselineRange | None
    drift: Drift | None
    precision: int | None = None


def trends(folders: Iterable[Path], name: str = "") -> list[Trend]:
    """Return the trends of figures over runs.

    Args:
        folders: Folders of runs, newest first.
        name: Name of a step, for all its figures; or of a measurement, for all steps that have
            it. Empty for the seconds and the measurements of all steps.

    Returns:
        The trends, ordered by recipe, step and figure.
    """
    history = History(folders)
    history.read_all()
    return [
        _trend(history, recipe, step, figure)
        for recipe in history.recipes
        for step, figures in _figure_names(history.of(recipe)).items()
        for figure in figures
        if _is_selected(name, step, figure)
    ]


def _is_selected(name: str, step: str, figure: str) -> bool:
    if not name:
        return figure == "seconds" or figure.startswith(MEASURED)
    return name in (step, figure.removeprefix(MEASURED), f"{step}.{figure}")


def _figure_names(runs: Iterator[RecordedRecipe]) -> dict[str, dict[str, None]]:
    """Return the names of the figures of each step, in order of appearance."""
    names: dict[str, dict[str, None]] = {}
    for once in runs:
        for step, figures in once.steps.items():
            names.setdefault(step, {}).update(dict.fromkeys(figures))
    return names


def _trend(history: History, recipe: str, step: str, figure: str) -> Trend:
    points = [
        Point(once.run, once.started, once.steps[step][figure], once.passed)
        for once in history.of(recipe)
        if figure in once.steps.get(step, ())
    ][::-1]
    passed = [point.value for point in points if point.passed]
    before = [point.value for point in points[:-1] if point.passed]
    what = figure if figure in FIGURES else ""
    return Trend(
        recipe,
        step,
        figure.removeprefix(MEASURED),
        FIGURES.get(figure) or history.units.get((recipe, step, figure), ""),
        tuple(points),
        baseline_range(passed) if passed else None,
        find_drift(points[-1].value, before, what=what),
        history.precisions.get((recipe, step, figure)),
    )


NAME = "compare."
"""Prefix of the names of baseline criteria, before the name of the figure."""


def figures_of_attempt(ended: Ended, measured: Sequence[Measured]) -> dict[str, float]:
    """Return the figures of an attempt, by the names that `History` uses."""
    usage = ended.usage
    figures: dict[str, float] = {"seconds": usage.seconds}
    cpu = [one for one in (usage.cpu_user_seconds, usage.cpu_system_seconds) if one is not None]
    if cpu:
        figures["cpu_seconds"] = sum(cpu)
    if usage.max_rss is not None and not is_memory_bound(usage.source):
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
) -> Iterator[Verdict]:
    """Compare figures of a step with the same figures of earlier runs.

    Args:
        figures: The figures of a step.
        earlier: Values from earlier passing runs; a figure with too few is not compared.
        factor: Highest ratio of a figure to its median in the earlier runs that is no drift.
        place: Position of the step.
        units: Units of measurements, by name of the figure.

    Returns:
        A verdict for each figure that was compared.
    """
    for name, value in figures.items():
        values = earlier.get(name, [])
        if len(values) < ENOUGH:
            continue
        what = name if name in FIGURES else ""
        unit = FIGURES.get(name) or (units or {}).get(name, "")
        drift = find_drift(value, values, factor, what)
        yield Verdict(
            name=f"{NAME}{name.removeprefix(MEASURED)}",
            expected=f"within a factor of {factor:g} of the baseline",
            place=place,
            measured=value,
            unit=unit,
            distance=None if drift is None else round(abs(value - drift.limit), 6),
            unmet=None if drift is None else _reason(drift, unit),
        )


def _reason(drift: Drift, unit: str) -> str:
    baseline = drift.baseline
    side = "at most" if drift.value > baseline.median else "at least"
    return (
        f"{_with_unit(drift.value, unit)} is {drift.factor:.3g} times the median of the last "
        f"{baseline.runs} passing runs, {_with_unit(baseline.median, unit)}; {side} "
        f"{_with_unit(drift.limit, unit)}"
    )


def _with_unit(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1e6:.4g} MB"
    return f"{value:.4g} {unit}".rstrip()
