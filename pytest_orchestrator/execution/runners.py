"""Where the body of a step runs, and who knows the files that it leaves there.

All that comes before and after a body (the graph, retries, locks, the journal) asks for nothing
else, and does not know whether it runs beside this process or on another machine.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.result import Ended
from pytest_orchestrator.execution import artifacts
from pytest_orchestrator.execution.criteria import files as criteria_files
from pytest_orchestrator.execution.criteria.evidence import Before, Elsewhere
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.recipe.step_keys import Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.workforce import Workforce


class Submitted(Protocol):
    """One try of a step that somebody runs."""

    @property
    def before(self) -> Before:
        """The files that there were before it, as far as criteria ask for them here."""

    @property
    def elsewhere(self) -> Elsewhere | None:
        """What checks criteria on files where these are; None where that is here."""

    @property
    def started(self) -> float:
        """When its body began, in seconds since the epoch; known at its end."""

    def result(self) -> Ended:
        """Wait for the end of its body; an interrupt ends it first."""

    def collect(self, patterns: Sequence[object], env: Environment) -> artifacts.Kept:
        """Copy the files that globs match into the folder of the run."""

    def close(self) -> None:
        """Take note that nobody asks for its files any more."""


class Runner(Protocol):
    """Runs bodies of steps elsewhere, any number at the same time."""

    def start(self, root: str, files: Sequence[str], modules: Sequence[str]) -> "Workforce":
        """Reach those that run them, before the first step.

        Args:
            root: The rootdir.
            files: Paths of files that steps need, relative to it; workers must have the same.
            modules: Names of modules from elsewhere, likewise.
        """

    def takes(self, step: Step) -> bool:
        """Tell whether it runs a step; where not, the step runs beside this process."""

    def submit(self, step: Step, context: Context, env: Environment) -> "Away":
        """Take one try of a step.

        Args:
            step: The step, with the values of its expressions.
            context: Its own handle on the Context, which is served to it.
            env: The surroundings of the run, which say which try it is.
        """


class Away(Submitted, Protocol):
    """One try of a step that runs elsewhere."""

    def cancel(self, *, at_once: bool, late: bool) -> None:
        """Have its body ended; from any thread, and as often as somebody likes.

        Args:
            at_once: No grace between TERM and KILL.
            late: It was told before, and has not heard.
        """


class Here:
    """A try that runs in this process or in the lanes beside it, in the thread that waits for it.

    Args:
        step: The step.
        env: The surroundings of the run.
        body: Runs it to its end.
    """

    __slots__ = ("before", "result", "started")

    elsewhere: Final[Elsewhere | None] = None

    def __init__(self, step: Step, env: Environment, body: Callable[[], Ended]) -> None:
        self.before: Before = criteria_files.noted(step, env.root) if step.success else {}
        self.result = body
        self.started = time.time()

    def collect(self, patterns: Sequence[object], env: Environment) -> artifacts.Kept:
        """Copy the files that globs match into the folder of the run."""
        return artifacts.collected(patterns, env)

    def close(self) -> None:
        """Do nothing: nothing is held."""
