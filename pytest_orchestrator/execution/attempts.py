"""The tries of one step, one at a time; whoever runs them waits in between as it likes.

Between two tries nothing is held here: no lane, no lock, no thread.
"""

import threading
import time
from collections.abc import Mapping

import msgspec

from pytest_orchestrator.core.context import Change, Context
from pytest_orchestrator.core.result import Attempt, Ended, Failure, StepResult, Usage
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.step import execute, failed
from pytest_orchestrator.recipe.model import Step
from pytest_orchestrator.recipe.retry import Retry

_ONCE = Retry(attempts=1)


class Attempts:
    """A step that is tried until it does not fail, or as often as its recipe says.

    Args:
        step: The step.
        context: The Context that the recipe runs on.
        env: The surroundings of the run.
        fixtures: Values for the step's fixtures, by name.

    Attributes:
        number: The try that comes next, or runs now; from 1.
        not_before: The moment of ``time.monotonic`` at which the next try may begin.
        result: What became of the step; None as long as there is another try to come.
    """

    def __init__(
        self, step: Step, context: Context, env: Environment, fixtures: Mapping[str, object]
    ) -> None:
        self.number = 1
        self.not_before = 0.0
        self.result: StepResult | None = None
        self._step = step
        self._context = context
        self._env = env
        self._fixtures = fixtures
        self._plan = step.retry or _ONCE
        self._failed: list[Attempt] = []
        self._changes: list[Change] = []
        self._missed: dict[str, None] = {}

    def run(self, locks: tuple[int, ...] = ()) -> StepResult | None:
        """Try the step once.

        Args:
            locks: Open files that are the step's locks.

        Returns:
            What became of the step; None where it is to be tried again, at `not_before`.
        """
        env = msgspec.structs.replace(self._env, attempt=self.number, locks=locks)
        tried = execute(self._step, self._context, env, self._fixtures)
        self._changes += tried.changes
        self._missed |= dict.fromkeys(tried.missed)
        if tried.failure is None or self.number >= self._plan.attempts or tried.ended is None:
            self.result = self._last(tried)
            return self.result
        self._failed.append(
            Attempt(
                number=self.number,
                failure=msgspec.structs.replace(tried.failure, exception=None),
                ended=_essential(tried.ended),
                started=tried.started,
            )
        )
        self.not_before = time.monotonic() + self._plan.pause(self.number)
        self.number += 1
        return None

    def wait(self, stop: threading.Event | None = None) -> bool:
        """Wait until the next try may begin; Ctrl-C ends that.

        Args:
            stop: Ends the wait when it is set.

        Returns:
            False where `stop` is set.
        """
        seconds = max(0.0, self.not_before - time.monotonic())
        if stop is not None:
            return not stop.wait(seconds)
        if seconds:
            time.sleep(seconds)
        return True

    def interrupted(self, started: float, reason: str) -> StepResult:
        """Return what became of a step that was cut off, in a try or between two of them.

        Args:
            started: Its start, seconds since the epoch.
            reason: Who or what ended it.
        """
        seconds = time.time() - started
        failure = Failure(kind="interrupted", reason=f"interrupted after {seconds:.1f} s: {reason}")
        ended = Ended(usage=Usage(seconds=seconds))
        return self._last(failed(self._step, failure, ended, started))

    def _last(self, tried: StepResult) -> StepResult:
        """Return the last try with what is known of those before it."""
        if not self._failed:
            return tried
        if tried.failure is not None and tried.failure.exception is not None:
            tried.failure.exception.add_note(f"try {self.number} of {self._plan.attempts}")
        return msgspec.structs.replace(
            tried,
            attempt=self.number,
            attempts=tuple(self._failed),
            changes=tuple(self._changes),
            missed=tuple(self._missed),
        )


def _essential(ended: Ended) -> Ended:
    """Return the end of a body without what it printed: its logs have that."""
    process = ended.process
    if process is not None:
        process = msgspec.structs.replace(
            process,
            stdout=msgspec.structs.replace(process.stdout, text=""),
            stderr=msgspec.structs.replace(process.stderr, text=""),
        )
    return msgspec.structs.replace(ended, process=process, value=None, verdicts=())
