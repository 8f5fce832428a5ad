"""Header of a session: counts of recipes and steps, prerequisite steps, earlier runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator import __version__
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs
from pytest_orchestrator.plugin.options import runner, settings
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.plugin.instruments.owed import OwedSafeStates
    from pytest_orchestrator.plugin.journal.resume import ResumedSession
    from pytest_orchestrator.plugin.journal.snapshots import Snapshots
    from pytest_orchestrator.recipe import Recipe

_MOST = 3


class Header(Plugin):
    """Plugin that writes the header lines; registered if a session has YAML files or marked tests.

    Attributes:
        serial: Reason why a recipe runs one step at a time in spite of `--recipe-jobs`, by its id.
        earlier: Sources of header lines about the earlier runs from which steps are restored.
        owed: Source of header lines about safe states that earlier runs owe, if any does.
    """

    def __init__(self, session: pytest.Session, steps: "list[StepItem]") -> None:
        self._session = session
        self._steps = steps
        self.serial: dict[str, str] = {}
        self.earlier: list[ResumedSession | Snapshots] = []
        self.owed: list[OwedSafeStates] = []

    def pytest_report_collectionfinish(self) -> list[str]:
        """Return the header; with ``--collect-only -q``, the prerequisite steps in brackets."""
        config = self._session.config
        if config.get_verbosity() == -1 and config.option.collectonly:
            steps = prerequisites(self._session)
            return [f"[{recipe.node(name)}]" for recipe, name in steps]
        return self.lines()

    def lines(self) -> list[str]:
        """Return the lines of the header; with ``-q`` only those about what earlier runs owe."""
        if self._session.config.get_verbosity() < 0:
            owed = [line for each in self.owed for line in each.header_lines()]
            return [f"orchestrator: {line}" for line in [*owed, *self._pending_finally()]]
        parts = []
        if self._steps:
            recipes = {item.recipe.id for item in self._steps}
            parts.append(f"{counted(len(recipes), 'recipe')}, {counted(len(self._steps), 'step')}")
            parts[0] += _jobs(self._session.config)
            where = runner.header_text(self._session.config)
            parts[0] += f", {where}" if where else ""
        if needed := [name for _, name in prerequisites(self._session)]:
            most = len(needed) if self._session.config.get_verbosity() else _MOST
            number = counted(len(needed), "prerequisite step")
            parts.append(f"also runs {number}, not counted: {listed(needed, most)}")
        if replay := state_of(self._session.config).replay:
            parts.append(f"REPLAY of run {replay.run}, no instrument is used")
        parts += _sequential_recipes(self.serial)
        others = state_of(self._session.config).others
        if others:
            parts.append(f"{counted(others, 'YAML file')} without steps ignored")
        lines = [f"orchestrator {__version__}: {'; '.join(parts)}"] if parts else []
        more = [line for each in (*self.owed, *self.earlier) for line in each.header_lines()]
        return [*lines, *(f"    {line}" for line in [*more, *self._pending_finally()])]

    def _pending_finally(self) -> list[str]:
        """Return a line for each earlier run with ``finally`` steps that this one does not run."""
        if not self._steps:
            return []
        from pytest_orchestrator.reports import failure
        from pytest_orchestrator.runs import pending_finally

        config, lines = self._session.config, []
        resumed = state_of(config).resumed
        for pending in pending_finally.pending_runs(settings.run_dir(config)):
            own = resumed.recipes_of(pending.run) if resumed is not None else ()
            steps = {key: names for key, names in pending.steps.items() if key not in own}
            if not steps:
                continue
            texts = pending_finally.descriptions(steps)
            shown = "; ".join(texts[:_MOST]) + (" ..." if texts[_MOST:] else "")
            head = f"run {pending.run} was ended before `finally` of {shown} had run"
            given = failure.options(pending.vars)
            lines.append(f"{head}: {pending_finally.resume_command(pending.run, steps, given)}")
        return lines


def prerequisites(session: pytest.Session) -> "list[tuple[Recipe, str]]":
    """Return the prerequisite steps: unselected steps that run because an item needs them.

    Returns:
        The recipe and the name of each step, in the order in which they run.
    """
    selected = state_of(session.config).selected
    steps: dict[tuple[str, str], tuple[Recipe, str]] = {}
    for item in session.items:
        needs = item.stash.get(NEEDS, None)
        for run, asked in needs.asked if isinstance(needs, Needs) else ():
            chosen, recipe = selected.get(run.recipe.key, ()), run.recipe
            names = [step.name for step in asked if step.name not in chosen]
            steps |= {(recipe.key, name): (recipe, name) for name in names}
    return [*steps.values()]


def listed(names: Sequence[str], most: int) -> str:
    """Return the first names of a list, and the number of the others: ``a, b and 7 more``.

    Args:
        names: The names of steps; of a name that several recipes have, the text contains the
            number: ``set (4 times)``.
        most: Number of different names to show.
    """
    counts = Counter(names)
    shown = [*counts.items()][:most]
    left = len(names) - sum(number for _, number in shown)
    texts = (name if number == 1 else f"{name} ({number} times)" for name, number in shown)
    return ", ".join(texts) + (f" and {left:,} more" if left else "")


def show_serial_recipes(terminal: Any, serial: Mapping[str, str]) -> None:
    """Print after the run which recipes ran one step at a time, and why."""
    if terminal.config.get_verbosity() >= 0:
        for recipe, why in serial.items():
            terminal.write_line(f"{recipe} ran one step at a time: {why}")


def _sequential_recipes(serial: Mapping[str, str]) -> list[str]:
    """Return texts about the recipes whose steps cannot run in parallel, with the reasons."""
    if len(serial) > 1 and len(set(serial.values())) == 1:
        return [f"one step at a time: {next(iter(serial.values()))}"]
    texts = [f"{recipe} one step at a time: {why}" for recipe, why in serial.items()]
    more = [f"{len(texts) - _MOST} more recipes one step at a time"] if texts[_MOST:] else []
    return texts[:_MOST] + more


def _jobs(config: pytest.Config) -> str:
    """Return the number of jobs for the header; empty for one job."""
    wanted = settings.jobs(config, default=1)
    if wanted == 1:
        return ""
    jobs, limit = settings.slots(config, default=1)
    less = f" of {wanted} (`{limit}` allows no more)" if limit else ""
    return f", {counted(jobs, 'job')}{less}"
