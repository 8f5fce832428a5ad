"""The line below "collected …" that tells what there is of recipes."""

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator import __version__
from pytest_orchestrator.plugin import runners, settings
from pytest_orchestrator.plugin.needs import NEEDS, Needs
from pytest_orchestrator.plugin.state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.nodes import StepItem
    from pytest_orchestrator.plugin.resuming import Resuming
    from pytest_orchestrator.plugin.snapshots import Snapshots

_MOST = 3


class Header:
    """Tells it; registered once any YAML file was looked at or a test asks for a recipe.

    Attributes:
        serial: Why recipes run one step at a time although several could, by their ids.
        earlier: What tells of earlier runs that this one takes something over from.
    """

    def __init__(self, session: pytest.Session, steps: "list[StepItem]") -> None:
        self._session = session
        self._steps = steps
        self.serial: dict[str, str] = {}
        self.earlier: list[Resuming | Snapshots] = []

    def pytest_report_collectionfinish(self) -> list[str]:
        """Count recipes, steps, the needed steps that run uncounted, and other files."""
        if self._session.config.get_verbosity() < 0:
            return []
        recipes = {item.recipe.key for item in self._steps}
        parts = []
        if self._steps:
            parts.append(f"{_count(len(recipes), 'recipe')}, {_count(len(self._steps), 'step')}")
            parts[0] += _jobs(self._session.config)
            where = runners.told(self._session.config)
            parts[0] += f", {where}" if where else ""
        needed = self._needed()
        if needed:
            parts.append(f"{_count(len(needed), 'needed step')} run in setups, uncounted")
        parts += self._one_by_one()
        others = state_of(self._session.config).others
        if others:
            parts.append(f"{_count(others, 'YAML file')} without steps passed by")
        lines = [f"orchestrator {__version__}: {'; '.join(parts)}"] if parts else []
        more = [line for each in self.earlier for line in each.told()]
        return [*lines, *(f"    {line}" for line in [*more, *self._owed()])]

    def _one_by_one(self) -> list[str]:
        """Tell of the recipes whose steps cannot run at the same time, and why."""
        if len(self.serial) > 1 and len(set(self.serial.values())) == 1:
            return [f"one step at a time: {next(iter(self.serial.values()))}"]
        told = [f"{recipe} one step at a time: {why}" for recipe, why in self.serial.items()]
        more = [f"{len(told) - _MOST} more recipes one step at a time"] if told[_MOST:] else []
        return told[:_MOST] + more

    def _owed(self) -> list[str]:
        """Tell of the last run that was ended before it could tidy up."""
        if not self._steps:
            return []
        from pytest_orchestrator.runs import pending_finally

        config = self._session.config
        found, resuming = (
            pending_finally.pending_finally(settings.run_dir(config)),
            state_of(config).resuming,
        )
        if found is None or (resuming is not None and resuming.run == found.run):
            return []
        told = pending_finally.told(found.steps)
        listed = "; ".join(told[:_MOST]) + (" ..." if told[_MOST:] else "")
        head = f"run {found.run} was ended before `finally` of {listed} had run"
        return [f"{head}: pytest --recipe-resume={found.run}"]

    def _needed(self) -> set[tuple[str, str]]:
        """Return the steps that were not selected and run because an item needs them."""
        selected = state_of(self._session.config).selected
        found: set[tuple[str, str]] = set()
        for item in self._session.items:
            needs = item.stash.get(NEEDS, None)
            for run, steps in needs.asked if isinstance(needs, Needs) else ():
                recipe = run.recipe.key
                found |= {(recipe, step.name) for step in steps}
                found -= {(recipe, name) for name in selected.get(recipe, ())}
        return found


def _jobs(config: pytest.Config) -> str:
    """Tell how many steps run at the same time, where that is said to be more than one."""
    wanted = settings.jobs(config, usual=1)
    if wanted == 1:
        return ""
    jobs, limit = settings.slots(config, usual=1)
    less = f" of {wanted} (`{limit}` allows no more)" if limit else ""
    return f", {_count(jobs, 'job')}{less}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")
