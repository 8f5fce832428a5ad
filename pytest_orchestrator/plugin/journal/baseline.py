"""Baseline check: `--recipe-compare`, and durations of earlier sessions."""

import functools
import threading
from collections.abc import Iterable, Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.options.settings import compare_factor, compare_last
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE, NEEDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_orchestrator.core.result import Ended, Measured, Verdict
    from pytest_orchestrator.execution.environment import Judge
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step


def baseline_of(config: pytest.Config, recipe: "Recipe") -> "Judge | None":
    """Return what holds the steps of a recipe against earlier runs; None where nothing does."""
    if not compare_last(config):
        return None
    judge = config.stash.get(_KEY, None)
    if judge is None:
        judge = config.stash[_KEY] = Baseline(config)
    return functools.partial(judge.verdicts, recipe)


class Baseline:
    """Holds steps against the runs before this one, which are read when the first step asks."""

    def __init__(self, config: pytest.Config) -> None:
        from pytest_orchestrator.plugin.options import settings
        from pytest_orchestrator.runs import lookup
        from pytest_orchestrator.runs.compare.history import History

        self._last, self._factor = compare_last(config), compare_factor(config)
        self._history = History(lookup.run_folders(settings.run_dir(config)))
        self._lock = threading.Lock()

    def verdicts(
        self, recipe: "Recipe", step: "Step", ended: "Ended", measured: "Sequence[Measured]"
    ) -> "tuple[Verdict, ...]":
        """Return a criterion for each figure of a step of which enough is known.

        Args:
            recipe: The recipe.
            step: The step.
            ended: How its body ended.
            measured: What it measured.
        """
        from pytest_orchestrator.runs.compare import history
        from pytest_orchestrator.runs.compare.history import MEASURED

        with self._lock:
            earlier = self._history.figures(recipe.key, step.name, self._last)
        figures = history.figures_of_attempt(ended, measured)
        if step.background:  # it goes on; how long it took to be ready is no figure of it
            figures = {}
        units = {MEASURED + one.name: one.unit for one in measured if one.unit}
        return tuple(history.baseline_verdicts(figures, earlier, self._factor, step.at[""], units))


_KEY = pytest.StashKey[Baseline]()

_FILE = "orchestrator/seconds"


def known_durations(config: pytest.Config) -> dict[str, float]:
    """Return the seconds that are known, by the node ids of the steps."""
    cache = getattr(config, "cache", None)
    found = {} if cache is None else cache.get(_FILE, {})
    return found if isinstance(found, dict) else {}


def longest_first(known: Mapping[str, float], units: Mapping[str, Iterable[str]]) -> list[str]:
    """Order what is handed out as a whole, so that at the end nobody waits for a long one.

    Args:
        known: Seconds by node id; an item that is not among them counts as the usual one.
        units: The node ids of each.

    Returns:
        The names of the units; those that take as long by the number of their items.
    """
    usual = median(known.values()) if known else 1.0
    weights = {
        name: (sum(known.get(node, usual) for node in nodes), sum(1 for _ in nodes))
        for name, nodes in units.items()
    }
    return sorted(units, key=lambda name: weights[name], reverse=True)


class StepDurations:
    """Notes how long steps take that pass, and writes it down at the end of the session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the steps of a report; it may come from another process."""
        blocks: list[dict[str, Any] | None] = [*getattr(report, NEEDED, ())]
        for block in (*blocks, getattr(report, ATTRIBUTE, None)):
            if block and block["step"]["state"] == "passed" and "time" in block:
                self._seconds[block["step"]["node"]] = round(block["time"]["seconds"], 3)

    def pytest_sessionfinish(self) -> None:
        """Write down what is known now."""
        cache = getattr(self._config, "cache", None)
        if cache is not None and self._seconds:
            cache.set(_FILE, known_durations(self._config) | self._seconds)
