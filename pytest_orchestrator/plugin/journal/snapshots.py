"""Snapshots: `--recipe-needs=snapshot`, a Context restored for one step.

The Context as it stood before the step, in the last run that had it, is restored in the setup
of the step. What this session has itself changed by then stays. A service that the step needs
runs again: nothing of it is there any more.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.events import ContextRestored
from pytest_orchestrator.plugin.collection.needs import SNAPSHOT
from pytest_orchestrator.plugin.journal import resume
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.resume import restore as resume_restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.runs.record import RunRecord


class Snapshots:
    """Finds what there was before steps, and restores it."""

    def __init__(self, config: pytest.Config) -> None:
        self._state = state_of(config)
        self._config = config
        self._base = settings.run_dir(config)
        self._folders = lookup.run_folders(self._base)
        self._records: list[RunRecord] = []
        self._told: dict[str, list[str]] = {}
        self._restored: dict[tuple[str, str], Any] = {}

    def instead(
        self, item: "StepItem", steps: "Sequence[Step]", first: "Sequence[RecipeRun]"
    ) -> None:
        """Let an item have a Context restored, instead of what it needs run.

        Args:
            item: The item of a step.
            steps: The steps of its recipe that it needs and that were not selected.
            first: The runs of recipes that its own needs, and that were not selected.
        """
        chosen = self._state.selected
        needs = [
            (run, step)
            for run in first
            for step in run.recipe.steps
            if step.name not in chosen.get(run.recipe.key, ())
        ]
        needs += [(item.run, step) for step in sorted(steps, key=_index) if not step.background]
        services = [step for step in steps if step.background]
        needs = [(run, step) for run, step in needs if step.name not in run.results]
        if not needs:
            return
        found = self._found(item, needs, services)
        if isinstance(found, str):
            resume.refuse(item, self._refusal(item, found))
            return
        for run, step in needs:
            old = found.steps[run.recipe.key, step.name]
            resume.take_over(self._state, run, step, found.record, old)
            names = self._told.setdefault(found.record.id, [])
            names += [] if step.name in names else [step.name]
        runs_of = [run for run, _ in needs]
        restore: Callable[[], None] = partial(self._restore, item, found, runs_of)
        item.stash[SNAPSHOT] = restore
        resume.set_up(item)

    def _found(
        self,
        item: "StepItem",
        needs: "Sequence[tuple[RecipeRun, Step]]",
        services: "Sequence[Step]",
    ) -> resume_restore.ContextBefore | str:
        wanted = resume_restore.Wanted(
            item.recipe,
            item.step,
            [(run.recipe, step) for run, step in needs],
            {
                (run.recipe.key, step.name): resume.work_of(self._state, run.recipe, step)
                for run, step in needs
            },
            {item.recipe.node(step.name) for step in services},
        )
        for record in self._newest():
            if resume_restore.had(record, wanted):
                found = resume_restore.context_before(record, wanted)
                return f"run {record.id}: {found}" if isinstance(found, str) else found
        names = " and ".join(f"'{step.name}'" for _, step in needs[-3:])
        return f"no run in {self._base} had it after {names}"

    def _newest(self) -> "Iterator[RunRecord]":
        """Give the runs, the newest first; each is read once."""
        yield from self._records
        while self._folders:
            try:
                record = lookup.load_record(self._folders.pop(0))
            except lookup.NoRun:
                continue
            self._records.append(record)
            yield record

    def _refusal(self, item: "StepItem", why: str) -> str:
        place = item.step.at.get("needs", item.step.at["name"])
        return (
            f"{item.recipe.source(item.step).id}:{place.line}:{place.column}: the Context before "
            f"step '{item.step.name}' cannot be restored: {why}\n"
            f"    run what it needs: pytest --recipe-needs=run {item.nodeid}"
        )

    def _write(self, found: resume_restore.ContextBefore, needed: "Sequence[RecipeRun]") -> None:
        """Keep the steps that are taken over, so that a later run may go on from this one."""
        recipes = {run.recipe.key: run.recipe for run in needed}
        run = self._state.folder.path.name
        events = [resume_restore.taken(found.record, old, run) for old in found.steps.values()]
        resume.keep(self._state, recipes.values(), events)

    def _restore(
        self, item: "StepItem", found: resume_restore.ContextBefore, needed: "Sequence[RecipeRun]"
    ) -> None:
        """Make the Contexts what they were before a step."""
        self._write(found, needed)
        for scope, told in found.contexts.items():
            context = item.run.context if scope else self._state.context
            current = context.to_dict()
            taken = {
                key: value
                for key, value in told.snapshot["values"].items()
                if key not in current or self._is_restored(scope, key, current[key])
            }
            self._restored |= {(scope, key): value for key, value in taken.items()}
            history = {key: told.snapshot["history"][key] for key in taken}
            whole = {"version": 1, "values": current | taken, "history": history}
            if not resume.restore(self._state, context, whole, found.record.id):
                continue  # each change is in the journal
            event = ContextRestored(
                snapshot={"version": 1, "values": taken, "history": history},
                run=found.record.id,
                scope=scope,
                by={key: told.by[key] for key in taken},
            )
            resume.keep(self._state, (), [event])

    def _is_restored(self, scope: str, key: str, value: Any) -> bool:
        """Tell whether what a key has is of an earlier run; a recipe sees what is below it."""
        known = (self._restored.get((each, key), _NONE) for each in (scope, ""))
        return any(each == value for each in known)

    def told(self) -> "Iterator[str]":
        """Tell which steps are restored from which run."""
        for run, names in self._told.items():
            yield f"restored from run {run}: {resume.listed(names)}"


def _index(step: "Step") -> float:
    return step.index


_NONE: Any = object()
