"""Step dispatch: service, inline call, process beside pytest, or remote worker.

All that comes before and after a body (the graph, retries, locks, the journal) asks for nothing
else, and does not know whether it runs beside this process or on another machine.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import Ended, Process
from pytest_orchestrator.execution.criteria import files as criteria_files
from pytest_orchestrator.execution.criteria.evidence import Before, Elsewhere
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lanes.context_access import opened
from pytest_orchestrator.execution.record_log import records_of_this_process
from pytest_orchestrator.execution.steps import (
    artifacts,
    custom,
    python_inline,
    python_process,
    shell,
)
from pytest_orchestrator.execution.steps.services import Services
from pytest_orchestrator.recipe.model.step import CodeStep, ShellStep, Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.dask.registry import WorkerRegistry


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

    def collect(self, patterns: Sequence[object], env: Environment) -> artifacts.CopiedArtifacts:
        """Copy the files that globs match into the folder of the run."""

    def close(self) -> None:
        """Take note that nobody asks for its files any more."""


class Runner(Protocol):
    """Runs bodies of steps elsewhere, any number at the same time."""

    def start(self, root: str, files: Sequence[str], modules: Sequence[str]) -> "WorkerRegistry":
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

    def collect(self, patterns: Sequence[object], env: Environment) -> artifacts.CopiedArtifacts:
        """Copy the files that globs match into the folder of the run."""
        return artifacts.collected(patterns, env)

    def close(self) -> None:
        """Do nothing: nothing is held."""


def submitted(
    step: Step, own: Context, env: Environment, fixtures: Mapping[str, object]
) -> Submitted:
    """Let a try of a step be run by whoever runs it."""
    if step.background:
        return Here(step, env, lambda: _service(step, own, env))
    if isinstance(step, CodeStep) and (fixtures or env.inline or step.isolation == "inline"):
        return Here(step, env, lambda: _inline(step, own, env, fixtures))
    runner = env.slot.runner if env.slot is not None else None
    if runner is None or env.slot is None or not runner.takes(step):
        return Here(step, env, lambda: apart(step, own, env))
    away = env.slot.away = runner.submit(step, own, env)
    return away


def _service(step: Step, own: Context, env: Environment) -> Ended:
    started = _services(env).started
    return started(step, env, lambda within: apart(step, own, within), process_of(step, env))


def _inline(
    step: CodeStep, own: Context, env: Environment, fixtures: Mapping[str, object]
) -> Ended:
    env.secrets.learn(env.variables())
    with _guarded(step, env), records_of_this_process(step.name, env) as records:
        ended = python_inline.run(custom.called(step, env), own, env, fixtures)
    return msgspec.structs.replace(ended, log=records.stream)


def _guarded(step: CodeStep, env: Environment) -> AbstractContextManager[None]:
    """Have pytest ended from outside where a step in it goes on after its time."""
    guard = env.slot.guard if env.slot is not None else None
    seconds = env.seconds_for(step.timeout)
    if guard is None or seconds is None or env.folder is None:
        return nullcontext()
    place = step.at.get("timeout") or step.at["name"]
    reason = f"timeout: still running after {seconds:g} s; pytest had to be ended for it"
    path = step.part.source.id if step.part else os.path.relpath(env.recipe, env.root)
    where = (path, str(place.line), str(place.column))
    told = f"orchestrator: {':'.join(where)}: step '{step.name}': {reason}"
    return guard.over(seconds, told, (str(env.folder), step.name, reason, *where))


def apart(step: Step, own: Context, env: Environment) -> Ended:
    """Run a body in a process of its own beside this one."""
    with opened(env, step.name, own) as within:
        match step:
            case CodeStep():
                return python_process.run(custom.called(step, within), own, within)
            case ShellStep():
                return shell.run(step, within)
            case _:
                raise TypeError(f"no body is known for {type(step).__name__}")


def process_of(step: Step, env: Environment) -> Process:
    """Return what is started for a step, without its end."""
    match step:
        case CodeStep():
            return python_process.process_of(custom.called(step, env))
        case ShellStep():
            return shell.process_of(step, env)
        case _:
            raise TypeError(f"no process is known for {type(step).__name__}")


def _services(env: Environment) -> Services:
    """Return what goes on in the background.

    Raises:
        RuntimeError: The run keeps nothing there, and a step asks for it.
    """
    if env.services is None:
        raise RuntimeError("this run keeps no services; give its Environment some")
    return env.services
