"""Locks of one recipe run: those of the recipe and those of its steps.

A recipe with `locks` of its own acquires them before its first step, together with the locks of
all its steps whose names are known then, and holds them until its run is over. A run that holds
locks waits only for a lock whose name became known later and sorts after the names of all locks
that it holds. Since all runs wait in the order of the names, they cannot deadlock.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.execution.attempt_context import NO_LOCKS, StepLocks
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.locks import lock_file, locks
from pytest_orchestrator.execution.locks.lock_file import Owner
from pytest_orchestrator.execution.locks.locks import LockWait
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

if TYPE_CHECKING:
    from typing import Any

    from pytest_orchestrator.execution.expression_scope import Inner, Steps
    from pytest_orchestrator.recipe.model.step import FileUse

    _Act = Callable[[threading.Event], None]

_STOP_INTERVAL = 0.02
_LONGEST_RELEASE = 60.0
"""Seconds for the safe commands of instruments that are kept for later recipes."""


class RecipeLocks:
    """Locks of one recipe run: those of the recipe itself and those of its steps.

    Args:
        recipe: The recipe.
        config: The settings of the run.
        scope: The variables of expressions.
        on_lock_wait: Called when a step waits for a lock.
        release_idle: Ends the use of instruments that are kept for later recipes of the session.
        in_main_thread: Returns a function that the main thread runs.
    """

    def __init__(
        self,
        recipe: Recipe,
        config: RunConfig,
        scope: Scope,
        on_lock_wait: Callable[[LockWait], None],
        release_idle: Callable[[], None],
        in_main_thread: "Callable[[_Act], _Act]",
    ) -> None:
        self._recipe = recipe
        self._config = config
        self._on_lock_wait, self._release_idle = on_lock_wait, release_idle
        self._in_main_thread = in_main_thread
        self._scope = scope
        self._has_own = bool(recipe.locks) or any(
            template.path[0] == "locks" for template in recipe.templates
        )
        self._recipe_locks_mutex = threading.Lock()
        self._recipe_locks: list[locks.LockSet] = []
        self._step_locks_mutex = threading.Lock()
        self._step_locks: list[locks.LockSet] = []
        self._bench = config.bench
        if self._bench is not None and not self._has_own:
            self._has_own = names_instruments(recipe)

    def of(
        self,
        step: Step,
        stop: threading.Event | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> AbstractContextManager[StepLocks | None]:
        """Hold the locks of a step while a ``with`` block runs.

        Args:
            step: The step, with expressions in its locks replaced by values; no other running
                step of this recipe may have one of these locks.
            stop: Ends the wait when it is set; if it is already set, the method does not wait.
            on_wait: Called at each report of a wait (see `locks.acquire`) during which other
                steps of the recipe may run.

        Returns:
            A context manager with the locks; with None if `stop` was set before all were free.

        Raises:
            LockError: A lock file cannot be used, or the wait for a lock might never end.
            ExpressionError: The name of a lock of the recipe cannot be evaluated.
        """
        if self._has_own or step.locks or step.resources:
            return self._held(step, stop, on_wait)
        return NO_LOCKS

    @contextlib.contextmanager
    def _held(
        self, step: Step, stop: threading.Event | None, on_wait: Callable[[], None]
    ) -> Iterator[StepLocks | None]:
        with contextlib.ExitStack() as stack:
            step_locks = self._locked(step, stop, on_wait, stack)
            if step_locks is not None and step.resources:
                step_locks = self._with_resources(step, stop, on_wait, stack, step_locks)
            yield step_locks

    def _locked(
        self,
        step: Step,
        stop: threading.Event | None,
        on_wait: Callable[[], None],
        stack: contextlib.ExitStack,
    ) -> StepLocks | None:
        if self._has_own:
            return self._locked_with_recipe(step, stop)
        if not step.locks:  # the step has resources only
            return StepLocks()
        names = set(step.locks) - self._names
        if not names:  # the bench holds them
            return StepLocks()
        held = self._acquire(names, self._recipe.node(step.name), stop, on_wait)
        if held is None:
            return None
        stack.enter_context(held)
        files = held.filenos()
        if self._bench is not None:
            with self._step_locks_mutex:
                self._step_locks.append(held)
            stack.callback(self._forget, held)
        return StepLocks(files, held.waited)

    def _forget(self, held: locks.LockSet) -> None:
        """Note that the locks of a step are released now."""
        with self._step_locks_mutex:
            self._step_locks.remove(held)

    def _with_resources(
        self,
        step: Step,
        stop: threading.Event | None,
        on_wait: Callable[[], None],
        stack: contextlib.ExitStack,
        step_locks: StepLocks,
    ) -> StepLocks | None:
        """Acquire the units of resources that a step needs; return them with its locks, or None.

        None means that `stop` was set first. The units are acquired after the locks, so that an
        owner of units never waits for a lock.
        """
        who = self._recipe.node(step.name)

        def waiting(name: str, owner: Owner | None, seconds: float) -> None:
            on_wait()
            self._on_lock_wait(LockWait(who=who, lock=name, owner=owner, seconds=seconds))

        counted = self._config.resource_units
        held = locks.acquire_resources(
            # Other resources belong to the worker that runs the step.
            {name: number for name, number in step.resources.items() if name in counted},
            counted,
            run=self._config.run_id,
            step=who,
            waiting=waiting,
            stop=stop,
        )
        if held is None:
            return None
        stack.enter_context(held)
        return StepLocks((*step_locks.files, *held.filenos()), step_locks.waited + held.waited)

    def release(self) -> None:
        """Release the locks of the recipe at the end of its run."""
        with self._recipe_locks_mutex:
            while self._recipe_locks:
                self._recipe_locks.pop().release()

    def _locked_with_recipe(self, step: Step, stop: threading.Event | None) -> StepLocks | None:
        started = time.monotonic()
        while not self._recipe_locks_mutex.acquire(timeout=_STOP_INTERVAL):
            if stop is not None and stop.is_set():
                return None
        try:
            known = set() if self._recipe_locks else self._known_locks()
            for names in (known, set(step.locks) - known):
                if not self._has_locked(names, stop):
                    return None
            if not self._wait_for_lost_attempts(stop):
                return None
            if known:
                self.claim_instruments()
            files = tuple(file for held in self._recipe_locks for file in held.filenos())
            if self._bench is not None:
                files += self._bench.files(self._recipe.key)
        finally:
            self._recipe_locks_mutex.release()
        return StepLocks(files, time.monotonic() - started)

    def _known_locks(self) -> set[str]:
        """Return the names of all locks that are known before any step runs."""
        names = self._scope.early()
        early = early_locks(self._recipe, names, self._config)
        if self._bench is not None:
            early |= self._bench.locks_of(named_instruments(self._recipe, names))
        return early

    def claim_instruments(self) -> None:
        """Hold the locks of the recipe's instruments until their safe state is reached."""
        if self._bench is None or not names_instruments(self._recipe):
            return
        names = self._bench.locks_of(named_instruments(self._recipe, self._scope.early()))
        for held in (None, *self._recipe_locks):
            self._bench.claim(self._recipe.key, names, held)

    def _has_locked(self, names: set[str], stop: threading.Event | None) -> bool:
        """Acquire the locks that this run does not hold; return False if `stop` is set before."""
        if missing := names - self._names:
            more = self._acquire(missing, self._recipe.key, stop)
            if more is None:
                return False
            self._recipe_locks.append(more)
        return True

    def lock_instrument(self, lock: str, stop: threading.Event | None) -> bool:
        """Hold the lock of an instrument until the safe state of the instrument is reached.

        Args:
            lock: Name of the lock.
            stop: Ends the wait when it is set.

        Returns:
            False if `stop` was set before the lock was free.

        Raises:
            LockError: The lock file cannot be used, or the wait for the lock might never end.
        """
        assert self._bench is not None  # noqa: S101
        while not self._recipe_locks_mutex.acquire(timeout=_STOP_INTERVAL):
            if stop is not None and stop.is_set():
                return False
        try:
            if lock in self._bench.held:
                self._bench.claim(self._recipe.key, [lock])
                return True
            with self._step_locks_mutex:
                for held in (*self._recipe_locks, *self._step_locks):
                    if lock in held.names:
                        self._bench.claim(self._recipe.key, [lock], held)
                        return True
            more = self._acquire([lock], self._recipe.key, stop)
            if more is not None:
                self._bench.claim(self._recipe.key, [lock], more)
            return more is not None
        finally:
            self._recipe_locks_mutex.release()

    def _wait_for_lost_attempts(self, stop: threading.Event | None) -> bool:
        """Wait until no lost attempt can still be running; return False if `stop` is set first."""
        started, reported = time.monotonic(), ""
        for held in self._recipe_locks:
            for name, file in zip(held.names, held.filenos(), strict=True):
                while left := lock_file.seconds_lost_attempt_may_run(file):
                    if reported != name:
                        reported, who = name, self._recipe.key
                        owner = Owner.here(self._config.run_id, who)
                        owner = msgspec.structs.replace(owner, free_at=time.time() + left)
                        self._on_lock_wait(LockWait(who=who, lock=name, owner=owner, seconds=0.0))
                    if locks.paused(time.monotonic() - started, stop):
                        return False
        return True

    @property
    def _names(self) -> set[str]:
        """The names of the locks that the run holds."""
        own = {name for held in self._recipe_locks for name in held.names}
        return own if self._bench is None else own | {*self._bench.held}

    def _acquire(
        self,
        names: Collection[str],
        who: str,
        stop: threading.Event | None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> locks.LockSet | None:
        def waiting(lock: str, owner: Owner | None, seconds: float) -> None:
            refuse_own_session(lock, owner, self._config.run_id)
            self._refuse_deadlock(min(names), lock)
            on_wait()
            self._on_lock_wait(LockWait(who=who, lock=lock, owner=owner, seconds=seconds))

        return locks.acquire(names, run=self._config.run_id, step=who, waiting=waiting, stop=stop)

    def _refuse_deadlock(self, first: str, lock: str) -> None:
        """Raise LockError if a held lock has a later name, since the wait could then deadlock.

        Instruments that are kept for later recipes are made safe instead, which frees their locks.
        """
        held = max(self._names, default="")
        if first < held and self._bench is not None:
            _wait_until_released(self._in_main_thread, self._release_idle)
            held = max(self._names, default="")
        if first < held:
            if not any(held in each.names for each in self._recipe_locks):
                raise LockError(
                    f"lock '{lock}' is taken; to wait for it while '{held}' is held for an "
                    f"instrument in use might be for ever: name both in `locks` of the recipe that "
                    "runs first"
                )
            raise LockError(
                f"lock '{lock}' is taken, and its name was not known when the recipe took its "
                f"locks; to wait for it while '{held}' is held might be for ever: let its name "
                "depend on vars, env, matrix, run or recipe alone"
            )


def refuse_own_session(lock: str, owner: Owner | None, run: str) -> None:
    """Raise LockError if the owner of a lock is an unfinished recipe run of this session.

    Args:
        lock: Name of the lock.
        owner: Its owner; None if unknown.
        run: Id of the run of this session.
    """
    if owner is None or "::" in owner.step or owner.free_at:
        return
    here = Owner.here(run, owner.step)
    if (owner.pid, owner.host, owner.run) == (here.pid, here.host, here.run):
        raise LockError(
            f"lock '{lock}' is held by {owner.step}, whose run in this session is not over; "
            "let nothing that uses that recipe come after this step"
        )


def early_locks(recipe: Recipe, names: "dict[str, Any]", config: RunConfig) -> set[str]:
    """Return the names of locks that are known before any step runs.

    Other lock names are evaluated when their step runs.

    Args:
        recipe: The recipe.
        names: The variables of expressions that are known before any step runs.
        config: The settings of the run.

    Raises:
        ExpressionError: The name of a lock of the recipe itself cannot be evaluated.
    """
    from pytest_orchestrator.execution.expression_scope import Inner, Steps, early_names
    from pytest_orchestrator.recipe.expressions.expression import ExpressionError
    from pytest_orchestrator.recipe.fields.extensions import CustomStep
    from pytest_orchestrator.recipe.fields.resolve import is_early, lock_names, plain_locks

    early = {*plain_locks(recipe.locks, recipe.templates), *lock_names(recipe.templates, names)}
    steps = Steps(recipe, lambda _: None)
    inner: dict[str, Inner | None] = {}
    for step in (*recipe.steps, *recipe.final):
        early.update(plain_locks(step.locks, step.templates))
        step_names = early_names(names, step.cell)
        if step.file_use is not None:
            if step.file_use.name not in inner:
                inner[step.file_use.name] = _inner(step.file_use, step_names, steps)
            used_file = inner[step.file_use.name]
            if used_file is None:
                continue
            early.update(used_file.locks)
            step_names = used_file.names(step_names)
        for template in filter(is_early, step.templates):
            with contextlib.suppress(ExpressionError):  # the step will raise the error
                early.update(lock_names([template], step_names))
        if isinstance(step, CustomStep) and not config.replays(step):
            from pytest_orchestrator.recipe.fields import type_hooks

            path = str(recipe.path)
            early.update(type_hooks.call("locks", step, path, step_names, before_steps=True))
    return early


def names_instruments(recipe: Recipe) -> bool:
    """Return True if a step or a sampled value of a recipe may use instruments."""
    from pytest_orchestrator.recipe.fields import type_hooks
    from pytest_orchestrator.recipe.model.step import InstrumentQuery

    return any(isinstance(one.step, InstrumentQuery) for one in recipe.samplers) or any(
        type_hooks.has_hook(step, "instruments") for step in (*recipe.steps, *recipe.final)
    )


def named_instruments(recipe: Recipe, names: "dict[str, Any]") -> set[str]:
    """Return the names of the instruments that are known before any step of a recipe runs.

    Args:
        recipe: The recipe.
        names: The variables of expressions that are known before any step runs.
    """
    from pytest_orchestrator.execution.expression_scope import early_names
    from pytest_orchestrator.recipe.fields import type_hooks
    from pytest_orchestrator.recipe.model.step import InstrumentQuery

    found = {
        one.step.instrument for one in recipe.samplers if isinstance(one.step, InstrumentQuery)
    }
    for step in (*recipe.steps, *recipe.final):
        known, path = early_names(names, step.cell), str(recipe.path)
        found.update(type_hooks.call("instruments", step, path, known, before_steps=True))
    return found


def _inner(file_use: "FileUse", names: "dict[str, Any]", steps: "Steps") -> "Inner | None":
    """Return the variables of a used file if they are known before any step runs, else None."""
    from pytest_orchestrator.execution.expression_scope import Inner
    from pytest_orchestrator.recipe.expressions.expression import ExpressionError
    from pytest_orchestrator.recipe.fields.resolve import is_early

    templates = (*file_use.templates, *file_use.with_templates, *file_use.locks)
    if not all(map(is_early, templates)):
        return None
    outer = None
    if file_use.outer is not None:
        outer = _inner(file_use.outer, names, steps)
        if outer is None:
            return None
    with contextlib.suppress(ExpressionError):  # the steps will raise the error
        return Inner(msgspec.structs.replace(file_use, condition=None), names, steps, outer)
    return None


def _wait_until_released(
    in_main_thread: "Callable[[_Act], _Act]",
    release_all: Callable[[], None],
) -> None:
    """Release the idle instruments in the main thread, and wait until it is done."""
    released = InterruptibleEvent()

    def release(until: threading.Event) -> None:
        try:
            release_all()
        finally:
            until.set()

    in_main_thread(release)(released)
    released.wait(_LONGEST_RELEASE)
