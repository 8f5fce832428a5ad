"""Background services: start, readiness probes, stop.

Nothing is taken for the service's that was there before it was started.
"""

import contextlib
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.core.result import Ended, Failure, Process, StepResult, Usage
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lanes.lane import slot_of
from pytest_orchestrator.execution.lanes.messages import LaneLost, Output, output_so_far, stream
from pytest_orchestrator.execution.lanes.pattern_search import (
    Query,
    Searches,
    SearchInterrupted,
    SearchTimeout,
)
from pytest_orchestrator.execution.record_log import STREAM, current_stream
from pytest_orchestrator.execution.steps.artifacts import masked_afterwards
from pytest_orchestrator.execution.text_search import bytes_of
from pytest_orchestrator.recipe.model.graph import needed
from pytest_orchestrator.recipe.model.options import Ready
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import CodeStep, Step

Body = Callable[[Environment], Ended]
Complete = Callable[[StepResult], StepResult]

_ALIVE = 0.1  # seconds that are enough where nothing is asked for
_FIRST, _LONGEST = 0.005, 0.05
_LANE_PATIENCE = 4.0  # seconds; a lane that hears ends what it runs within two
_TAIL = 10  # lines
_MOST_LATE = 1000


class Service:
    """A service from its start to its end.

    Args:
        step: The step.
        env: The surroundings of the run.
        body: Runs it to its end.
        process: What is started, without its end.

    Attributes:
        step: The step.
        ended: How it ended, complete with figures; None as long as it lives.
        complete: Completes the result of its step, once it has ended.
        late: Its last log records and warnings since it was ready.
    """

    def __init__(self, step: Step, env: Environment, body: Body, process: Process) -> None:
        self.step = step
        self.ended: Ended | None = None
        self.complete: Complete = lambda result: result
        self._slot = slot_of(env).another()
        self._lane = self._slot.python if isinstance(step, CodeStep) else self._slot.shell
        self.late: deque[dict[str, Any]] = deque(maxlen=_MOST_LATE)
        self._heard: list[dict[str, Any]] = []
        self._is_asked = True
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if env.logs is None:
            self._folder = tempfile.TemporaryDirectory(prefix="orchestrator-")
            env = msgspec.structs.replace(env, logs=Path(self._folder.name))
        self._outer = env
        self._env = msgspec.structs.replace(
            env,
            slot=self._slot,
            stretch=0.0,
            hear=self._hear,
            environ=env.variables(),
        )
        self._logs = [Path(str(env.log(step.name, name))) for name in ("stdout", "stderr")]
        for log in (*self._logs, Path(str(env.log(step.name, STREAM)))):
            log.unlink(missing_ok=True)  # of an earlier try
        self._ready = ReadinessProbe(step.ready or Ready(), env.root, self._logs[0], self._matches)
        self._body = body
        self._process = process
        self._begun: float | None = None
        self._began = 0.0
        self._stopping = False
        self._error: BaseException | None = None
        self._over = threading.Event()
        name = f"recipe service {step.name}"
        threading.Thread(target=self._live, name=name, daemon=True).start()

    @property
    def death(self) -> Failure | None:
        """Why it ended by itself, other than well; None where it lives or did not."""
        failure = self.ended.failure if self.ended is not None else None
        asked = ("interrupted", "crash") if self._stopping else ("interrupted",)
        return None if failure is None or failure.kind in asked else failure

    def until_ready(self) -> Ended:
        """Wait until it is ready, or never will be.

        Returns:
            How its step ended: with what was printed and used so far where it lives.
        """
        pause = _FIRST
        try:
            while True:
                over = self._over.is_set()
                unmet = self._unmet()
                if self._error is not None:
                    raise self._error  # noqa: TRY301 - as if it had run here
                if over:
                    return self._ended_early(unmet)
                if not unmet:
                    return self._so_far()
                if self._is_late():
                    return self._late(unmet)
                self._over.wait(pause)
                pause = min(2 * pause, _LONGEST)
        except BaseException:
            self.stop()
            raise
        finally:
            self._is_asked = False
            slot_of(self._outer).let_go(self._slot)
            for event in self._heard:
                self._outer.hear(event)

    def stop(self) -> None:
        """End it where it lives, and wait for that.

        Raises:
            KeyboardInterrupt: Ctrl-C meanwhile; it was ended at once.
        """
        interrupt: BaseException | None = None
        begun, pause = time.monotonic(), _FIRST
        while not self._over.is_set():
            try:
                self._stopping = True
                self._lane.cancel(at_once=interrupt is not None)
                if time.monotonic() - begun > _LANE_PATIENCE:
                    self._lane.end()
                self._over.wait(pause)
                pause = min(2 * pause, _LONGEST)
            except KeyboardInterrupt as again:
                interrupt = again
        if interrupt is not None:
            raise interrupt

    def tail(self) -> tuple[str, ...]:
        """Return the last lines that it printed, stderr first."""
        for name, output in zip(("stderr", "stdout"), reversed(self._printed()), strict=True):
            lines = stream(output).text.rstrip().splitlines()
            if lines:
                return (f"its {name} ends with:", *(f"  {line}" for line in lines[-_TAIL:]))
        return ("it printed nothing",)

    def _live(self) -> None:
        try:
            if self._lane is self._slot.python:
                with contextlib.suppress(LaneLost, OSError):  # the body meets and tells it too
                    self._slot.python.prepare()
            self._begun, self._began = time.monotonic(), time.time()
            with masked_afterwards(self.step, self._env):
                self.ended = self._body(self._env)
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            self._error = error
            failure = Failure(kind="crash", reason=f"{type(error).__name__}: {error}")
            self.ended = Ended(usage=Usage(seconds=self._seconds()), failure=failure)
        finally:
            self._slot.close()
            if self._folder is not None:
                self._folder.cleanup()
            self._over.set()

    def _hear(self, event: dict[str, Any]) -> None:
        """Keep a log record or a warning: for the step, or later for the end of the service."""
        (self._heard if self._is_asked else self.late).append(event)

    def _seconds(self) -> float:
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    def _unmet(self) -> list[str]:
        if self._begun is None:
            return ["it has not been started"]
        if self.step.ready is None and self._seconds() < _ALIVE:
            return [f"it has to live for {_ALIVE * 1000:g} ms"]
        return self._ready.unmet()

    def _matches(self, pattern: str, text: str) -> bool:
        """Search what it printed, in the lane that waits for it and no longer than that."""
        searches = Searches(self._outer.slot, self._limit(), spent=self._seconds())
        where = bytes_of(text.encode(), name="stdout")
        try:
            return bool(searches.first(Query(where, pattern, "ready.stdout_matches", None)))
        except (SearchTimeout, SearchInterrupted):
            return False

    def _limit(self) -> float | None:
        return self._outer.seconds_for((self.step.ready or Ready()).timeout)

    def _is_late(self) -> bool:
        limit = self._limit()
        return limit is not None and self._seconds() > limit

    def _so_far(self) -> Ended:
        out, err = (stream(output) for output in self._printed())
        shown = self._outer.live is not None
        process = msgspec.structs.replace(self._process, stdout=out, stderr=err, shown=shown)
        usage = Usage(seconds=self._seconds())
        log = current_stream(self.step.name, self._outer)
        return Ended(
            usage=usage, value={"status": "ok"}, process=process, log=log, began=self._began
        )

    def _ended_early(self, unmet: list[str]) -> Ended:
        assert self.ended is not None  # noqa: S101
        failure = self.ended.failure
        if (failure is None and not unmet) or self.ended.skipped is not None:
            return self.ended
        if failure is None:
            failure = Failure(kind="crash", reason=_end_of(self.ended), detail=self.tail())
        elif failure.kind == "interrupted":
            return self.ended
        reason = f"{failure.reason}, before the service was ready"
        if unmet:
            reason = f"{reason}: {'; '.join(unmet)}"
        return msgspec.structs.replace(
            self.ended, failure=msgspec.structs.replace(failure, reason=reason)
        )

    def _late(self, unmet: list[str]) -> Ended:
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

    def _printed(self) -> list[Output]:
        return [output_so_far(log) for log in self._logs]


def _end_of(ended: Ended) -> str:
    """Return how a service ended well, but too early, in words."""
    process = ended.process
    if process is None:
        return "it ended"
    left = f", and what it left running was ended: {', '.join(process.leftovers)}"
    return f"it ended with exit code {process.exit_code}{left if process.leftovers else ''}"


_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_PROBE_PATIENCE = 0.5  # seconds; this machine answers itself at once
_KEPT = 1 << 20


class ReadinessProbe:
    """What has to hold before a service is ready.

    Args:
        ready: What the recipe asks for.
        root: The folder that paths start from.
        stdout: The log of what the service prints.
        matches: Tells whether a pattern matches something in a text.
    """

    def __init__(
        self, ready: Ready, root: Path, stdout: Path, matches: Callable[[str, str], bool]
    ) -> None:
        self._ready = ready
        self._matching = matches
        self._file = root / (ready.file or "")
        self._before = _identity(self._file)
        self._stdout = stdout
        self._read = 0
        self._printed = b""
        self._accepts = self._matches = False

    def unmet(self) -> list[str]:
        """Return what does not hold yet, in words."""
        asked = self._ready
        found = []
        if asked.file is not None and _identity(self._file) in (None, self._before):
            words = "is not there" if self._before is None else "was not written anew"
            found.append(f"file {asked.file} {words}")
        if asked.stdout_matches is not None and not self._has_matched(asked.stdout_matches):
            found.append(f"stdout does not match '{asked.stdout_matches}'")
        if asked.port is not None and not self._has_accepted(asked.port):
            found.append(f"port {asked.port} takes no connection")
        return found

    def _has_matched(self, pattern: str) -> bool:
        if self._matches:
            return True
        with contextlib.suppress(OSError), self._stdout.open("rb") as log:
            log.seek(self._read)
            new = log.read()
            self._read += len(new)
            if new:
                self._printed += new
                text = self._printed.decode("utf-8", "replace").replace("\r\n", "\n")
                self._matches = self._matching(pattern, text)
                self._printed = self._printed[-_KEPT:]
        return self._matches

    def _has_accepted(self, port: int) -> bool:
        # Once it has, it is not asked again: each question is a client to the service.
        self._accepts = self._accepts or any(_accepts(*host, port) for host in _HOSTS)
        return self._accepts


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written, None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _accepts(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as asking:
            asking.settimeout(_PROBE_PATIENCE)
            asking.connect((host, port))
            # Where nobody listens the system may connect a socket to itself.
            return bool(asking.getsockname() != asking.getpeername())
    except OSError:
        return False


class Services:
    """Keeps what goes on in the background of a recipe.

    Args:
        recipe: The recipe.

    Attributes:
        heard: What those that have ended logged and warned of since they were ready, by step.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.heard: dict[str, list[dict[str, Any]]] = {}
        self._kept: dict[str, Service] = {}

    def started(self, step: Step, env: Environment, body: Body, process: Process) -> Ended:
        """Start the service of a step, and wait until it is ready.

        Args:
            step: The step.
            env: The surroundings of the run.
            body: Runs it to its end.
            process: What is started, without its end.

        Returns:
            How the step ended. Where it did as wanted, the service goes on.
        """
        self.ended(step.name)  # of a try before
        service = Service(step, env, body, process)
        ended = service.until_ready()
        if ended.failure is None and ended.skipped is None:
            self._kept[step.name] = service
        return ended

    def ended(self, name: str) -> Ended | None:
        """End a service that is of no use any more; return how it ended, if there was one."""
        service = self._kept.pop(name, None)
        if service is None:
            return None
        service.stop()
        return service.ended

    def at_end(self, name: str, complete: Complete) -> bool:
        """Have the result of a service completed when it has ended; tell whether there is one."""
        service = self._kept.get(name)
        if service is not None:
            service.complete = complete
        return service is not None

    def missing(self, step: Step) -> Failure | None:
        """Return the failure of a step that needs a service which has died, or None."""
        dead = {
            name: death
            for name, one in tuple(self._kept.items())
            if (death := one.death) and not one.step.continue_on_error
        }
        for each in needed(self._recipe, step.name) if dead else ():
            if each.name in dead:
                death = dead[each.name]
                return msgspec.structs.replace(
                    _death(self._kept[each.name], death),
                    reason=f"needs service '{each.name}', which has died: {death.reason}",
                    place=step.at.get("needs", step.at["name"]),
                )
        return None

    def over(self, results: Mapping[str, StepResult]) -> list[StepResult]:
        """End all services, the last one first.

        Args:
            results: Those of their steps, from when they were ready.

        Returns:
            The results, complete; that of one that died has its failure there.

        Raises:
            KeyboardInterrupt: Ctrl-C meanwhile; all of them were ended at once.
        """
        kept, self._kept = self._kept, {}
        interrupts: list[BaseException] = []
        for service in reversed(kept.values()):
            with _kept_for_later(interrupts):
                service.stop()
        if interrupts:
            raise interrupts[0]
        self.heard = {name: list(service.late) for name, service in kept.items() if service.late}
        told = [(service, results[name]) for name, service in kept.items() if name in results]
        return [service.complete(_ended(service, result)) for service, result in told]


def _ended(service: Service, result: StepResult) -> StepResult:
    """Return the result of a service that has ended."""
    death, ended = service.death, service.ended
    stopped = ended.began + ended.usage.seconds if ended else 0.0
    result = msgspec.structs.replace(result, ended=ended, stopped=max(result.stopped, stopped))
    if death is None:
        return result
    failure = _death(service, death)
    return msgspec.structs.replace(result, outcome="failed", failure=failure, meets=False)


def _death(service: Service, death: Failure) -> Failure:
    """Return how a service died, as the step of it and those that need it tell it."""
    seconds = service.ended.usage.seconds if service.ended else 0.0
    return Failure(
        kind="crash",
        reason=f"the service died after {seconds:.1f} s: {death.reason}",
        place=death.place,
        detail=service.tail(),
    )


@contextlib.contextmanager
def _kept_for_later(interrupts: list[BaseException]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupts.append(interrupt)
