"""The locks of one run of a recipe: those of its own, and those of its steps.

A recipe that has locks of its own holds them from its first step until its run is over, and
the locks of all its steps with them: whoever holds one lock never waits for another.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from pytest_orchestrator.execution import locks
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lockfile import LockError, Owner
from pytest_orchestrator.execution.wait import Wait
from pytest_orchestrator.recipe.model import Recipe, Step

_PAUSE = 0.02


class Grip:
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
    """

    def __init__(self, recipe: Recipe, env: Environment) -> None:
        self._recipe = recipe
        self._env = env
        self._one_at_a_time = threading.Lock()
        self._whole: locks.Held | None = None

    @contextlib.contextmanager
    def of(
        self,
        step: Step,
        stop: threading.Event | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Iterator[Grip | None]:
        """Hold the locks of a step while a block runs.

        Args:
            step: The step; no other one of this recipe runs that has a lock of it.
            stop: Ends the wait for them when it is set; set before, nothing is waited for.
            on_wait: Called where there is a wait meanwhile other steps of the recipe may run.

        Yields:
            What is held; None where that was not to be had before `stop` was set.

        Raises:
            LockError: They cannot be had at all.
        """
        if self._recipe.locks:
            yield self._within_whole(stop)
        elif not step.locks:
            yield Grip()
        else:
            held = self._taken(step.locks, self._recipe.node(step.name), stop, on_wait)
            if held is None:
                yield None
                return
            with held:
                yield Grip(held.filenos(), held.waited)

    def release(self) -> None:
        """Let the recipe's own locks go: its run is over."""
        with self._one_at_a_time:
            if self._whole is not None:
                self._whole.release()
                self._whole = None

    def _within_whole(self, stop: threading.Event | None) -> Grip | None:
        begun = time.monotonic()
        while not self._one_at_a_time.acquire(timeout=_PAUSE):
            if stop is not None and stop.is_set():
                return None
        try:
            if self._whole is None:
                self._whole = self._taken(self._all(), self._recipe.key, stop)
            whole = self._whole
        finally:
            self._one_at_a_time.release()
        return None if whole is None else Grip(whole.filenos(), time.monotonic() - begun)

    def _all(self) -> set[str]:
        steps = (*self._recipe.steps, *self._recipe.final)
        return {*self._recipe.locks, *(name for step in steps for name in step.locks)}

    def _taken(
        self,
        names: set[str] | tuple[str, ...],
        who: str,
        stop: threading.Event | None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> locks.Held | None:
        def waiting(lock: str, owner: Owner | None, seconds: float) -> None:
            self._refuse_to_wait_for_ourselves(lock, owner)
            on_wait()
            self._env.waiting(Wait(who=who, lock=lock, owner=owner, seconds=seconds))

        return locks.taken(names, run=self._env.run, step=who, waiting=waiting, stop=stop)

    def _refuse_to_wait_for_ourselves(self, lock: str, owner: Owner | None) -> None:
        """Say so where a run that is not over in this session would be waited for."""
        if owner is None or "::" in owner.step:
            return
        here = Owner.here(self._env.run, self._recipe.key)
        if (owner.pid, owner.host, owner.run) == (here.pid, here.host, here.run):
            raise LockError(
                f"lock '{lock}' is held by {owner.step}, whose run in this session is not over; "
                "let nothing that uses that recipe come after this step"
            )
