"""The locks of one run of a recipe: those of its own, and those of its steps.

A recipe that has locks of its own holds them from its first step until its run is over, and
the locks of all its steps with them: whoever holds one lock never waits for another.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

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
        self._busy: set[str] = set()
        self._free = threading.Condition()

    @contextlib.contextmanager
    def of(self, step: Step, stop: threading.Event | None = None) -> Iterator[Grip | None]:
        """Hold the locks of a step while a block runs.

        Args:
            step: The step.
            stop: Ends the wait for them when it is set; set before, nothing is waited for.

        Yields:
            What is held; None where that was not to be had before `stop` was set.

        Raises:
            LockError: They cannot be had at all.
        """
        if self._recipe.locks:
            with self._within_whole(step, stop) as grip:
                yield grip
        elif not step.locks:
            yield Grip()
        else:
            held = self._taken(step.locks, f"{self._recipe.id}::{step.name}", stop)
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

    @contextlib.contextmanager
    def _within_whole(self, step: Step, stop: threading.Event | None) -> Iterator[Grip | None]:
        begun = time.monotonic()
        with self._one_at_a_time:
            if self._whole is None:
                self._whole = self._taken(self._all(), self._recipe.id, stop)
            whole = self._whole
        if whole is None or not self._has_turn(step, stop):
            yield None
            return
        try:
            yield Grip(whole.filenos(), time.monotonic() - begun)
        finally:
            with self._free:
                self._busy.difference_update(step.locks)
                self._free.notify_all()

    def _has_turn(self, step: Step, stop: threading.Event | None) -> bool:
        """Wait until no other step of this run has a lock of this one."""
        with self._free:
            while self._busy.intersection(step.locks):
                if stop is not None and stop.is_set():
                    return False
                self._free.wait(_PAUSE)
            self._busy.update(step.locks)
        return True

    def _all(self) -> set[str]:
        steps = (*self._recipe.steps, *self._recipe.final)
        return {*self._recipe.locks, *(name for step in steps for name in step.locks)}

    def _taken(
        self, names: set[str] | tuple[str, ...], who: str, stop: threading.Event | None
    ) -> locks.Held | None:
        def waiting(lock: str, owner: Owner | None, seconds: float) -> None:
            self._refuse_to_wait_for_ourselves(lock, owner)
            self._env.waiting(Wait(who=who, lock=lock, owner=owner, seconds=seconds))

        return locks.taken(names, run=self._env.run, step=who, waiting=waiting, stop=stop)

    def _refuse_to_wait_for_ourselves(self, lock: str, owner: Owner | None) -> None:
        """Say so where a run that is not over in this session would be waited for."""
        if owner is None or "::" in owner.step:
            return
        here = Owner.here(self._env.run, self._recipe.id)
        if (owner.pid, owner.host, owner.run) == (here.pid, here.host, here.run):
            raise LockError(
                f"lock '{lock}' is held by {owner.step}, whose run in this session is not over; "
                "let nothing that uses that recipe come after this step"
            )
