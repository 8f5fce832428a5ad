"""Journal recorder: step events to masked journal events.

Everything that may be told at once goes through one `JournalRecorder`; where the events go (the
file, or
another process that has it) is its sink's affair.
"""

import contextlib
import os
import threading
import time
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import msgspec
import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import (
    AnyEvent,
    AttemptFailed,
    ContextChanged,
    ContextReplaced,
    RecipeStarted,
    StepFinished,
    StepStarted,
    StepWaits,
)
from pytest_orchestrator.execution.lanes.context_access import IDLE_AFTER
from pytest_orchestrator.execution.notifications import AttemptStarted, Finished, RetryScheduled
from pytest_orchestrator.plugin.journal import resume
from pytest_orchestrator.runs import provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.locks.recipe_locks import LockWait
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step


class JournalSink(Protocol):
    """Where events are kept; `runs.journal.writer.Journal` is one."""

    def append(self, event: AnyEvent, moment: int | None = None) -> None:
        """Keep an event; raise `JournalError` where that cannot be."""

    def sync(self) -> None:
        """Let a power cut lose nothing of what was appended."""


class JournalRecorder:
    """Keeps what happens in a session; what happens before there is a sink waits for it.

    Attributes:
        sink: Where events go.
        failed: Is told, once, that they cannot be kept any more.
        begun: Keys of the recipes that are known there.
        blocks: What was told last of each step, by recipe and name: the result and its block.
        has_failed: The journal cannot be written any more, or is gone.
        ignored: The thread whose changes of the Context are not kept: it restores one.
    """

    def __init__(self, config: pytest.Config, state: "SessionState") -> None:
        self.sink: JournalSink | None = None
        self.failed: Callable[[JournalError], None] = lambda _: None
        self.blocks: dict[tuple[str, str], tuple[StepResult, dict[str, Json]]] = {}
        self.ignored: int | None = None
        self._config = config
        self._state = state
        self._worker: str = getattr(config, "workerinput", {}).get("workerid", "main")
        self._early: list[tuple[AnyEvent, int | None]] | None = []
        self.begun, self._lock = set[str](), threading.RLock()
        self._work: dict[tuple[str, str], dict[str, str]] = {}
        self._texts = provenance.PendingTexts(lambda: state.folder.path, state.masked)
        self.has_failed = False
        self._synced, self._unsynced = 0.0, False
        self._secrets = state.secrets
        self._secrets.learn(os.environ)  # of a controller no recipe makes it do so

    def begin(self, sink: JournalSink, first: list[AnyEvent]) -> None:
        """Let events go to a sink from now on, those first that waited for it.

        Raises:
            JournalError: They cannot be kept.
        """
        for event in first:
            sink.append(event)
        early, self._early = self._early or [], None
        for told, moment in early:
            sink.append(told, moment)
        sink.sync()
        self.sink = sink
        self._texts.keep()

    def drop(self) -> None:
        """Forget what waits where there is no sink to come: nobody runs a recipe."""
        if self.sink is None:
            self._early = None

    def append(self, event: AnyEvent, moment: int | None = None) -> None:
        """Keep an event.

        Raises:
            JournalError: It cannot be kept.
        """
        if self.sink is None:
            if self._early is not None:
                self._early.append((event, moment))
            return
        try:
            self.sink.append(event, moment)
        except JournalError as error:
            self.fail(error)
            raise

    def tell(self, event: AnyEvent) -> None:
        """Keep an event for somebody who cannot do anything about a journal that has failed."""
        if not self.has_failed:
            with contextlib.suppress(JournalError):
                self.append(event)

    def lull(self) -> None:
        """Let a power cut lose nothing, now that there is time for that."""
        if self._unsynced:
            with contextlib.suppress(JournalError):
                self.sync()

    def _boundary(self) -> None:
        """Let a power cut lose little: disks take longer than short steps.

        Raises:
            JournalError: It would lose more.
        """
        self._texts.keep()
        self._unsynced = True
        if time.monotonic() - self._synced >= IDLE_AFTER:
            self.sync()

    def sync(self) -> None:
        """Let a power cut lose nothing.

        Raises:
            JournalError: It might.
        """
        try:
            if self.sink is not None:
                self._unsynced = False
                self.sink.sync()
                self._synced = time.monotonic()
        except JournalError as error:
            self.fail(error)
            raise

    def fail(self, error: JournalError) -> None:
        """Keep nothing more: the journal cannot be written, or is gone."""
        if not self.has_failed:
            self.has_failed = True
            self.failed(error)

    def changed(self, event: ContextChanged | ContextReplaced, moment: int) -> None:
        """Record a change of the Context that is about to be made, or all changes of an operation.

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
        event = event if event.by else resume.by_test(event)
        return self._masked(event) if self._secrets else event

    def _masked(self, event: ContextChanged) -> ContextChanged:
        assert self._secrets is not None  # noqa: S101  # asked before
        who = self._secrets.who(event.who, event.by)
        if who != event.who:
            event = msgspec.structs.replace(event, who=who)
        if event.op != "pop":
            masked = self._secrets.value(event.new)
            if masked != event.new:
                event = msgspec.structs.replace(event, new=masked, masked=True)
        return event

    def told_by(self, env: "Environment", recipe: "Recipe") -> "Environment":
        """Return the surroundings of a run that tells here what happens to its steps."""
        return msgspec.structs.replace(
            env,
            keep=partial(self.happened, recipe),
            on_idle=self.lull,
            waiting=partial(self.waits, recipe, env.waiting),
        )

    def happened(self, recipe: "Recipe", what: AttemptStarted | RetryScheduled | Finished) -> None:
        """Keep what happens to a step of a recipe.

        Raises:
            JournalError: It cannot be kept; steps of ``finally`` run all the same.
        """
        key, step = recipe.key, what.step
        with contextlib.suppress(*(JournalError,) * step.is_final):
            if key not in self.begun:
                self.began(recipe)
            match what:
                case AttemptStarted():
                    self._started(recipe, what)
                case RetryScheduled():
                    self.append(
                        AttemptFailed(
                            recipe=key,
                            step=step.name,
                            attempt=what.attempt,
                            kind=what.failure.kind,
                            reason=self._state.masked(what.failure.reason),
                            again_in=round(what.seconds, 3),
                        )
                    )
                case Finished():
                    self._finished(recipe, step, what.result)

    def _started(self, recipe: "Recipe", what: AttemptStarted) -> None:
        name = what.step.name
        if what.attempt == 1:
            self._work[recipe.key, name] = resume.work_of(self._state, recipe, recipe.step(name))
        told = msgspec.json.encode(self._work[recipe.key, name])
        self.append(
            StepStarted(
                recipe=recipe.key,
                step=name,
                attempt=what.attempt,
                digest=sha256(told).hexdigest(),
                worker=self._worker,
            )
        )
        self._boundary()

    def _finished(self, recipe: "Recipe", step: "Step", result: "StepResult") -> None:
        from pytest_orchestrator.plugin.results.blocks import block_of

        at = recipe.key, step.name
        known = self.blocks.get(at)
        if known is None or known[0] is not result:
            block = block_of(self._config, self._state.run(recipe), step, result)
            self._keep(at, result, block)
            self._boundary()

    def _keep(self, at: tuple[str, str], result: "StepResult", block: "dict[str, Json]") -> None:
        self.append(
            StepFinished(
                recipe=at[0],
                step=at[1],
                outcome="interrupted" if result.is_interrupted else result.outcome,
                meets=result.meets,
                block=block,
                result=self._state.masked_value(result.ended.value) if result.ended else None,
                digests=self._work.get(at) or resume.work_of_skipped(self._state, at, result),
            )
        )
        self.blocks[at] = (result, block)

    def described(
        self, recipe: "Recipe", step: "Step", result: "StepResult", block: "dict[str, Json]"
    ) -> None:
        """Keep what pytest has made of a result, where that is more than is kept already."""
        at = recipe.key, step.name
        if at in self.blocks and self.blocks[at][1] != block and not self.has_failed:
            try:
                self._keep(at, result, block)
            except JournalError:
                return

    def forget(self, recipe: "Recipe", step: "Step") -> None:
        """Keep nothing more of a step here: pytest has told of it. A service has an end still."""
        if not step.background:
            at = recipe.key, step.name
            self.blocks.pop(at, None)
            self._work.pop(at, None)

    def waits(self, recipe: "Recipe", tell: "Callable[[LockWait], None]", wait: "LockWait") -> None:
        """Keep that a step waits for a lock, and tell it."""
        if recipe.key not in self.begun:
            try:
                self.began(recipe)
            except JournalError:
                return  # the step will meet it
        names = {recipe.node(step.name): step.name for step in (*recipe.steps, *recipe.final)}
        owner = wait.owner.step if wait.owner else ""
        step = names.get(wait.who, "")
        self.tell(
            StepWaits(recipe=recipe.key, step=step, lock=self._state.masked(wait.lock), owner=owner)
        )
        tell(wait)

    def began(self, recipe: "Recipe") -> None:
        """Keep what is known of a recipe before anything of it runs.

        Raises:
            JournalError: It cannot be kept.
        """
        from pytest_orchestrator.plugin.results.blocks import told_of

        with self._lock:
            if recipe.key not in self.begun:
                about, steps = told_of(self._config, self._state.run(recipe).reported)
                files, key = resume.files_of(self._state, recipe), recipe.key
                chosen = self._state.selected.get(key, set())
                self.append(
                    RecipeStarted(
                        recipe=key,
                        about=about,
                        steps=steps,
                        unselected=tuple(
                            name for one in steps if (name := str(one["name"])) not in chosen
                        ),
                        digests=files,
                    )
                )
                self.begun.add(recipe.key)
                self._texts.add(recipe)
