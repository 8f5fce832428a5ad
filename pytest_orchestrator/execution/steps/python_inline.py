"""Python step inside pytest: call, deadline, usage of this process.

At the deadline the stacks of all threads are written to stderr, and a signal interrupts the main
thread. If the step code ignores the interrupt, the watchdog kills the process.
"""

import contextlib
import importlib
import inspect
import os
import sys
import threading
import time
import traceback

# `signal.signal` converts its arguments and its result to enums, which takes as long as a call.
from _signal import ITIMER_REAL, SIGALRM, setitimer  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Iterator, Mapping
from operator import sub
from os import _exit, getpid
from resource import (
    RLIM_INFINITY,
    RLIMIT_NOFILE,
    RLIMIT_NPROC,
    RUSAGE_CHILDREN,
    RUSAGE_SELF,
    getrlimit,
    getrusage,
)
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Final, Self, cast

from msgspec import UNSET

from pytest_orchestrator.context.context import ContextLike
from pytest_orchestrator.core import json_values, suggestions
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.location import Place, key_path_text
from pytest_orchestrator.core.questions import NoAnswer
from pytest_orchestrator.core.result import Ended, Failure, Kind, Resources, known
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import clipped, one_line
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.steps import custom
from pytest_orchestrator.execution.supervision import os_support
from pytest_orchestrator.extending import StepFailure
from pytest_orchestrator.recipe.model.step import PythonStep
from pytest_orchestrator.scriptlets.call import (
    ParameterError,
    SignatureError,
    ValidationFailed,
    call,
)
from pytest_orchestrator.scriptlets.tracking import Heap

if TYPE_CHECKING:
    from pytest_orchestrator.instrument import Instrument, InstrumentError

_LINUX = sys.platform == "linux"
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAX_EXIT_CODE = 300  # characters
_KINDS: Final[Mapping[str, Kind]] = {"protocol": "protocol", "missing": "not_found"}
"""Kinds of failures by kinds of `InstrumentError`; the others are of kind ``status``."""


_SOURCE: Final = {"cpu": "times of this process", "memory": "growth of this process"}
_SOURCE_WITH_IO: Final = {**_SOURCE, "io": "getrusage"}


class ProcessUsage:
    """Meter of the resource usage of this process, for a step that runs inside pytest.

    Args:
        heap: Measures the Python heap; None if the step has no `heap`.
        io: True to measure the bytes read from storage and written to it.
    """

    def __init__(self, heap: Heap | None = None, *, io: bool = True) -> None:
        self._heap = heap
        self._rss = resident()
        self._io = io
        self._before = _counters()
        self._started = time.perf_counter()

    def usage(self) -> Resources:
        """Return the usage of this process since this object was created."""
        seconds = time.perf_counter() - self._started
        user, system, read, written = map(sub, _counters(), self._before)
        io = self._io and os_support.KEEPS_IO
        source = _SOURCE_WITH_IO if io else _SOURCE
        return Resources(
            seconds=seconds,
            cpu_user_seconds=user,
            cpu_system_seconds=system,
            rss_delta=resident() - self._rss,
            heap_current=known(self._heap.current) if self._heap else UNSET,
            heap_peak=known(self._heap.peak) if self._heap else UNSET,
            read_bytes=int(read) if io else UNSET,
            write_bytes=int(written) if io else UNSET,
            source=source | {"heap": "tracemalloc"} if self._heap else source,
        )


def _counters() -> tuple[float, float, float, float]:
    """Return CPU seconds in user mode and in the kernel, bytes read and bytes written.

    They include the children that this process has reaped.
    """
    own, children = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
    return (
        own.ru_utime + children.ru_utime,
        own.ru_stime + children.ru_stime,
        (own.ru_inblock + children.ru_inblock) * os_support.BLOCK,
        (own.ru_oublock + children.ru_oublock) * os_support.BLOCK,
    )


def resident(pid: int | None = None) -> int:
    """Return the resident memory of a process in bytes; 0 if the process has ended."""
    if _LINUX:
        # Read twice in each Python step; takes a tenth of the time of psutil.
        fields = os_support.contents(f"/proc/{pid or 'self'}/statm").split()
        return int(fields[1]) * _PAGE if fields else 0
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


_PER_STEP = {"ulimit -n": 6, "ulimit -u": 4}
"""Most open files, and most processes and threads, that each parallel step needs."""
_FAR = 4096
_RESERVED = 40
"""Open files, and processes and threads, that are reserved for everything but steps."""


def room(wanted: int) -> tuple[int, str]:
    """Return the number of steps that system limits allow at the same time, and the deciding limit.

    Args:
        wanted: The number of steps that are to run; a limit far above their needs is ignored.

    Returns:
        The number and the name of the limit; ``sys.maxsize`` and an empty name without a limit.
    """
    steps = {}
    for name, limit, used in (
        ("ulimit -n", RLIMIT_NOFILE, open_files),
        ("ulimit -u", RLIMIT_NPROC, processes),
    ):
        most = getrlimit(limit)[0]
        is_far = most == RLIM_INFINITY or most > _FAR + wanted * _PER_STEP[name]
        if not is_far and (limit != RLIMIT_NPROC or os.geteuid() != 0):  # does not limit root
            steps[name] = (most - used() - _RESERVED) // _PER_STEP[name]
    least = min(steps, key=lambda name: steps[name], default="")
    return (steps[least], least) if least else (sys.maxsize, "")


def open_files() -> int:
    """Return the number of open files of this process; 0 if the number is unknown."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0


def processes() -> int:
    """Return how many processes and threads the user has, in total; 0 if that is unknown."""
    own, count = os.getuid(), 0
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return 0
    for pid in pids:
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == own:
                count += len(os.listdir(f"/proc/{pid}/task"))
    return count


def run(
    step: PythonStep, context: ContextLike, attempt: AttemptContext, fixtures: Mapping[str, object]
) -> Ended:
    """Call the function or class of a Python step, and evaluate the returned value.

    Args:
        step: The step.
        context: The step's own handle to the Context.
        attempt: The context of the attempt.
        fixtures: Values that are passed by keyword if the callable has such parameters.

    Returns:
        The end of the step code. Only KeyboardInterrupt and `RunConfig.exit_exceptions` are
        raised.
    """
    with OneProcess() as copy:
        ended = copy.ended = _run(step, context, attempt, fixtures)
    return ended


def _run(
    step: PythonStep, context: ContextLike, attempt: AttemptContext, fixtures: Mapping[str, object]
) -> Ended:
    heap = Heap() if step.heap else None
    own = ProcessUsage(heap, io=not attempt.config.lane_measures_io)
    seconds = attempt.seconds_for(step.timeout)
    try:
        with contextlib.nullcontext() if seconds is None else deadline(seconds):
            with OneProcess():  # if the import of the module forks, the fork must not run the step
                target = _target(step, attempt)
            if isinstance(target, Failure):
                return Ended(usage=own.usage(), failure=target)
            root = attempt.config.root
            folder = root / step.cwd if step.cwd else root
            with (
                contextlib.chdir(folder),
                _traced(heap) if heap else contextlib.nullcontext(),
            ):
                if step.plugin_data:
                    returned = custom.run_class(
                        target, step, step.plugin_data, context, attempt, fixtures
                    )
                else:
                    params = json_values.deep_copy(step.params)
                    returned = call(target, context, params, fixtures, attempt.opener or _no_opener)
    except attempt.config.skip_exceptions as skipped:
        reason = clipped(str(skipped)) or "skipped by the step"
        return Ended(usage=own.usage(), skipped=reason)
    except KeyboardInterrupt:
        raise
    except attempt.config.exit_exceptions:
        raise
    except BaseException as error:
        return Ended(usage=own.usage(), failure=_raised(step, error, attempt))
    return _evaluated(returned, own, step, attempt)


class OneProcess:
    """Context manager that ends a fork of this process when the fork leaves the step code.

    A fork is a copy of this process. Without this context it would continue after the step code: it
    would send a report, clean up and run the next steps a second time. The fork ends like a program
    whose main function is the step code: with 0 after a return, with the code of ``sys.exit``, and
    with 1 and a traceback after an exception. The fork runs no functions of ``atexit``, which
    belong to the original process.

    Attributes:
        ended: The end of the step code, which decides a fork's exit code; None if the ``with``
            block did not set it.
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


def _evaluated(
    returned: object, own: ProcessUsage, step: PythonStep, attempt: AttemptContext
) -> Ended:
    usage = own.usage()
    name = step.function or f"{step.class_}.run"
    if step.is_sampler and not isinstance(returned, Mapping):
        returned = {"status": "ok", "value": returned}
    invalid = _invalid_return(returned, name)
    if invalid is not None:
        return Ended(usage=usage, failure=invalid)
    try:
        value = json_values.json_copy(returned, "result")
    except json_values.NotJson as error:
        return Ended(usage=usage, failure=Failure(kind="protocol", reason=f"{name}: {error}"))
    size = len(json_values.encode(value))
    if size > attempt.config.max_result:
        limit = attempt.config.max_result >> 20
        reason = f"what {name} returned is above {limit} MiB; a result is smaller"
        return Ended(usage=usage, failure=Failure(kind="protocol", reason=reason))
    failure = outcome.failure_of(value, f"what {name} returned")
    skipped = None if failure else outcome.skip_of(value)
    exact = json_values.exact_text(returned)
    value = outcome.with_clipped_reason(value)
    return Ended(usage=usage, failure=failure, skipped=skipped, value=value, exact=exact)


def _no_opener(name: str) -> "Instrument":
    from pytest_orchestrator.instrument import InstrumentError

    reason = f"{name}: instruments cannot be used here"
    raise InstrumentError(reason, instrument=name, kind="refused")


def _invalid_return(returned: object, name: str) -> Failure | None:
    """Return the failure of a callable that returned no mapping; None if it returned one."""
    if type(returned) is dict:
        return None
    cure = 'return a mapping with a status, such as {"status": "ok"}'
    if inspect.iscoroutine(returned):
        returned.close()
        return Failure(kind="protocol", reason=f"{name} is an async function; {cure} without await")
    if inspect.isgenerator(returned):
        return Failure(kind="protocol", reason=f"{name} is a generator, it yields; {cure}")
    if not isinstance(returned, Mapping):
        reason = f"{name} returned {outcome.kind_of(returned)}; {cure}"
        return Failure(kind="protocol", reason=reason)
    return None


def _target(step: PythonStep, attempt: AttemptContext) -> object:
    """Import the module of a step; return its class or function, or the failure."""
    root = str(attempt.config.root)
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        module = _imported(step, attempt)
    except (Exception, SystemExit) as error:
        return _not_imported(step, error, attempt)
    kind, name = ("class", step.class_) if step.class_ else ("function", step.function)
    target = getattr(module, str(name), None)
    if target is None:
        near = nearest(str(name), _public(module, want_class=kind == "class"))
        return Failure(
            kind="not_found",
            reason=f"module '{step.module}' has no {kind} '{name}'{near}",
            place=step.at[kind],
        )
    return target


def _imported(step: PythonStep, attempt: AttemptContext) -> ModuleType:
    def imported() -> ModuleType:
        module = sys.modules.get(step.module)
        if module is not None:
            return module
        attempt.callbacks.before_import(step.module)
        return importlib.import_module(step.module)

    return (
        imported()
        if step.plugin_data is None
        else custom.module_of(step, step.plugin_data, imported)
    )


def _public(module: object, *, want_class: bool) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) == want_class and callable(value) and not name.startswith("_")
    ]


def _not_imported(step: PythonStep, error: BaseException, attempt: AttemptContext) -> Failure:
    place = step.at["module"]
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if name is not None and f"{step.module}.".startswith(f"{name}."):
        near = suggestions.module_hint(step.module, attempt.config.root)
        return Failure(kind="not_found", reason=f"no module '{step.module}'{near}", place=place)
    return Failure(
        kind="not_found",
        reason=f"module '{step.module}' cannot be imported: {summary(error)}",
        place=place,
        exception=outcome.user_frames(error),
    )


def _raised(step: PythonStep, error: BaseException, attempt: AttemptContext) -> Failure:
    if isinstance(error, TimeLimitReached):
        reason = f"timeout: still running after {attempt.seconds_for(step.timeout):g} s"
        error.args = (reason,)
        return Failure(
            kind="timeout",
            reason=reason,
            place=step.at.get("timeout"),
            exception=outcome.user_frames(error),
        )
    if isinstance(error, ParameterError):
        named = step.at.get("class") or step.at.get("function")
        place = step.at.get(f"params.{error.key}") or step.at.get("params", named)
        return Failure(kind="validation", reason=str(error), place=place)
    if isinstance(error, StepFailure):
        reason = one_line(str(error)) or "no reason given"
        return Failure(kind=error.kind, reason=reason, place=_place_of(error, step))
    if isinstance(error, SignatureError):
        return Failure(kind="exception", reason=str(error), place=step.at["module"])
    if isinstance(error, ValidationFailed):
        cause = error.__cause__
        return Failure(
            kind="validation",
            reason=str(error),
            exception=outcome.user_frames(cause) if cause is not None else None,
        )
    if isinstance(error, NoAnswer):
        return Failure(kind="not_found", reason=str(error), place=step.at["class"])
    if isinstance(error, OrchestratorError) and error.slug == "instrument":
        kind = _KINDS.get(cast("InstrumentError", error).kind, "status")
        shown = None if step.plugin_data else outcome.user_frames(error)
        return Failure(kind=kind, reason=one_line(str(error)), exception=shown)
    if isinstance(error, SystemExit):
        code = "" if error.code is None else clipped(repr(error.code), _MAX_EXIT_CODE)
        reason = f"sys.exit({code}) was called"
        error.add_note(f"{reason}: a step ends by returning a mapping with a status")
        return Failure(kind="exception", reason=reason, exception=outcome.user_frames(error))
    return Failure(kind="exception", reason=summary(error), exception=outcome.user_frames(error))


def _place_of(failure: StepFailure, step: PythonStep) -> Place | None:
    """Return the place of the value that a failure is about, or of the innermost one around it."""
    parts = range(len(failure.path), 0, -1)
    known = (step.at.get(key_path_text(failure.path[:length])) for length in parts)
    return next((place for place in known if place is not None), None)


def summary(error: BaseException) -> str:
    """Return an exception as one line: its kind and the first line of its text."""
    try:
        first = one_line(clipped(str(error)).strip().partition("\n")[0])
    except Exception:
        first = "its text cannot be had"
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


class TimeLimitReached(BaseException):
    """Exception in the main thread at the deadline; as a BaseException, rarely caught."""

    __module__ = "pytest_orchestrator"


_SIGNAL_INTERVAL: Final = 0.1
"""Seconds from one signal of a deadline to the next, until `deadline` has handled one.

Python handles a signal between two instructions. A signal that arrives after the last of them and
before the system call of a wait interrupts neither, and the next one ends the wait.
"""


@contextlib.contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Interrupt a ``with`` block after ``seconds``; do nothing outside the main thread.

    Args:
        seconds: The seconds until the deadline; None for no deadline.

    Raises:
        TimeLimitReached: In the block at the deadline, and again after the block if it caught it.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    expired = False

    def on_alarm(_number: int, frame: FrameType | None) -> None:
        nonlocal expired
        setitimer(ITIMER_REAL, 0)
        expired = True
        _print_stacks(frame)
        raise TimeLimitReached

    started = time.monotonic()
    before = set_handler(SIGALRM, on_alarm)
    others, _ = setitimer(ITIMER_REAL, seconds, _SIGNAL_INTERVAL)
    try:
        yield
    except (Exception, SystemExit) as error:
        if expired:
            raise TimeLimitReached from error
        raise
    finally:
        setitimer(ITIMER_REAL, 0)
        set_handler(SIGALRM, before)
        if others:
            # Other users of the timer, such as pytest-timeout, keep their deadline.
            left = others - (time.monotonic() - started)
            setitimer(ITIMER_REAL, max(left, 0.001))
    if expired:
        raise TimeLimitReached


def _print_stacks(interrupted: FrameType | None) -> None:
    """Print the stacks of the main thread (this one) and of other threads that run user code.

    faulthandler is not used: it prints at most a hundred threads, and leaves out the oldest.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    others = sys._current_frames()  # noqa: SLF001
    here = threading.get_ident()
    del others[here]
    for ident, frame in ((here, interrupted), *others.items()):
        lines = outcome.user_stack(frame, called=ident == here)
        if ident == here:
            lines = lines or traceback.format_stack(frame)
        if lines:
            sys.stderr.write(f"\nThread {names.get(ident, ident)} (most recent call last):\n")
            sys.stderr.writelines(lines)
