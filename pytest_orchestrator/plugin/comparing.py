"""`--recipe-compare`: steps that are out of what the last passing runs took and measured fail."""

import functools
import re
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_orchestrator.core.result import Ended, Measured, Verdict
    from pytest_orchestrator.execution.environment import Judge
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step

_FEWEST = 3  # as `runs.compare.drift.ENOUGH`, which is loaded only where it is asked for


def add(group: pytest.OptionGroup) -> None:
    """Declare the options."""
    group.addoption(
        "--recipe-compare",
        metavar="LAST:N",
        help="fail steps whose time, CPU time, memory or measurements are out of what the last N "
        "passing runs had, and not by their noise",
    )
    group.addoption(
        "--recipe-compare-factor",
        metavar="F",
        default="2",
        help="how many times the median of those runs a figure may be (default 2)",
    )


def last(config: pytest.Config) -> int:
    """Return how many runs steps are held against; 0 where they are not.

    Raises:
        pytest.UsageError: The option is wrong.
    """
    text = config.getoption("recipe_compare")
    if text is None:
        return 0
    found = re.fullmatch(r"last:([0-9]{1,4})", str(text).strip(), re.IGNORECASE)
    if found is None:
        raise pytest.UsageError(f"--recipe-compare: {text!r} is no LAST:N; write LAST:10")
    if int(found[1]) < _FEWEST:
        raise pytest.UsageError(
            f"--recipe-compare: {found[1]} runs do not tell what is usual; at least {_FEWEST} do"
        )
    return int(found[1])


def factor(config: pytest.Config) -> float:
    """Return how many times what was usual a figure may be.

    Raises:
        pytest.UsageError: The option is wrong.
    """
    text = str(config.getoption("recipe_compare_factor")).strip()
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) or float(text) <= 1:
        raise pytest.UsageError(
            f"--recipe-compare-factor: {text!r} is no factor; write a number above 1, such as 1.5"
        )
    return float(text)


def judge_of(config: pytest.Config, recipe: "Recipe") -> "Judge | None":
    """Return what holds the steps of a recipe against earlier runs; None where nothing does."""
    if not last(config):
        return None
    judge = config.stash.get(_KEY, None)
    if judge is None:
        judge = config.stash[_KEY] = Comparison(config)
    return functools.partial(judge.verdicts, recipe)


class Comparison:
    """Holds steps against the runs before this one, which are read when the first step asks."""

    def __init__(self, config: pytest.Config) -> None:
        from pytest_orchestrator.plugin import settings
        from pytest_orchestrator.runs import lookup
        from pytest_orchestrator.runs.compare.history import History

        self._last, self._factor = last(config), factor(config)
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


_KEY = pytest.StashKey[Comparison]()
