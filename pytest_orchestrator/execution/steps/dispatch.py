"""Step dispatch: service, inline call, process on this machine, or remote worker.

Scheduling, retries, locks and the journal run step code only through `submitted`. They do not
distinguish between a process on this machine and a worker on another one.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import CopiedArtifacts, Ended, Process
from pytest_orchestrator.execution.attempt_context import AttemptContext, Submitted
from pytest_orchestrator.execution.interruptible import interrupts_kept
from pytest_orchestrator.execution.steps import artifacts, shell
from pytest_orchestrator.execution.steps.command import environment_of
from pytest_orchestrator.execution.steps.services import Services
from pytest_orchestrator.recipe.expressions.expression import time_limit
from pytest_orchestrator.recipe.fields.extensions import asks
from pytest_orchestrator.recipe.model.step import (
    CodeStep,
    InstrumentQuery,
    PythonStep,
    ShellStep,
    Step,
)

if TYPE_CHECKING:
    from pytest_orchestrator.execution.criteria.simple import Before, Elsewhere

_UNCHANGED = nullcontext()
"""Context manager of a step without environment variables of its own."""


class LocalSubmission:
    """One attempt on this machine, which runs in the thread that calls `result`.

    Args:
        step: The step.
        attempt: The context of the attempt.
        step_code: Runs the step code to its end.
    """

    __slots__ = ("before", "result", "started")

    elsewhere: "Final[Elsewhere | None]" = None

    def __init__(self, step: Step, attempt: AttemptContext, step_code: Callable[[], Ended]) -> None:
        self.before: Before = {}
        if step.success:
            from pytest_orchestrator.execution.criteria import files

            self.before = files.noted(step, attempt.config.root)
        self.result = step_code
        self.started = time.time()

    def collect(self, patterns: Sequence[object], attempt: AttemptContext) -> CopiedArtifacts:
        """Copy the files that match globs into the run folder."""
        return artifacts.collected(patterns, attempt)

    def close(self) -> None:
        """Do nothing: a local attempt holds no files."""


def submitted(
    step: Step,
    own: Context,
    attempt: AttemptContext,
    fixtures: Mapping[str, object],
    services: Services,
) -> Submitted:
    """Submit an attempt of a step: as a service, inline, in a separate process or on a worker."""
    if asks(step) and step.timeout is None:
        attempt = msgspec.structs.replace(attempt, has_timeout=False)
    if step.background:
        return LocalSubmission(step, attempt, lambda: _service(step, own, attempt, services))
    is_inline = fixtures or attempt.config.runs_inline
    if isinstance(step, CodeStep) and (is_inline or step.isolation == "inline"):
        return LocalSubmission(step, attempt, lambda: _inline(step, own, attempt, fixtures))
    runner = attempt.runner
    if runner is None or not runner.takes(step):
        return LocalSubmission(step, attempt, lambda: apart(step, own, attempt))
    submission = attempt.required_slot.remote = runner.submit(step, own, attempt)
    return submission


def _service(step: Step, own: Context, attempt: AttemptContext, services: Services) -> Ended:
    def step_code(within: AttemptContext) -> Ended:
        return apart(step, own, within)

    return services.started(step, attempt, step_code, process_of(step, attempt))


def _inline(
    step: CodeStep, own: Context, attempt: AttemptContext, fixtures: Mapping[str, object]
) -> Ended:
    from pytest_orchestrator.execution.record_log import RecordsOfThisProcess
    from pytest_orchestrator.execution.steps import asking, custom, python_inline

    attempt.config.secrets.add_environment(attempt.variables())

    def run(called: PythonStep, within: AttemptContext) -> Ended:
        questions = asking.questions_of(called, within)
        if questions is not None:
            within = msgspec.structs.replace(within, asker=questions.ask)
        with (
            _environment(called, within) if called.env else _UNCHANGED,
            _guarded(called, within, within.seconds_for(called.timeout)),
            RecordsOfThisProcess(called.name, within) as records,
            interrupts_kept(),
        ):
            ended = python_inline.run(called, own, within, fixtures)
        ended = msgspec.structs.replace(ended, log=records.stream)
        return ended if questions is None else questions.noted_in(ended)

    return _with_cleanup(custom.called(step, attempt), attempt, run)


def _with_cleanup(
    step: PythonStep,
    attempt: AttemptContext,
    run: Callable[[PythonStep, AttemptContext], Ended],
) -> Ended:
    """Run a Python step, and then the cleanup of its type, whatever the end of the step code.

    Args:
        step: The step.
        attempt: The context of the attempt.
        run: Runs a step to the end of its step code.
    """
    from pytest_orchestrator.execution.steps import custom

    cleanup = custom.cleanup_of(step)
    if cleanup is None:
        return run(step, attempt)
    # A service has no timeout, but its cleanup has one.
    within = msgspec.structs.replace(attempt, has_timeout=True, resources=None)
    try:
        ended = run(step, attempt)
    except BaseException:  # Ctrl-C, or the end of the session
        failure = run(cleanup, within).failure
        if failure is not None:
            # pytest visits each logger in each phase of each test, so none is made at import.
            logger = logging.getLogger("pytest_orchestrator")
            logger.warning("step '%s': %s", step.name, custom.cleanup_reason(step, failure))
        raise
    return custom.after_cleanup(step, ended, run(cleanup, within).failure)


@contextmanager
def _environment(step: PythonStep, attempt: AttemptContext) -> Iterator[None]:
    """Set the variables of a step in this process, as under ``--pdb``, and remove them afterwards.

    Modules that were imported before keep the values that they have read. A step that always runs
    inline has no variables, because the loader refuses them.
    """
    before = dict(os.environ)
    variables = environment_of(step.env, before)
    attempt.config.secrets.add_environment(variables)
    try:
        _set_environment(variables)
        yield
    finally:
        _set_environment(before)


def _set_environment(variables: Mapping[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


@lru_cache(maxsize=64)  # the same for all steps of a recipe
def _relative(recipe: str, root: Path) -> str:
    return os.path.relpath(recipe, root)


def expression_limit(
    step: Step, attempt: AttemptContext, seconds: float | None, begun: float | None = None
) -> AbstractContextManager[None]:
    """Limit the time of the expressions of a step that pytest evaluates in a ``with`` block.

    An expression ends between two calls. If one call does not return, the watchdog ends pytest.

    Args:
        step: The step.
        attempt: The context of the attempt.
        seconds: The time limit; None sets no limit.
        begun: Start of the time on the clock ``time.monotonic``; None is the current time.
    """
    guard = partial(_guarded, step, attempt, seconds)
    return time_limit(seconds, begun=begun, guard=guard)


def _guarded(
    step: Step, attempt: AttemptContext, seconds: float | None, left: float | None = None
) -> AbstractContextManager[None]:
    """Return a context manager that ends pytest if a thread of it ignores a timeout.

    Args:
        step: The step.
        attempt: The context of the attempt.
        seconds: The timeout of the step; None has no end.
        left: The seconds of it that are left; None for all.
    """
    watchdog = attempt.config.watchdog
    if watchdog is None or seconds is None or attempt.config.folder is None:
        return nullcontext()
    place = step.at["timeout" if "timeout" in step.at else "name"]
    reason = f"timeout: still running after {seconds:g} s; pytest had to be ended for it"
    path = (
        step.file_use.source.id if step.file_use else _relative(attempt.recipe, attempt.config.root)
    )
    position = (path, str(place.line), str(place.column))
    message = f"orchestrator: {':'.join(position)}: step '{step.name}': {reason}"
    arguments = (str(attempt.config.folder), step.name, reason, *position)
    return watchdog.over(seconds if left is None else left, message, arguments)


@contextmanager
def _with_context_access(
    attempt: AttemptContext, step: str, own: Context
) -> Iterator[AttemptContext]:
    """Give the programs of a step access to the Context while a ``with`` block runs.

    Args:
        attempt: The context of the attempt.
        step: The name of the step.
        own: The step's own handle to the Context.

    Yields:
        The context of the attempt, with the environment variables for that access; without them
        if no Context server exists.
    """
    access = attempt.config.context_access
    if access is None:
        yield attempt
        return
    variables = access.open(step, own)
    try:
        yield msgspec.structs.replace(attempt, context_variables=variables)
    finally:
        access.close(variables)


def apart(step: Step, own: Context, attempt: AttemptContext) -> Ended:
    """Run the step code of a step in a separate process on this machine."""
    with _with_context_access(attempt, step.name, own) as within:
        match step:
            case CodeStep():
                from pytest_orchestrator.execution.steps import custom, python_process

                return _with_cleanup(
                    custom.called(step, within),
                    within,
                    lambda called, each: python_process.run(called, own, each),
                )
            case ShellStep():
                return shell.run(step, within)
            case InstrumentQuery():
                from pytest_orchestrator.execution.instruments import use

                return use.sample(step, within.instruments)
            case _:
                raise TypeError(f"no step code is known for {type(step).__name__}")


def process_of(step: Step, attempt: AttemptContext) -> Process:
    """Return the `Process` record of a step whose program has not started."""
    match step:
        case CodeStep():
            from pytest_orchestrator.execution.steps import custom, python_process

            return python_process.process_of(custom.called(step, attempt))
        case ShellStep():
            return shell.process_of(step, attempt)
        case _:
            raise TypeError(f"no process is known for {type(step).__name__}")
