"""Journal recorder: turns the events of steps into masked journal events.

All events of a process pass one `JournalRecorder`. Its journal writes them to the file, or sends
them to the process that writes it.
"""

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
import pytest

from pytest_orchestrator.core import events
from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import (
    AnyEvent,
    AttemptFailed,
    ContextChanged,
    ContextReplaced,
    RecipeStarted,
    SampleTaken,
    StepFinished,
    StepStarted,
    StepWaits,
)
from pytest_orchestrator.execution.lanes.context_access import IDLE_AFTER
from pytest_orchestrator.execution.notifications import (
    AttemptStarted,
    ElementFinished,
    Finished,
    RetryScheduled,
    Sampled,
)
from pytest_orchestrator.runs import provenance
from pytest_orchestrator.runs.resume import plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.core.result import Outcome, StepResult
    from pytest_orchestrator.execution.locks.locks import LockWait
    from pytest_orchestrator.execution.notifications import RecordedEvent
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step


_RAISES = contextlib.nullcontext()


class EventJournal(Protocol):
    """Open journal: `runs.journal.writer.Journal`; in an xdist worker `RemoteJournal`."""

    def append(self, event: AnyEvent, moment: int | None = None) -> None:
        """Append an event; raise `JournalError` if this fails."""

    def sync(self) -> None:
        """Flush and fsync all appended events, so that a power cut loses no event."""


class JournalRecorder:
    """Recorder of the events of a session; it buffers them until it has a journal.

    Attributes:
        journal: The journal to which the events are appended; None until it is open.
        failed: Callback that is called once, when the journal cannot be written any more.
        blocks: The last recorded result and block of each step, by recipe key and step name.
        has_failed: True if the journal cannot be written any more, or is gone.
        ignored: Id of a thread that restores a Context; its changes are not recorded. Or None.
    """

    def __init__(self, config: pytest.Config, state: "SessionState") -> None:
        self.journal: EventJournal | None = None
        self.failed: Callable[[JournalError], None] = lambda _: None
        self.blocks: dict[tuple[str, str], tuple[StepResult, dict[str, Json]]] = {}
        self.ignored: int | None = None
        self._config = config
        self._state = state
        self._worker: str = getattr(config, "workerinput", {}).get("workerid", "main")
        self._buffered: list[tuple[AnyEvent, int | None]] | None = []
        self._started_recipes, self._lock = set[str](), threading.RLock()
        self._work: dict[tuple[str, str], dict[str, str]] = {}
        self._texts = provenance.PendingTexts(lambda: state.folder.path, state.masked)
        self.has_failed = False
        self._synced, self._unsynced = 0.0, False
        self._secrets = state.secrets
        # Loading a recipe adds the environment too, but a controller loads no recipe.
        self._secrets.add_environment(os.environ)

    def begin(self, journal: EventJournal, first: list[AnyEvent]) -> None:
        """Set the journal, and append the first events and the buffered ones.

        Raises:
            JournalError: An event cannot be written.
        """
        for event in first:
            journal.append(event)
        early, self._buffered = self._buffered or [], None
        for early_event, moment in early:
            journal.append(early_event, moment)
        journal.sync()
        self.journal = journal
        self._texts.store()

    def discard_buffered(self) -> None:
        """Discard the buffered events of a session that runs no recipe and gets no journal."""
        if self.journal is None:
            self._buffered = None

    def append(self, event: AnyEvent, moment: int | None = None) -> None:
        """Append an event to the journal, or buffer the event while there is no journal.

        Raises:
            JournalError: The event cannot be written.
        """
        if self.journal is None:
            if self._buffered is not None:
                self._buffered.append((event, moment))
            return
        try:
            self.journal.append(event, moment)
        except JournalError as error:
            self.fail(error)
            raise

    def append_if_possible(self, event: AnyEvent) -> None:
        """Append an event; do nothing if the journal cannot be written."""
        if not self.has_failed:
            with contextlib.suppress(JournalError):
                self.append(event)

    def on_idle(self) -> None:
        """Sync the journal while a long step runs, if there are unsynced events."""
        if self._unsynced:
            with contextlib.suppress(JournalError):
                self.sync()

    def _boundary(self) -> None:
        """Sync the journal, but at most every 250 ms: a sync takes longer than a short step.

        Raises:
            JournalError: The journal cannot be synced.
        """
        self._texts.store()
        self._unsynced = True
        if time.monotonic() - self._synced >= IDLE_AFTER:
            self.sync()

    def sync(self) -> None:
        """Sync the journal, so that a power cut loses no event.

        Raises:
            JournalError: The journal cannot be synced.
        """
        try:
            if self.journal is not None:
                self._unsynced = False
                self.journal.sync()
                self._synced = time.monotonic()
        except JournalError as error:
            self.fail(error)
            raise

    def fail(self, error: JournalError) -> None:
        """Mark the journal as failed and call the callback `failed`, at the first error only."""
        if not self.has_failed:
            self.has_failed = True
            self.failed(error)

    def changed(self, event: ContextChanged | ContextReplaced, moment: int) -> None:
        """Record a change of the Context, or all changes of one operation, before the change.

        Raises:
            JournalError: The event cannot be recorded; the change must not be made.
        """
        if self.ignored == threading.get_ident():
            return
        if isinstance(event, ContextReplaced):
            changes = tuple(map(self._as_recorded, event.changes))
            self.append(msgspec.structs.replace(event, changes=changes, history={}), moment)
        else:
            self.append(self._as_recorded(event), moment)

    def _as_recorded(self, event: ContextChanged) -> ContextChanged:
        from pytest_orchestrator.plugin.journal import resume

        event = event if event.by else resume.by_test(event)
        return self._masked(event) if self._secrets else event

    def _masked(self, event: ContextChanged) -> ContextChanged:
        assert self._secrets is not None  # noqa: S101  # the caller has checked it
        who = self._secrets.mask_writer(event.who, event.by)
        if who != event.who:
            event = msgspec.structs.replace(event, who=who)
        if event.op != "pop":
            masked = self._secrets.mask_json(event.new)
            if masked != event.new:
                event = msgspec.structs.replace(event, new=masked, masked=True)
        return event

    def happened(self, recipe: "Recipe", event: "RecordedEvent") -> None:
        """Record an event of a step.

        Raises:
            JournalError: The event cannot be written. Not raised for ``finally`` steps, which run
                in any case.
        """
        key, step = recipe.key, event.step
        with contextlib.suppress(JournalError) if step.is_final else _RAISES:
            if key not in self._started_recipes:
                self.record_start(recipe)
            match event:
                case AttemptStarted():
                    self._started(recipe, event)
                case Finished():
                    self._finished(recipe, step, event.result)
                case RetryScheduled():
                    self.append(
                        AttemptFailed(
                            recipe=key,
                            step=step.name,
                            attempt=event.attempt,
                            kind=event.failure.kind,
                            reason=self._state.masked(event.failure.reason),
                            again_in=round(event.seconds, 3),
                            element=event.element,
                        )
                    )
                case ElementFinished():
                    self._element_finished(recipe, event)
                case Sampled():
                    self.append(
                        SampleTaken(
                            recipe=key,
                            name=step.name,
                            value=event.value,
                            moment=round(event.moment, 6),
                            segment=event.segment,
                            is_outside=event.is_outside,
                        )
                    )

    def _started(self, recipe: "Recipe", event: AttemptStarted) -> None:
        from pytest_orchestrator.plugin.journal.resume import work_of

        name = event.step.name
        if event.attempt == 1 and event.element is None:
            self._work[recipe.key, name] = work_of(self._state, recipe, recipe.step(name))
        self.append(
            StepStarted(
                recipe=recipe.key,
                step=name,
                attempt=event.attempt,
                digest=self._digest(recipe, name),
                worker=self._worker,
                element=event.element,
                elements=event.elements,
            )
        )
        self._boundary()

    def _digest(self, recipe: "Recipe", step: str) -> str:
        return plan.work_digest(self._work.get((recipe.key, step), {}))

    def _element_finished(self, recipe: "Recipe", event: ElementFinished) -> None:
        from pytest_orchestrator.plugin.results.blocks import block_of_element

        result, masked = event.element.result, self._state.masked_value
        self.append(
            events.ElementFinished(
                recipe=recipe.key,
                step=event.step.name,
                element=event.element.index,
                outcome=_outcome_of(result),
                work=self._digest(recipe, event.step.name),
                digest=event.digest,
                block=block_of_element(self._config, recipe, event.step, event.element),
                result=masked(result.ended.value) if result.ended else None,
                outputs=masked(event.outputs),
                restored=result.restored,
                changes=tuple(map(masked, map(_change, result.changes))) if result.restored else (),
            )
        )
        self._boundary()

    def _finished(self, recipe: "Recipe", step: "Step", result: "StepResult") -> None:
        from pytest_orchestrator.plugin.results.blocks import block_of

        at = recipe.key, step.name
        recorded = self.blocks.get(at)
        if recorded is None or recorded[0] is not result:
            block = block_of(self._config, self._state.run(recipe), step, result)
            self._append_finished(at, result, block)
            self._boundary()

    def _append_finished(
        self, at: tuple[str, str], result: "StepResult", block: "dict[str, Json]"
    ) -> None:
        self.append(
            StepFinished(
                recipe=at[0],
                step=at[1],
                outcome="not run" if "skip" in result.by_hand else _outcome_of(result),
                meets=result.meets,
                block=block,
                result=self._state.masked_value(result.ended.value) if result.ended else None,
                digests=self._work.get(at) or self._work_of_skipped(at, result),
            )
        )
        self.blocks[at] = (result, block)

    def _work_of_skipped(self, at: tuple[str, str], result: "StepResult") -> dict[str, str]:
        from pytest_orchestrator.plugin.journal import resume

        return resume.work_of_skipped(self._state, at, result)

    def update_block(
        self, recipe: "Recipe", step: "Step", result: "StepResult", block: "dict[str, Json]"
    ) -> None:
        """Record the block of a step again, if pytest's report changed it."""
        at = recipe.key, step.name
        if at in self.blocks and self.blocks[at][1] != block and not self.has_failed:
            try:
                self._append_finished(at, result, block)
            except JournalError:
                return

    def forget(self, recipe: "Recipe", step: "Step") -> None:
        """Release the data of a reported step, except of a service, whose end is still to come."""
        if not step.background:
            at = recipe.key, step.name
            self.blocks.pop(at, None)
            self._work.pop(at, None)

    def waits(
        self, recipe: "Recipe", print_wait: "Callable[[LockWait], None]", wait: "LockWait"
    ) -> None:
        """Record and print that a step waits for a lock."""
        try:
            self.record_start(recipe)
        except JournalError:
            return  # the next event of the step raises the error
        names = {recipe.node(step.name): step.name for step in (*recipe.steps, *recipe.final)}
        owner = wait.owner.step if wait.owner else ""
        step = names.get(wait.who, "")
        self.append_if_possible(
            StepWaits(recipe=recipe.key, step=step, lock=self._state.masked(wait.lock), owner=owner)
        )
        print_wait(wait)

    def record_start(self, recipe: "Recipe", about: "dict[str, Json] | None" = None) -> None:
        """Record the start of a recipe, unless it is recorded.

        Args:
            recipe: The recipe; it may have no run in this process.
            about: The recipe as in the blocks of its steps; None takes it from the recipe.

        Raises:
            JournalError: The event cannot be written.
        """
        if recipe.key in self._started_recipes:
            return
        from pytest_orchestrator.plugin.journal import resume
        from pytest_orchestrator.plugin.results.blocks import static_blocks

        with self._lock:
            if recipe.key not in self._started_recipes:
                run = self._state.runs.get(recipe.key)
                own, steps = static_blocks(self._config, run.reported if run else recipe)
                event = RecipeStarted(
                    recipe=recipe.key,
                    about=about or own,
                    steps=steps,
                    unselected=self._state.unselected(recipe),
                    digests=resume.files_of(self._state, recipe),
                )
                self.append_start(event)
                self._texts.add(recipe)

    def read_again(self, recipe: "Recipe") -> None:
        """Record the start of a recipe that was read again: its steps, its text and its files.

        Raises:
            JournalError: The event cannot be written.
        """
        self._started_recipes.discard(recipe.key)
        self.record_start(recipe)

    def append_start(self, event: RecipeStarted) -> None:
        """Append the start of a recipe, unless it is recorded.

        Raises:
            JournalError: The event cannot be written.
        """
        with self._lock:
            if event.recipe not in self._started_recipes:
                self.append(event)
                self._started_recipes.add(event.recipe)


def _outcome_of(result: "StepResult") -> "Outcome | Literal['interrupted']":
    """Return the outcome of a step or of an element as the journal names it."""
    return "interrupted" if result.is_interrupted else result.outcome


def _change(change: "Change") -> "dict[str, Json]":
    """Return a change of the Context of a restored element, for a run that resumes this one."""
    return {"key": change.key, **change.as_dict()}
