"""Snapshots (`--recipe-needs=snapshot`): a Context restored from an earlier run for one step.

The setup of the step restores the Context as it was before the step, from the newest run that
contains this Context. Keys that this session has changed keep their values. A service that the
step needs is started, because its process from the earlier run no longer exists.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.events import ContextRestored
from pytest_orchestrator.plugin.collection.needs import SNAPSHOT, Refusal
from pytest_orchestrator.plugin.journal import resume
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.resume import restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.runs.record import RunRecord


class Snapshots:
    """Finder and restorer of the Contexts that earlier runs had before a step."""

    def __init__(self, config: pytest.Config) -> None:
        self._state = state_of(config)
        self._config = config
        self._base = settings.run_dir(config)
        self._folders = lookup.run_folders(self._base)
        self._records: list[RunRecord] = []
        self._restored_steps: dict[str, list[str]] = {}
        self._restored: dict[tuple[str, str], Any] = {}

    def instead(
        self, item: "StepItem", steps: "Sequence[Step]", first: "Sequence[RecipeRun]"
    ) -> None:
        """Make the setup of an item restore a Context instead of running the needed steps.

        Args:
            item: The item of a step.
            steps: The unselected steps of the same recipe that the step needs.
            first: The runs of the unselected recipes that the recipe needs.
        """
        chosen = self._state.selected
        needs = [
            (run, step)
            for run in first
            for step in run.recipe.steps
            if step.name not in chosen.get(run.recipe.key, ())
        ]
        in_order = sorted(steps, key=lambda step: step.index)
        needs += [(item.run, step) for step in in_order if not step.background]
        services = [step for step in steps if step.background]
        needs = [(run, step) for run, step in needs if step.name not in run.results]
        if not needs:
            return
        before = self._context_before(item, needs, services)
        if isinstance(before, str):
            resume.refuse(item, self._refusal(item, before))
            return
        for run, step in needs:
            old = before.steps[run.recipe.key, step.name]
            resume.take_over(self._state, run, step, before.record, old)
            names = self._restored_steps.setdefault(before.record.id, [])
            names += [] if step.name in names else [step.name]
        runs = [run for run, _ in needs]
        restore: Callable[[], None] = partial(self._restore, item, before, runs)
        item.stash[SNAPSHOT] = restore
        resume.set_up(item)

    def _context_before(
        self,
        item: "StepItem",
        needs: "Sequence[tuple[RecipeRun, Step]]",
        services: "Sequence[Step]",
    ) -> restore.ContextBefore | str:
        """Return the newest run's Context before a step, or an error message if no run has one."""
        recipes = {run.recipe.key: run.recipe for run in (item.run, *(run for run, _ in needs))}
        wanted = restore.SelectedStep(
            item.recipe,
            item.step,
            [(run.recipe, step) for run, step in needs],
            {
                (recipe.key, step.name): resume.work_of(self._state, recipe, step)
                for recipe in recipes.values()
                for step in (*recipe.steps, *recipe.final)
            },
            {item.recipe.node(step.name) for step in services},
        )
        for record in self._newest():
            if restore.had(record, wanted):
                before = restore.context_before(record, wanted)
                return f"run {record.id}: {before}" if isinstance(before, str) else before
        names = " and ".join(f"'{step.name}'" for _, step in needs[-3:])
        return f"no run in {self._base} had it after {names}"

    def _newest(self) -> "Iterator[RunRecord]":
        """Yield the records of earlier runs, the newest first; read each record only once."""
        yield from self._records
        while self._folders:
            try:
                record = lookup.load_record(self._folders.pop(0))
            except lookup.NoRun:
                continue
            self._records.append(record)
            yield record

    def _refusal(self, item: "StepItem", why: str) -> Refusal:
        return Refusal(
            source=item.recipe.source(item.step),
            place=item.step.at.get("needs", item.step.at["name"]),
            reason=f"the Context before step '{item.step.name}' cannot be restored: {why}",
            cures=(f"run what it needs: pytest --recipe-needs=run {item.nodeid}",),
        )

    def _write(self, before: restore.ContextBefore, needed: "Sequence[RecipeRun]") -> None:
        """Record the restored steps, so that a later session can resume this run."""
        recipes = {run.recipe.key: run.recipe for run in needed}
        run = self._state.folder.path.name
        events = [restore.restored_event(before.record, old, run) for old in before.steps.values()]
        resume.keep(self._state, recipes.values(), events)

    def _restore(
        self, item: "StepItem", before: restore.ContextBefore, needed: "Sequence[RecipeRun]"
    ) -> None:
        """Restore the Contexts to their state before a step, except keys this session changed."""
        self._write(before, needed)
        for scope, earlier in before.contexts.items():
            run, step = item.run, item.step
            own = run.context if scope == run.recipe.key else run.units.context_of(step)
            context = own if scope else self._state.context
            current = context.to_dict()
            restored = {
                key: value
                for key, value in earlier.snapshot["values"].items()
                if key not in current or self._is_restored(scope, key, current[key])
            }
            self._restored |= {(scope, key): value for key, value in restored.items()}
            history = {key: earlier.snapshot["history"][key] for key in restored}
            whole = {"version": 1, "values": current | restored, "history": history}
            if not resume.restore_context(self._state, context, whole, before.record.id):
                continue  # each change is in the journal
            event = ContextRestored(
                snapshot={"version": 1, "values": restored, "history": history},
                run=before.record.id,
                scope=scope,
                by={key: earlier.by[key] for key in restored},
            )
            resume.keep(self._state, (), [event])

    def _is_restored(self, scope: str, key: str, value: Any) -> bool:
        """Return True if a value is the restored one of its key, in its scope or the session's."""
        values = (self._restored.get((each, key), _NONE) for each in (scope, ""))
        return any(each == value for each in values)

    def header_lines(self) -> "Iterator[str]":
        """Yield a header line for each run, with the steps that are restored from it."""
        for run, names in self._restored_steps.items():
            yield f"restored from run {run}: {resume.listed(names)}"


_NONE: Any = object()
