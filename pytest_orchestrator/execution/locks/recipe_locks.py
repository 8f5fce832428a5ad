"""Locks of one recipe run: those of the recipe, those of its steps, waits.

A recipe that has locks of its own holds them from its first step until its run is over, and
the locks of all its steps with them, as far as their names are known then. So whoever holds
one lock does not wait for another, unless for one that is known late and comes after those in
the order of their names: as nobody waits the other way round, nobody waits for ever.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.locks import lock_file, locks
from pytest_orchestrator.execution.locks.lock_file import LockError, Owner
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

if TYPE_CHECKING:
    from typing import Any

    from pytest_orchestrator.execution.expression_scope import Inner, Steps
    from pytest_orchestrator.recipe.model.step import Part

_PAUSE = 0.02


class StepLocks:
    """The locks that a step has while it runs.

    Attributes:
        files: The open files that are the locks.
        waited: Seconds until it had them.
    """

    def __init__(self, files: tuple[int, ...] = (), waited: float = 0.0) -> None:
        self.files = files
        self.waited = waited


class RecipeLocks:
    """Takes the locks of a run, and lets them go.

    Args:
        recipe: The recipe.
        env: The surroundings of the run.
        scope: What the names of expressions mean.
    """

    def __init__(self, recipe: Recipe, env: Environment, scope: Scope) -> None:
        self._recipe = recipe
        self._env = env
        self._scope = scope
        self._has_own = bool(recipe.locks) or any(
            one.path[0] == "locks" for one in recipe.templates
        )
        self._one_at_a_time = threading.Lock()
        self._whole: list[locks.LockSet] = []

    @contextlib.contextmanager
    def of(
        self,
        step: Step,
        stop: threading.Event | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Iterator[StepLocks | None]:
        """Hold the locks of a step while a block runs.

        Args:
            step: The step, with the values of the expressions among its locks; no other one of
                this recipe runs that has a lock of it.
            stop: Ends the wait for them when it is set; set before, nothing is waited for.
            on_wait: Called where there is a wait meanwhile other steps of the recipe may run.

        Yields:
            What is held; None where that was not to be had before `stop` was set.

        Raises:
            LockError: They cannot be had at all.
            ExpressionError: The name of a lock of the recipe has no value.
        """
        if not (self._has_own or step.locks or step.resources):
            yield StepLocks()
            return
        with contextlib.ExitStack() as stack:
            grip = self._locked(step, stop, on_wait, stack)
            if grip is not None and step.resources:
                grip = self._with_resources(step, stop, on_wait, stack, grip)
            yield grip

    def _locked(
        self,
        step: Step,
        stop: threading.Event | None,
        on_wait: Callable[[], None],
        stack: contextlib.ExitStack,
    ) -> StepLocks | None:
        if self._has_own:
            return self._within_whole(step, stop)
        if not step.locks:  # it has resources
            return StepLocks()
        held = self._taken(step.locks, self._recipe.node(step.name), stop, on_wait)
        if held is None:
            return None
        stack.enter_context(held)
        return StepLocks(held.filenos(), held.waited)

    def _with_resources(
        self,
        step: Step,
        stop: threading.Event | None,
        on_wait: Callable[[], None],
        stack: contextlib.ExitStack,
        grip: StepLocks,
    ) -> StepLocks | None:
        """Take the resources of a step, after its locks: who has any waits for no lock."""
        who = self._recipe.node(step.name)

        def waiting(name: str, owner: Owner | None, seconds: float) -> None:
            on_wait()
            self._env.waiting(LockWait(who=who, lock=name, owner=owner, seconds=seconds))

        there = self._env.resources_there
        held = locks.acquire_resources(
            # What nobody counts here is what the worker has that runs the step.
            {name: number for name, number in step.resources.items() if name in there},
            there,
            run=self._env.run,
            step=who,
            waiting=waiting,
            stop=stop,
        )
        if held is None:
            return None
        stack.enter_context(held)
        return StepLocks((*grip.files, *held.filenos()), grip.waited + held.waited)

    def release(self) -> None:
        """Let the recipe's own locks go: its run is over."""
        with self._one_at_a_time:
            while self._whole:
                self._whole.pop().release()

    def _within_whole(self, step: Step, stop: threading.Event | None) -> StepLocks | None:
        begun = time.monotonic()
        while not self._one_at_a_time.acquire(timeout=_PAUSE):
            if stop is not None and stop.is_set():
                return None
        try:
            known = set() if self._whole else early_locks(self._recipe, self._scope.early())
            for names in (known, set(step.locks) - known):
                if names := names - self._names:
                    more = self._taken(names, self._recipe.key, stop)
                    if more is None:
                        return None
                    self._whole.append(more)
            if not self._is_left_alone(stop):
                return None
            files = tuple(file for held in self._whole for file in held.filenos())
        finally:
            self._one_at_a_time.release()
        return StepLocks(files, time.monotonic() - begun)

    def _is_left_alone(self, stop: threading.Event | None) -> bool:
        """Wait until nothing that a worker was lost with may run; False where `stop` came first."""
        begun, told = time.monotonic(), ""
        for held in self._whole:
            for name, file in zip(held.names, held.filenos(), strict=True):
                while left := lock_file.left_of_lost(file):
                    if told != name:
                        told, who = name, self._recipe.key
                        owner = Owner.here(self._env.run, who)
                        owner = msgspec.structs.replace(owner, free_at=time.time() + left)
                        self._env.waiting(LockWait(who=who, lock=name, owner=owner, seconds=0.0))
                    if locks.paused(time.monotonic() - begun, stop):
                        return False
        return True

    @property
    def _names(self) -> set[str]:
        """The locks that the run holds."""
        return {name for held in self._whole for name in held.names}

    def _taken(
        self,
        names: Collection[str],
        who: str,
        stop: threading.Event | None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> locks.LockSet | None:
        def waiting(lock: str, owner: Owner | None, seconds: float) -> None:
            self._refuse_to_wait_for_ourselves(lock, owner)
            self._refuse_to_wait_for_ever(min(names), lock)
            on_wait()
            self._env.waiting(LockWait(who=who, lock=lock, owner=owner, seconds=seconds))

        return locks.acquire(names, run=self._env.run, step=who, waiting=waiting, stop=stop)

    def _refuse_to_wait_for_ourselves(self, lock: str, owner: Owner | None) -> None:
        """Say so where a run that is not over in this session would be waited for."""
        if owner is None or "::" in owner.step or owner.free_at:
            return
        here = Owner.here(self._env.run, self._recipe.key)
        if (owner.pid, owner.host, owner.run) == (here.pid, here.host, here.run):
            raise LockError(
                f"lock '{lock}' is held by {owner.step}, whose run in this session is not over; "
                "let nothing that uses that recipe come after this step"
            )

    def _refuse_to_wait_for_ever(self, first: str, lock: str) -> None:
        """Say so where others may wait for what is held here while they hold what is not."""
        held = max(self._names, default="")
        if first < held:
            raise LockError(
                f"lock '{lock}' is taken, and its name was not known when the recipe took its "
                f"locks; to wait for it while '{held}' is held might be for ever: let its name "
                "depend on vars, env, matrix, run or recipe alone"
            )


def early_locks(recipe: Recipe, names: "dict[str, Any]") -> set[str]:
    """Return the names of locks that are known before anything runs.

    A name that cannot be known yet, or that has no value, is left to its step.

    Args:
        recipe: The recipe.
        names: What the names of its expressions mean before anything runs.

    Raises:
        ExpressionError: A name among the recipe's own has no value.
    """
    from pytest_orchestrator.execution.expression_scope import Inner, Steps
    from pytest_orchestrator.recipe.expressions.expression import ExpressionError
    from pytest_orchestrator.recipe.fields.resolve import is_early, lock_names, plain_locks

    told = {*plain_locks(recipe.locks, recipe.templates), *lock_names(recipe.templates, names)}
    steps = Steps(recipe, lambda _: None)
    inner: dict[str, Inner | None] = {}
    for step in (*recipe.steps, *recipe.final):
        told.update(plain_locks(step.locks, step.templates))
        known = names
        if step.part is not None:
            if step.part.name not in inner:
                inner[step.part.name] = _inner(step.part, names, steps)
            within = inner[step.part.name]
            if within is None:
                continue
            told.update(within.locks)
            known = within.names(names)
        for one in filter(is_early, step.templates):
            with contextlib.suppress(ExpressionError):  # its step will tell of it
                told.update(lock_names([one], known))
    return told


def _inner(part: "Part", names: "dict[str, Any]", steps: "Steps") -> "Inner | None":
    """Return what a used file knows before anything runs; None where that comes later."""
    from pytest_orchestrator.execution.expression_scope import Inner
    from pytest_orchestrator.recipe.expressions.expression import ExpressionError
    from pytest_orchestrator.recipe.fields.resolve import is_early

    templates = (*part.templates, *part.given_templates, *part.locks)
    if not all(map(is_early, templates)):
        return None
    outer = None
    if part.outer is not None:
        outer = _inner(part.outer, names, steps)
        if outer is None:
            return None
    with contextlib.suppress(ExpressionError):  # its steps will tell of it
        return Inner(msgspec.structs.replace(part, condition=None), names, steps, outer)
    return None


class LockWait(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is told while a step waits.

    Attributes:
        who: Node id of the step, or the recipe's id where its own locks are waited for.
        lock: Name of the lock.
        owner: Who has it; None where that is not known.
        seconds: How long that one has had it.
    """

    who: str
    lock: str
    owner: Owner | None
    seconds: float

    def __str__(self) -> str:
        if self.owner is None:
            return f"{self.who} waits for lock '{self.lock}'"
        owner = self.owner
        if owner.free_at:
            left = max(0.0, owner.free_at - time.time())
            return (
                f"{self.who} waits for lock '{self.lock}': what {owner.step} has left on a worker "
                f"may run for {left:.0f} s more ({owner.user}@{owner.host}, run {owner.run})"
            )
        return (
            f"{self.who} waits for lock '{self.lock}': {owner.step} has held it for "
            f"{self.seconds:.0f} s (pid {owner.pid}, {owner.user}@{owner.host}, run {owner.run})"
        )
