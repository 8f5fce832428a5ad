"""Factories of a session's settings, worker slots and recipe runs, and the callbacks of a run."""

import sys
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.lanes.lane import Lanes, Slot
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
from pytest_orchestrator.execution.lanes.watchdog import Watchdog
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.plugin import context_access
from pytest_orchestrator.plugin.options import runner, settings
from pytest_orchestrator.plugin.options.settings import comparison
from pytest_orchestrator.plugin.options.values import value_of
from pytest_orchestrator.plugin.options.variables import batch_of
from pytest_orchestrator.plugin.python_lane import launch
from pytest_orchestrator.plugin.python_lane.launch import PACKAGE_FOLDER, lane_program, terminal
from pytest_orchestrator.plugin.questions.person import has_person
from pytest_orchestrator.plugin.reporting import progress
from pytest_orchestrator.plugin.results import failures
from pytest_orchestrator.plugin.session_state import GUARD
from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.model.recipe import unit_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.core.events import InstrumentExchange
    from pytest_orchestrator.core.questions import Answer
    from pytest_orchestrator.core.result import Ended, Measurement, Verdict
    from pytest_orchestrator.execution.attempt_context import PendingQuestion, Runner
    from pytest_orchestrator.execution.instruments.bench import Bench
    from pytest_orchestrator.execution.locks.locks import LockWait
    from pytest_orchestrator.execution.notifications import Listener, RecordedEvent, StepEvent
    from pytest_orchestrator.execution.scheduling.hold import Decision, Hold
    from pytest_orchestrator.instrument import Author
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.step import Step


def new_run(state: "SessionState", recipe: Recipe) -> RecipeRun:
    """Return a new run of a recipe in the worker slots of the session.

    Args:
        state: The state of the session.
        recipe: The recipe.
    """
    config, number = state.config, settings.slots(state.config, _default_jobs(recipe))[0]
    context, run_config = _context(state, recipe), state.run_config
    slots = _slots(state, number)[:number]
    defaults = AttemptContext(
        config=run_config,
        callbacks=PytestCallbacks(state, recipe),
        slot=slots[0],
        runner=_dask_runner(config),
        logs=state.folder.logs(recipe),
        artifacts=state.folder.artifacts(recipe),
        resources=state.folder.resources(recipe),
        live=failures.shown_live(config),
        add_exchange=_exchange_recorder(state, recipe),
    )
    return RecipeRun(
        _of_operator(state.config, recipe),
        context,
        defaults,
        slots=slots,
        variables=lambda step: {"PYTEST_CURRENT_TEST": f"{recipe.node(step.name)} (call)"},
        new_layer=partial(_unit_context, state, recipe),
    )


def _default_jobs(recipe: Recipe) -> int | None:
    """Return the number of slots if no setting says it: one for each unit; None without units."""
    return None if recipe.units is None else len(recipe.units.present)


def _of_operator(config: pytest.Config, recipe: Recipe) -> Recipe:
    """Return a recipe with the operator of the station in `test_meta`, unless it names one."""
    batch = batch_of(config)
    if batch is None or not batch.operator or "operator" in recipe.test_meta:
        return recipe
    from msgspec.structs import replace

    return replace(recipe, test_meta={**recipe.test_meta, "operator": batch.operator})


def _exchange_recorder(
    state: "SessionState", recipe: Recipe
) -> "Callable[[InstrumentExchange], None]":
    """Return the function that records exchanges of step code; the first one loads the record."""

    def record(exchange: "InstrumentExchange") -> None:
        from pytest_orchestrator.plugin.instruments.bench import record_of

        record_of(state).append_of(recipe.key, exchange)

    return record


def _dask_runner(config: pytest.Config) -> "Runner | None":
    if runner.dask_scheduler(config) is None:
        return None
    from pytest_orchestrator.plugin import dask

    return dask.remote_runner(config)


def _context(state: "SessionState", recipe: Recipe) -> "Context":
    if recipe.context != "recipe":
        return state.context
    # With a shared Context, another xdist worker may have created the layer already.
    return state.followed(state.scopes.setdefault(recipe.key, state.context.layer(recipe.key)))


def _unit_context(state: "SessionState", recipe: Recipe, below: "Context", unit: str) -> "Context":
    scope = unit_scope(recipe.key, unit)
    return state.followed(state.scopes.setdefault(scope, below.layer(scope)))


def _slots(state: "SessionState", number: int) -> list[Slot]:
    """Return the session's list of worker slots, extended to at least `number` slots."""
    while len(state.slots) < number:
        state.slots.append(state.slots[0].new_slot())
    return state.slots


def session_config(state: "SessionState") -> RunConfig:
    """Return the settings that all runs of a session share; create the first worker slot."""
    config, lanes = state.config, Lanes()
    config.add_cleanup(lanes.close)
    slot = Slot(lanes, lane_program(config), SshConnections())
    config.add_cleanup(slot.ssh_connections.close)
    state.slots.append(slot)
    bench = _bench(state, lanes)
    watched = config.getoption("usepdb", False) or config.getoption("trace", False)
    return RunConfig(
        root=config.rootpath,
        run_id=state.folder.path.name,
        folder=state.folder.path,
        timeout=value_of(config, "recipe_timeout") or None,
        timeout_factor=0.0 if watched else settings.timeout_factor(config),
        skip_exceptions=(pytest.skip.Exception,),
        xfail_exceptions=(pytest.xfail.Exception,),
        exit_exceptions=(pytest.exit.Exception,),
        runs_inline=bool(watched or "pydevd" in sys.modules),
        var_values=state.var_values,
        resource_units=state.resource_counts,
        hosts={} if state.station is None else state.station.hosts,
        record_style=settings.record_style(config),
        max_log=int(value_of(config, "recipe_max_log")),
        max_artifact=int(value_of(config, "recipe_max_artifact")),
        has_terminal=cache(partial(has_person, config)),
        requirements_are_strict=value_of(config, "recipe_requires") == "error",
        secrets=state.secrets,
        context_access=context_access.step_context_access(config),
        watchdog=_watchdog(config, lanes),
        bench=bench,
        recorded=_recorded(state),
    )


def _bench(state: "SessionState", lanes: Lanes) -> "Bench | None":
    """Return the bench of the session; None without a station file."""
    if state.station is None:
        return None
    from pytest_orchestrator.plugin.instruments.bench import bench_of

    return bench_of(state, lanes, state.station)


def _recorded(
    state: "SessionState",
) -> "Callable[[Author], tuple[InstrumentExchange, ...]] | None":
    """Return the function that returns the exchanges of a step in the run that is replayed."""
    if state.replay is None:
        return None
    from pytest_orchestrator.plugin.instruments.bench import bench_plugin

    plugin = bench_plugin(state.config)
    return None if plugin is None or plugin.replay is None else plugin.replay.recorded


def _watchdog(config: pytest.Config, lanes: Lanes) -> Watchdog:
    given = getattr(config, "workerinput", {}).get(GUARD)
    file = Path(given) if given and Path(given).parent.is_dir() else None
    note = (sys.executable, "-c", _RECORD_TIMEOUT, PACKAGE_FOLDER)
    watchdog = Watchdog(lanes, note, lambda: terminal(config), file)
    config.add_cleanup(watchdog.close)
    return watchdog


_RECORD_TIMEOUT = """\
import sys
sys.path.append(sys.argv.pop(1))
from pytest_orchestrator.runs.unfinished_steps import main
main()"""


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
        self._held: set[str] = set()
        if state.config.getoption("recipe_break"):
            from pytest_orchestrator.plugin.questions import breaks

            self._held = breaks.held_steps(state.config, recipe)
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

    def is_held(self, step: "Step") -> bool:
        """Return True if `--recipe-break` names a step."""
        return step.name in self._held

    def hold(self, held: "Hold") -> "Decision | None":
        """Ask a person at the terminal what becomes of a step."""
        from pytest_orchestrator.plugin.questions import breaks

        decision = breaks.hold(self._state.config, held)
        self._recipe = held.run.recipe  # `redo` may have read it again
        return decision

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
        self, step: "Step", ended: "Ended", measured: "tuple[Measurement, ...]"
    ) -> "tuple[Verdict, ...]":
        """With `--recipe-compare`, return the verdicts of a step's figures; without it, none."""
        if self._baseline is None:
            return ()
        simulated = self._state.simulated
        return self._baseline.verdicts(self._recipe, step, ended, measured, simulated=simulated)

    @cached_property
    def _progress(self) -> "progress.Progress | None":
        """The status line; a test's marker creates the run before the session has one."""
        return progress.progress_of(self._state.config)
