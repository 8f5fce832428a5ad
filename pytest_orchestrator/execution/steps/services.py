"""Background services: start, wait for readiness, stop."""

import contextlib
import math
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.core.result import Ended, Failure, Process, StepResult, lasted
from pytest_orchestrator.execution.attempt_context import RECORDS, AttemptContext
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.lanes.messages import LaneLost, Output, output_so_far, stream
from pytest_orchestrator.execution.steps.artifacts import masked_afterwards
from pytest_orchestrator.recipe.model.graph import needed_steps
from pytest_orchestrator.recipe.model.options import Ready
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import CodeStep, Step

StepCode = Callable[[AttemptContext], Ended]
Complete = Callable[[StepResult], StepResult]

_MIN_LIFETIME = 0.1  # seconds after which a service without a readiness probe is ready
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05  # seconds
_LANE_TIMEOUT = 4.0  # seconds; a lane that responds ends its program within two
_TAIL_LINES = 10
_MAX_LATE_EVENTS = 1000


class Service:
    """Background service of one step, from its start to its end.

    Args:
        step: The step.
        attempt: The context of the attempt.
        step_code: Runs the program of the service to its end.
        process: The record of the program before its start.

    Attributes:
        step: The step.
        ended: The end of the program, with its figures; None while it runs.
        complete: Function that completes the result of the step after the end of the program.
        late_events: The last log records and warnings since the service was ready.
    """

    def __init__(
        self, step: Step, attempt: AttemptContext, step_code: StepCode, process: Process
    ) -> None:
        self.step = step
        self.ended: Ended | None = None
        self.complete: Complete = lambda result: result
        self._slot = attempt.required_slot.new_slot()
        self._lane = self._slot.python if isinstance(step, CodeStep) else self._slot.shell
        self.late_events: deque[dict[str, Any]] = deque(maxlen=_MAX_LATE_EVENTS)
        self._early_events: list[dict[str, Any]] = []
        self._is_starting = True
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if attempt.logs is None:
            self._folder = tempfile.TemporaryDirectory(prefix="orchestrator-")
            attempt = msgspec.structs.replace(attempt, logs=Path(self._folder.name))
        self._outer = attempt
        self._attempt = msgspec.structs.replace(
            attempt,
            slot=self._slot,
            has_timeout=False,
            event_sink=self._add_event,
            environ=attempt.variables(),
        )
        self._logs = [Path(str(attempt.log(step.name, name))) for name in ("stdout", "stderr")]
        for log in (*self._logs, Path(str(attempt.log(step.name, RECORDS)))):
            log.unlink(missing_ok=True)  # the log of an earlier attempt
        from pytest_orchestrator.execution.steps.readiness import ReadinessProbe

        self._ready = ReadinessProbe(
            step.ready or Ready(), attempt.config.root, self._logs[0], self._matches, self._left
        )
        self._step_code = step_code
        self._process = process
        self._monotonic_start: float | None = None
        self._alive_since: float | None = None
        self._lane.on_start = self._note_start
        self._began = 0.0
        self._stopping = False
        self._error: BaseException | None = None
        self._end_event = InterruptibleEvent()
        name = f"recipe service {step.name}"
        self._thread = threading.Thread(target=self._run_if_claimed, name=name, daemon=True)
        self._claims: dict[str, int] = {}

    @property
    def death(self) -> Failure | None:
        """The failure of a service that died by itself; None if it runs, passed or was stopped."""
        failure = self.ended.failure if self.ended is not None else None
        expected = ("interrupted", "crash") if self._stopping else ("interrupted",)
        return None if failure is None or failure.kind in expected else failure

    def start(self) -> Ended:
        """Start the service; wait until it is ready, has ended, or exceeds its time for readiness.

        Returns:
            The end of the service's step; while the service runs, with its output and usage so far.
        """
        pause = _FIRST_PAUSE
        try:
            self._thread.start()
            while True:
                has_ended = self._end_event.is_set()
                unmet = self._unmet()
                if self._error is not None:
                    raise self._error  # noqa: TRY301 - as if the step code had run in this thread
                if has_ended:
                    return self._ended_early(unmet)
                if not unmet:
                    return self._running()
                if self._left() < 0:
                    return self._timed_out(unmet)
                self._end_event.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        except BaseException:
            self.stop()
            raise
        finally:
            self._is_starting = False
            self._outer.required_slot.detach(self._slot)
            for event in self._early_events:
                self._outer.pass_event(event)

    def stop(self) -> None:
        """End the service if it runs, and wait for its end.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile, which cut the grace period short.
        """
        interrupt: BaseException | None = None
        started, pause = time.monotonic(), _FIRST_PAUSE
        while not self._end_event.is_set():
            try:
                self._stopping = True
                if self._claim():  # the thread has not begun, and it will not run the program
                    self._end_without_start()
                    break
                self._lane.cancel(at_once=interrupt is not None)
                if time.monotonic() - started > _LANE_TIMEOUT:
                    self._lane.end()
                self._end_event.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except KeyboardInterrupt as again:
                interrupt = again
        if interrupt is not None:
            raise interrupt

    def tail(self) -> tuple[str, ...]:
        """Return the last lines of the service's stderr, or of its stdout if stderr is empty."""
        for name, output in zip(("stderr", "stdout"), reversed(self._outputs()), strict=True):
            lines = stream(output).text.rstrip().splitlines()
            if lines:
                return (f"its {name} ends with:", *(f"  {line}" for line in lines[-_TAIL_LINES:]))
        return ("it printed nothing",)

    def _claim(self) -> bool:
        """Return True if the calling thread is the first that calls this.

        Ctrl-C may interrupt the start of a thread that runs nevertheless, and may prevent it. So
        whichever comes first decides whether the program is started: the thread or `stop`.
        """
        return self._claims.setdefault("by", threading.get_ident()) == threading.get_ident()

    def _run_if_claimed(self) -> None:
        if self._claim():
            self._run_to_end()

    def _end_without_start(self) -> None:
        failure = Failure(kind="interrupted", reason="it was ended before its start")
        self.ended = Ended(failure=failure)
        self._close()

    def _close(self) -> None:
        self._slot.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._end_event.set()

    def _run_to_end(self) -> None:
        try:
            if self._lane is self._slot.python:
                with contextlib.suppress(LaneLost, OSError):  # the step code reports the error
                    self._slot.python.prepare()
            self._monotonic_start, self._began = time.monotonic(), time.time()
            with masked_afterwards(self.step, self._attempt):
                self.ended = self._step_code(self._attempt)
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            self._error = error
            failure = Failure(kind="crash", reason=f"{type(error).__name__}: {error}")
            self.ended = Ended(usage=lasted(self._seconds()), failure=failure)
        finally:
            self._close()

    def _add_event(self, event: dict[str, Any]) -> None:
        """Store a log record or warning, separately for the time before and after readiness."""
        (self._early_events if self._is_starting else self.late_events).append(event)

    def _seconds(self) -> float:
        return 0.0 if self._monotonic_start is None else time.monotonic() - self._monotonic_start

    def _unmet(self) -> list[str]:
        if self._monotonic_start is None:
            return ["it has not been started"]
        if self.step.ready is None:
            since = self._alive_since
            if since is None or time.monotonic() - since < _MIN_LIFETIME:
                return [f"it has to live for {_MIN_LIFETIME * 1000:g} ms"]
        return self._ready.unmet()

    def _note_start(self) -> None:
        """Note that the program runs: on a loaded machine, long after its lane was asked for it."""
        self._alive_since = time.monotonic()

    def _matches(self, pattern: str, text: str) -> bool:
        """Search a pattern in ``text`` within the time for readiness; return False at a timeout."""
        from pytest_orchestrator.execution.lanes.pattern_search import (
            Searches,
            SearchInterrupted,
            SearchTimeout,
        )
        from pytest_orchestrator.execution.text_search import bytes_of

        searches = Searches(self._outer.slot, self._limit(), spent=self._seconds())
        source = bytes_of(text.encode(), name="stdout")
        try:
            return bool(searches.first(pattern, source, "ready.stdout_matches"))
        except (SearchTimeout, SearchInterrupted):
            return False

    def _limit(self) -> float | None:
        return self._outer.seconds_for((self.step.ready or Ready()).timeout)

    def _left(self) -> float:
        """Return the seconds that are left for readiness; infinity without a limit."""
        limit = self._limit()
        return math.inf if limit is None else limit - self._seconds()

    def _running(self) -> Ended:
        out, err = (stream(output) for output in self._outputs())
        shown = self._outer.live is not None
        process = msgspec.structs.replace(self._process, stdout=out, stderr=err, shown=shown)
        usage = lasted(self._seconds())
        log = self._outer.records_so_far(self.step.name)
        return Ended(
            usage=usage, value={"status": "ok"}, process=process, log=log, began=self._began
        )

    def _ended_early(self, unmet: list[str]) -> Ended:
        assert self.ended is not None  # noqa: S101
        failure = self.ended.failure
        if (failure is None and not unmet) or self.ended.skipped is not None:
            return self.ended
        if failure is None:
            failure = Failure(kind="crash", reason=_exit_text(self.ended), detail=self.tail())
        elif failure.kind == "interrupted":
            return self.ended
        reason = f"{failure.reason}, before the service was ready"
        if unmet:
            reason = f"{reason}: {'; '.join(unmet)}"
        return msgspec.structs.replace(
            self.ended, failure=msgspec.structs.replace(failure, reason=reason)
        )

    def _timed_out(self, unmet: list[str]) -> Ended:
        limit = self._limit()
        tail = self.tail()
        self.stop()
        assert self.ended is not None  # noqa: S101
        failure = Failure(
            kind="timeout",
            reason=f"not ready after {limit:g} s: {'; '.join(unmet)}",
            place=self.step.at.get("ready"),
            detail=tail,
        )
        return msgspec.structs.replace(self.ended, failure=failure)

    def _outputs(self) -> list[Output]:
        return [output_so_far(log) for log in self._logs]


def _exit_text(ended: Ended) -> str:
    """Describe the exit of a service that ended without failure before it was ready."""
    process = ended.process
    if process is None:
        return "it ended"
    left = f", and what it left running was ended: {', '.join(process.leftovers)}"
    return f"it ended with exit code {process.exit_code}{left if process.leftovers else ''}"


class Services:
    """Background services of a recipe.

    Args:
        recipe: The recipe.

    Attributes:
        heard: Log records and warnings that ended services sent after they were ready, by step.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.heard: dict[str, list[dict[str, Any]]] = {}
        self._services: dict[str, Service] = {}

    def started(
        self, step: Step, attempt: AttemptContext, step_code: StepCode, process: Process
    ) -> Ended:
        """Start the service of a step, and wait until it is ready.

        Args:
            step: The step.
            attempt: The context of the attempt.
            step_code: Runs the program of the service to its end.
            process: The record of the program before its start.

        Returns:
            The end of the step. The service keeps running if the step has succeeded.
        """
        self.ended(step.name)  # the service of an earlier attempt
        service = self._services[step.name] = Service(step, attempt, step_code, process)
        try:
            ended = service.start()
            if ended.failure is not None or ended.skipped is not None:
                self._services.pop(step.name, None)
        except BaseException:
            try:
                service.stop()
            finally:
                self._services.pop(step.name, None)
            raise
        return ended

    def ended(self, name: str) -> Ended | None:
        """End the service of a step; return the service's end, or None if none was running."""
        service = self._services.pop(name, None)
        if service is None:
            return None
        service.stop()
        return service.ended

    def at_end(self, name: str, complete: Complete) -> bool:
        """Set the function that completes a service's result; return False if it is not running."""
        service = self._services.get(name)
        if service is not None:
            service.complete = complete
        return service is not None

    def so_far(self, name: str, result: StepResult) -> StepResult:
        """Return the result of a step up to now: of a service that has died, a failure."""
        service = self._services.get(name)
        return result if service is None or service.death is None else _ended(service, result)

    def missing(self, step: Step) -> Failure | None:
        """Return the failure of a step whose needed service has died; None if none has died."""
        services = self._services.copy()
        dead = {
            name: death
            for name, service in services.items()
            if (death := service.death) and not service.step.continue_on_error
        }
        for each in needed_steps(self._recipe, step.name) if dead else ():
            if each.name in dead:
                death = dead[each.name]
                return msgspec.structs.replace(
                    _death(services[each.name], death),
                    reason=f"needs service '{each.name}', which has died: {death.reason}",
                    place=step.at.get("needs", step.at["name"]),
                )
        return None

    def finish(self, results: Mapping[str, StepResult]) -> list[StepResult]:
        """End all services in the reverse order of their start; return their results.

        Args:
            results: The results that their steps had when the services were ready.

        Returns:
            The complete results; the result of a service that died is a failure.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile; all services have ended nevertheless.
        """
        running, self._services = self._services, {}
        interrupts: list[BaseException] = []
        for service in reversed(running.values()):
            with _deferred(interrupts):
                service.stop()
        if interrupts:
            raise interrupts[0]
        self.heard = {
            name: list(service.late_events)
            for name, service in running.items()
            if service.late_events
        }
        known = [(service, results[name]) for name, service in running.items() if name in results]
        return [service.complete(_ended(service, result)) for service, result in known]


def _ended(service: Service, result: StepResult) -> StepResult:
    """Return the final result of an ended service, as failed if the service died."""
    death, ended = service.death, service.ended
    stopped = ended.began + ended.usage.seconds if ended else 0.0
    result = msgspec.structs.replace(result, ended=ended, stopped=max(result.stopped, stopped))
    if death is None:
        return result
    failure = msgspec.structs.replace(_death(service, death), is_late=True)
    return msgspec.structs.replace(result, outcome="failed", failure=failure, meets=False)


def _death(service: Service, death: Failure) -> Failure:
    """Return the failure of a dead service, for its own step and for steps that need it."""
    seconds = service.ended.usage.seconds if service.ended else 0.0
    return Failure(
        kind="crash",
        reason=f"the service died after {seconds:.1f} s: {death.reason}",
        place=death.place,
        detail=service.tail(),
    )


@contextlib.contextmanager
def _deferred(interrupts: list[BaseException]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupts.append(interrupt)
