"""The body of a Python step that runs inside this process."""

import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from os import _exit, getpid
from types import ModuleType
from typing import Self

from pytest_orchestrator.core import missing, values
from pytest_orchestrator.core.calling import SignatureError, ValidationFailed, call
from pytest_orchestrator.core.context_like import ContextLike
from pytest_orchestrator.core.heap import Heap
from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.core.result import Ended, Failure
from pytest_orchestrator.execution import custom, frames, status
from pytest_orchestrator.execution.deadline import TimeLimitReached, deadline
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.printable import one_line
from pytest_orchestrator.execution.usage import Own
from pytest_orchestrator.recipe.step_types import PythonStep


def run(
    step: PythonStep, context: ContextLike, env: Environment, fixtures: Mapping[str, object]
) -> Ended:
    """Call what a step names.

    Args:
        step: The step.
        context: The step's own handle on the Context.
        env: The surroundings of the run.
        fixtures: Values that are passed by keyword where the callable takes them.

    Returns:
        How it ended; only what the surroundings let through comes out as an exception.
    """
    with OneProcess() as copy:
        ended = copy.ended = _run(step, context, env, fixtures)
    return ended


def _run(
    step: PythonStep, context: ContextLike, env: Environment, fixtures: Mapping[str, object]
) -> Ended:
    heap = Heap() if step.heap else None
    own = Own(heap, io=not env.watched)
    try:
        with deadline(env.seconds_for(step.timeout)):
            with OneProcess():  # else what forks while it is imported would run twice
                target = _target(step, env)
            if isinstance(target, Failure):
                return Ended(usage=own.usage(), failure=target)
            with contextlib.chdir(env.root), _traced(heap) if heap else contextlib.nullcontext():
                if step.brought:
                    given = custom.performed(target, step, step.brought, context, env, fixtures)
                else:
                    given = call(target, context, values.unshared(step.params), fixtures)
    except env.skips as skipped:
        return Ended(usage=own.usage(), skipped=str(skipped) or "skipped by the step")
    except KeyboardInterrupt:
        raise
    except env.passes_through:
        raise
    except BaseException as error:
        return Ended(usage=own.usage(), failure=_raised(step, error, env))
    return _judged(given, own, step, env)


class OneProcess:
    """Let a process that code of a step has forked end where it leaves that code.

    It is a copy of this one: else it would go on and report, clean up and run what comes next,
    beside the process that was started for that. It ends as a program whose main function the
    code is: with 0 where that returned, with the code of ``sys.exit``, and with 1 and a
    traceback where it raised. Functions of ``atexit`` are those of the other process.

    Attributes:
        ended: How the code of a step ended, which then raises nothing itself.
    """

    def __init__(self) -> None:
        self.ended: Ended | None = None
        self._pid = getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, raised: BaseException | None, __: object) -> None:
        if getpid() == self._pid:
            return
        code = 1
        try:
            failure = self.ended.failure if self.ended is not None else None
            error = failure.exception if failure is not None else raised
            code = 0 if error is None and failure is None else 1
            if isinstance(error, SystemExit):
                code = error.code if isinstance(error.code, int) else int(error.code is not None)
            elif error is not None:
                traceback.print_exception(error)
        finally:
            _exit(code & 0xFF)


@contextlib.contextmanager
def _traced(heap: Heap) -> Iterator[None]:
    heap.start()
    try:
        yield
    finally:
        heap.stop()


def _judged(given: object, own: Own, step: PythonStep, env: Environment) -> Ended:
    usage = own.usage()
    name = step.function or f"{step.class_}.run"
    strange = _strange(given, name)
    if strange is not None:
        return Ended(usage=usage, failure=strange)
    try:
        value = values.copied(given, "result")
    except values.NotJson as error:
        return Ended(usage=usage, failure=Failure(kind="protocol", reason=f"{name}: {error}"))
    size = len(values.encode(value))
    if size > env.capacity:
        reason = f"what {name} returned is above {env.capacity >> 20} MiB; a result is smaller"
        return Ended(usage=usage, failure=Failure(kind="protocol", reason=reason))
    failure = status.failure_of(value, f"what {name} returned")
    skipped = None if failure else status.skip_of(value)
    return Ended(usage=usage, failure=failure, skipped=skipped, value=value)


def _strange(given: object, name: str) -> Failure | None:
    """Say what to return where a callable gave none of that."""
    if type(given) is dict:
        return None
    cure = 'return a mapping with a status, such as {"status": "ok"}'
    if inspect.iscoroutine(given):
        given.close()
        return Failure(kind="protocol", reason=f"{name} is an async function; {cure} without await")
    if inspect.isgenerator(given):
        return Failure(kind="protocol", reason=f"{name} is a generator, it yields; {cure}")
    if not isinstance(given, Mapping):
        return Failure(kind="protocol", reason=f"{name} returned {status.kind_of(given)}; {cure}")
    return None


def _target(step: PythonStep, env: Environment) -> object:
    """Import the module of a step and find its class or function there."""
    root = str(env.root)
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        module = _imported(step, env)
    except (Exception, SystemExit) as error:
        return _not_imported(step, error, env)
    kind, name = ("class", step.class_) if step.class_ else ("function", step.function)
    found = getattr(module, str(name), None)
    if found is None:
        near = nearest(str(name), _public(module, want_class=kind == "class"))
        return Failure(
            kind="not_found",
            reason=f"module '{step.module}' has no {kind} '{name}'{near}",
            place=step.at[kind],
        )
    return found


def _imported(step: PythonStep, env: Environment) -> ModuleType:
    def imported() -> ModuleType:
        if step.module not in sys.modules:
            env.before_import(step.module)
        return importlib.import_module(step.module)

    return imported() if step.brought is None else custom.module_of(step, step.brought, imported)


def _public(module: object, *, want_class: bool) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) == want_class and callable(value) and not name.startswith("_")
    ]


def _not_imported(step: PythonStep, error: BaseException, env: Environment) -> Failure:
    place = step.at["module"]
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if name is not None and f"{step.module}.".startswith(f"{name}."):
        near = missing.module(step.module, env.root)
        return Failure(kind="not_found", reason=f"no module '{step.module}'{near}", place=place)
    return Failure(
        kind="not_found",
        reason=f"module '{step.module}' cannot be imported: {summary(error)}",
        place=place,
        exception=frames.users(error),
    )


def _raised(step: PythonStep, error: BaseException, env: Environment) -> Failure:
    if isinstance(error, TimeLimitReached):
        reason = f"timeout: still running after {env.seconds_for(step.timeout):g} s"
        error.args = (reason,)
        return Failure(
            kind="timeout",
            reason=reason,
            place=step.at.get("timeout"),
            exception=frames.users(error),
        )
    if isinstance(error, SignatureError):
        return Failure(kind="exception", reason=str(error), place=step.at["module"])
    if isinstance(error, ValidationFailed):
        cause = error.__cause__
        return Failure(
            kind="validation",
            reason=str(error),
            exception=frames.users(cause) if cause is not None else None,
        )
    if isinstance(error, SystemExit):
        reason = f"sys.exit({'' if error.code is None else repr(error.code)}) was called"
        error.add_note(f"{reason}: a step ends by returning a mapping with a status")
        return Failure(kind="exception", reason=reason, exception=frames.users(error))
    return Failure(kind="exception", reason=summary(error), exception=frames.users(error))


def summary(error: BaseException) -> str:
    """Return an exception as one line: its kind and the first line of its text."""
    try:
        first = one_line(str(error).strip().partition("\n")[0])
    except Exception:
        first = "its text cannot be had"
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
