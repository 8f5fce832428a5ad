"""Callbacks by which a recipe run calls pytest: journal, step hooks, status line, baseline."""

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.execution.attempt_context import RunCallbacks
from pytest_orchestrator.plugin.options.settings import comparison
from pytest_orchestrator.plugin.python_lane import launch
from pytest_orchestrator.plugin.reporting import progress

if TYPE_CHECKING:
    from pytest_orchestrator.core.questions import Answer
    from pytest_orchestrator.core.result import Ended, Measured, Verdict
    from pytest_orchestrator.execution.attempt_context import PendingQuestion
    from pytest_orchestrator.execution.locks.locks import LockWait
    from pytest_orchestrator.execution.notifications import Listener, RecordedEvent, StepEvent
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step


class PytestCallbacks(RunCallbacks):
    """Callbacks of the run of one recipe.

    Args:
        state: The state of the session.
        recipe: The recipe.
    """

    def __init__(self, state: "SessionState", recipe: "Recipe") -> None:
        self._state, self._recipe = state, recipe
        self._recorder = state.recorder
        self._baseline = None
        if comparison(state.config):
            from pytest_orchestrator.plugin.journal import baseline

            self._baseline = baseline.baseline_of(state.config)
        self._print_wait = progress.wait_printer(state.config)
        self._step_hooks: Listener | None = None
        if state.step_hooks is not None:
            happened = partial(state.step_hooks.happened, recipe)
            self._step_hooks = state.run_config.main_queue.in_main_thread(happened)

    def before_import(self, module: str) -> None:
        """Have pytest rewrite the asserts of a module."""
        pytest.register_assert_rewrite(module)

    def replay_event(self, event: dict[str, Any]) -> None:
        """Repeat a step's log record or warning in pytest's process, with secrets masked."""
        launch.replay_event(self._state.secrets, event)

    def stop_session(self, reason: str, status: int | None) -> None:
        """End the session, because a step called ``pytest.exit`` in its own process."""
        pytest.exit(self._state.secrets.text(reason), status)

    def ask(self, pending: "PendingQuestion") -> "Answer":
        """Answer a question of a step from the answers given before the run, or ask a person.

        Raises:
            NoAnswer: The question has no answer.
        """
        from pytest_orchestrator.plugin.questions.session import questions_of

        return questions_of(self._state.config).ask(self._recipe, pending)

    def release_instruments(self) -> None:
        """End the use of the instruments that nothing needs after the end of the recipe."""
        from pytest_orchestrator.plugin.instruments.bench import bench_plugin

        plugin = bench_plugin(self._state.config)
        if plugin is not None:
            plugin.release(self._recipe.key)

    def release_idle_instruments(self) -> None:
        """End the use of the instruments that are kept only because later recipes use them too."""
        from pytest_orchestrator.plugin.instruments.bench import bench_plugin

        plugin = bench_plugin(self._state.config)
        if plugin is not None:
            plugin.release_idle()

    def on_idle(self) -> None:
        """Sync the journal."""
        if self._recorder is not None:
            self._recorder.on_idle()

    def on_lock_wait(self, wait: "LockWait") -> None:
        """Record and print that a step waits for a lock."""
        if self._recorder is None:
            self._print_wait(wait)
        else:
            self._recorder.waits(self._recipe, self._print_wait, wait)

    def record(self, event: "RecordedEvent") -> None:
        """Show an event in the status line, and append it to the journal.

        Raises:
            JournalError: The event cannot be written.
        """
        if self._progress is not None:
            self._progress.happened(self._recipe, event)
        if self._recorder is not None:
            self._recorder.happened(self._recipe, event)

    def notify(self, event: "StepEvent") -> None:
        """Pass an event of a step to the step hooks, in the main thread."""
        if self._step_hooks is not None:
            self._step_hooks(event)

    def more_verdicts(
        self, step: "Step", ended: "Ended", measured: "tuple[Measured, ...]"
    ) -> "tuple[Verdict, ...]":
        """With `--recipe-compare`, return the verdicts of a step's figures; without it, none."""
        if self._baseline is None:
            return ()
        return self._baseline.verdicts(self._recipe, step, ended, measured)

    @cached_property
    def _progress(self) -> "progress.Progress | None":
        """The status line; a test's marker creates the run before the session has one."""
        return progress.progress_of(self._state.config)
