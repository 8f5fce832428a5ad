"""Step dispatch: service, inline call, process on this machine, or remote worker.

Scheduling, retries, locks and the journal run step code only through `submitted`. They do not
distinguish between a process on this machine and a worker on another one.
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
    """Attempt of a step that was submitted to this machine or to a worker."""

    @property
    def before(self) -> Before:
        """The stamps of files before the attempt, with which criteria compare the files later."""

    @property
    def elsewhere(self) -> Elsewhere | None:
        """The function that checks criteria on a worker's files; None for files on this machine."""

    @property
    def started(self) -> float:
        """The start of the step code, in seconds since the epoch; known at its end."""

    def result(self) -> Ended:
        """Wait for the end of the step code and return it; end the step code on an interrupt."""

    def collect(self, patterns: Sequence[object], env: Environment) -> artifacts.CopiedArtifacts:
        """Copy the files that match globs into the run folder."""

    def close(self) -> None:
        """Release the files of the attempt. Call no method afterwards."""


class Runner(Protocol):
    """Runner of step code on other machines, for any number of attempts at a time."""

    def start(self, root: str, files: Sequence[str], modules: Sequence[str]) -> "WorkerRegistry":
        """Connect to the workers, before the first step.

        Args:
            root: The rootdir.
            files: Paths of files that steps need, relative to ``root``; workers must have the same.
            modules: Names of modules outside the rootdir; workers must have the same.
        """

    def takes(self, step: Step) -> bool:
        """Return True if workers run the step; otherwise it runs on this machine."""

    def submit(self, step: Step, context: Context, env: Environment) -> "RemoteSubmission":
        """Submit one attempt of a step.

        Args:
            step: The step, with the values of its expressions.
            context: The step's own handle to the Context, which is served to the worker.
            env: The settings of the run, with the number of the attempt.
        """


class RemoteSubmission(Submitted, Protocol):
    """One attempt of a step on a worker."""

    def cancel(self, *, at_once: bool, late: bool) -> None:
        """End the step code. Thread-safe, and may be called repeatedly.

        Args:
            at_once: Send KILL without a grace period after TERM.
            late: An earlier cancellation had no effect, so the attempt is lost.
        """


class LocalSubmission:
    """One attempt on this machine, which runs in the thread that calls `result`.

    Args:
        step: The step.
        env: The settings of the run.
        step_code: Runs the step code to its end.
    """

    __slots__ = ("before", "result", "started")

    elsewhere: Final[Elsewhere | None] = None

    def __init__(self, step: Step, env: Environment, step_code: Callable[[], Ended]) -> None:
        self.before: Before = criteria_files.noted(step, env.root) if step.success else {}
        self.result = step_code
        self.started = time.time()

    def collect(self, patterns: Sequence[object], env: Environment) -> artifacts.CopiedArtifacts:
        """Copy the files that match globs into the run folder."""
        return artifacts.collected(patterns, env)

    def close(self) -> None:
        """Do nothing: a local attempt holds no files."""


def submitted(
    step: Step, own: Context, env: Environment, fixtures: Mapping[str, object]
) -> Submitted:
    """Submit an attempt of a step: as service, inline, in a separate process or to a worker."""
    if step.background:
        return LocalSubmission(step, env, lambda: _service(step, own, env))
    if isinstance(step, CodeStep) and (fixtures or env.inline or step.isolation == "inline"):
        return LocalSubmission(step, env, lambda: _inline(step, own, env, fixtures))
    runner = env.slot.runner if env.slot is not None else None
    if runner is None or env.slot is None or not runner.takes(step):
        return LocalSubmission(step, env, lambda: apart(step, own, env))
    submission = env.slot.away = runner.submit(step, own, env)
    return submission


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
    """Return a context manager that ends pytest if an inline step ignores its timeout."""
    guard = env.slot.guard if env.slot is not None else None
    seconds = env.seconds_for(step.timeout)
    if guard is None or seconds is None or env.folder is None:
        return nullcontext()
    place = step.at.get("timeout") or step.at["name"]
    reason = f"timeout: still running after {seconds:g} s; pytest had to be ended for it"
    path = step.part.source.id if step.part else os.path.relpath(env.recipe, env.root)
    position = (path, str(place.line), str(place.column))
    message = f"orchestrator: {':'.join(position)}: step '{step.name}': {reason}"
    return guard.over(seconds, message, (str(env.folder), step.name, reason, *position))


def apart(step: Step, own: Context, env: Environment) -> Ended:
    """Run the step code of a step in a separate process on this machine."""
    with opened(env, step.name, own) as within:
        match step:
            case CodeStep():
                return python_process.run(custom.called(step, within), own, within)
            case ShellStep():
                return shell.run(step, within)
            case _:
                raise TypeError(f"no step code is known for {type(step).__name__}")


def process_of(step: Step, env: Environment) -> Process:
    """Return the `Process` record of a step whose program has not started."""
    match step:
        case CodeStep():
            return python_process.process_of(custom.called(step, env))
        case ShellStep():
            return shell.process_of(step, env)
        case _:
            raise TypeError(f"no process is known for {type(step).__name__}")


def _services(env: Environment) -> Services:
    """Return the services of the run.

    Raises:
        RuntimeError: The environment has no `Services`, although a step is a service.
    """
    if env.services is None:
        raise RuntimeError("this run keeps no services; give its Environment some")
    return env.services
