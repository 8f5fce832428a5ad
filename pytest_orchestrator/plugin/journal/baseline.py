"""Baseline check (`--recipe-compare`), and durations of earlier sessions."""

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.options.settings import compare_factor, comparison
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE, NEEDED, carried, key_of
from pytest_orchestrator.recipe.model.recipe import unit_scope

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from pytest_orchestrator.core.result import Ended, Measurement, Verdict
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.plugin.options.settings import Comparison
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.runs.record import RunRecord


def baseline_of(config: pytest.Config) -> "Baseline | None":
    """Return the baseline check of the session; None without `--recipe-compare`."""
    wanted = comparison(config)
    if wanted is None:
        return None
    if _KEY not in config.stash:
        config.stash[_KEY] = Baseline(config, wanted)
    return config.stash[_KEY]


class Baseline:
    """Comparison of the figures of steps with those of earlier runs.

    Args:
        config: The configuration of the session.
        wanted: The value of `--recipe-compare`.
    """

    def __init__(self, config: pytest.Config, wanted: "Comparison") -> None:
        from pytest_orchestrator.plugin.options import settings
        from pytest_orchestrator.runs.compare.history import History

        self.wanted, self._factor = wanted, compare_factor(config)
        if wanted.bundle:
            self._history = History(None)
            self._history.add(_bundled(config.invocation_params.dir / wanted.bundle))
        else:
            self._history = History(settings.run_dir(config))
        self._lock = threading.Lock()

    def verdicts(
        self,
        recipe: "Recipe",
        step: "Step",
        ended: "Ended",
        measured: "Sequence[Measurement]",
        *,
        simulated: bool = False,
    ) -> "tuple[Verdict, ...]":
        """Return a verdict for each figure that has enough earlier values; none for a service.

        Args:
            recipe: The recipe.
            step: The step.
            ended: How the step code ended.
            measured: The measurements of the step.
            simulated: True if simulated instruments are in use, as in the runs to compare with.
        """
        from pytest_orchestrator.runs.compare import history

        with self._lock:
            earlier = self._history.figures(
                _part(recipe, step), step.name, self.wanted.last, simulated=simulated
            )
        figures = history.figures_of_attempt(ended, measured)
        if step.background:  # still running: its duration so far is the time to readiness
            figures = {}
        required, place = self.wanted.is_required, step.at[""]
        return tuple(
            history.baseline_verdicts(
                figures,
                earlier,
                self._factor,
                place,
                last=self.wanted.last,
                required=required,
                enough=1 if self.wanted.bundle else None,
            )
        )

    def lacking(self, recipe: str) -> str:
        """Return a phrase if a recipe has passed in too few runs to be compared; else empty.

        Args:
            recipe: The key of the recipe, or of the part of a panel that tested one unit.
        """
        from pytest_orchestrator.runs.compare.history import nothing_compared

        with self._lock:
            passed = self._history.passed(recipe)
        enough = self.wanted.enough
        return nothing_compared(passed, enough) if passed < enough else ""


def _part(recipe: "Recipe", step: "Step") -> str:
    """Return the key of the recipe of a step in the history, where each unit of a panel has one.

    A step that runs once for all units is in the part of each, so that of the first is taken.
    """
    units = recipe.units
    return recipe.key if units is None else unit_scope(recipe.key, step.unit or units.present[0])


def _bundled(path: "Path") -> "RunRecord":
    """Return the run of a bundle.

    Raises:
        pytest.UsageError: The bundle cannot be used.
    """
    from pytest_orchestrator.core.errors import OrchestratorError
    from pytest_orchestrator.core.extras import addon

    try:
        run: RunRecord = addon("evidence.bundle").bundled_run(path)
    except OrchestratorError as error:
        raise pytest.UsageError(f"--recipe-compare: {error}") from None
    return run


def refuse_uncompared(config: pytest.Config, items: "Sequence[StepItem]") -> None:
    """Make the items of recipes that cannot be compared fail in setup, if that is required."""
    from pytest_orchestrator.plugin.collection.needs import Refusal
    from pytest_orchestrator.plugin.journal import resume

    baseline = baseline_of(config)
    if baseline is None or not baseline.wanted.is_required:
        return
    for item in items:
        if reason := baseline.lacking(_part(item.recipe, item.step)):
            cures = (
                f"name a bundle of a run in which it passed, {baseline.wanted.bundle} has none"
                if baseline.wanted.bundle
                else f"let it pass in three runs: pytest {item.recipe.id}",
                "or compare if possible: --recipe-compare without `,required`",
            )
            place = item.step.at["name"]
            resume.refuse(item, Refusal(item.recipe.source(item.step), place, reason, cures))


class ComparedLine(Plugin):
    """Plugin that writes below pytest's summary which recipes could not be compared."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._baseline = baseline_of(config)  # before this run has a folder
        self._recipes: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the recipes of the steps that ran or should have run."""
        for block in carried(report):
            key, unit = key_of(block), block["step"].get("unit")
            if unit or "units" not in block["recipe"]:
                self._recipes[unit_scope(key, unit) if unit else key] = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> "Generator[None]":
        """Print the line after the one with the counts of pytest."""
        yield
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or self._baseline is None:
            return
        found: dict[str, list[str]] = {}
        for key in self._recipes:
            found.setdefault(self._baseline.lacking(key), []).append(key)
        compared = found.pop("", [])
        parts = [
            phrase + (f": {', '.join(keys)}" if compared or len(found) > 1 else "")
            for phrase, keys in found.items()
        ]
        if parts:
            terminal.write_line(f"orchestrator: {'; '.join(parts)}")


_KEY = pytest.StashKey[Baseline]()

_FILE = "orchestrator/seconds"


def known_durations(config: pytest.Config) -> dict[str, float]:
    """Return the durations of steps in earlier sessions: seconds by node id, empty if unknown."""
    cache = getattr(config, "cache", None)
    durations = {} if cache is None else cache.get(_FILE, {})
    return durations if isinstance(durations, dict) else {}


def longest_first(durations: Mapping[str, float], units: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names of work units, the longest unit first, so that no long unit starts last.

    Args:
        durations: Seconds by node id. An item without an entry counts as their median, or as
            one second if the mapping is empty.
        units: The node ids of each unit, by its name.

    Returns:
        The names of the units; units of the same duration by falling number of items.
    """
    from statistics import median

    default = median(durations.values()) if durations else 1.0
    weights = {
        name: (sum(durations.get(node, default) for node in nodes), sum(1 for _ in nodes))
        for name, nodes in units.items()
    }
    return sorted(units, key=lambda name: weights[name], reverse=True)


class StepDurations(Plugin):
    """Durations of passed steps, written to pytest's cache at the end of the session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the durations of the passed steps of a report; xdist workers' reports count too."""
        blocks: list[dict[str, Any] | None] = [*getattr(report, NEEDED, ())]
        for block in (*blocks, getattr(report, ATTRIBUTE, None)):
            if block and block["step"]["state"] == "passed" and "time" in block:
                self._seconds[block["step"]["node"]] = round(block["time"]["seconds"], 3)

    def pytest_sessionfinish(self) -> None:
        """Write the durations, merged with those of earlier sessions, to the cache."""
        cache = getattr(self._config, "cache", None)
        if cache is not None and self._seconds:
            cache.set(_FILE, known_durations(self._config) | self._seconds)
