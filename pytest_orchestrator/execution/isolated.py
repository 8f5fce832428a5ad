"""The body of a Python step in a process of its own, forked by a lane that knows its module.

While it runs, the Context is served to it here; log records and warnings come as they
happen, and what became of the body comes last.
"""

import select
import socket
import time
from typing import Any, Self

import msgspec

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.result import Ended, Failure, Process, Usage
from pytest_orchestrator.execution import wire
from pytest_orchestrator.execution.door import look_at
from pytest_orchestrator.execution.environment import Environment, Manner
from pytest_orchestrator.execution.exited import Exited, LaneLost
from pytest_orchestrator.execution.lane_result import lost_failure, stream, usage
from pytest_orchestrator.execution.lull import LULL
from pytest_orchestrator.execution.raised import Raised
from pytest_orchestrator.execution.slot import slot_of
from pytest_orchestrator.execution.step_request import StepRequest, packed
from pytest_orchestrator.recipe.model import PythonStep
from pytest_orchestrator.remote.protocol import Conversation

_A_DAY = 86_400.0
_CHUNK = 1 << 16


def run(step: PythonStep, context: Context, env: Environment) -> Ended:
    """Run what a step names in a process of its own.

    Args:
        step: The step.
        context: The step's own handle on the Context.
        env: The surroundings of the run; its slot has the lane.

    Returns:
        How it ended, the same as if it had run here.
    """
    timeout, variables = env.seconds_for(step.timeout), env.variables()
    env.secrets.learn(variables)
    manner = env.manner or Manner.here(env.root)
    request = StepRequest(
        step=packed(step),
        recipe=env.recipe,
        root=str(env.root),
        env=variables | dict(env.handed),
        cwd=manner.cwd,
        sys_path=manner.sys_path,
        log_level=manner.log_level,
        timeout=timeout,
        stdout_log=env.log(step.name, "stdout"),
        stderr_log=env.log(step.name, "stderr"),
        samples=env.samples(step.name),
        max_log=env.max_log,
        end_signal=step.stop_number,
        secrets=env.masked_forms,
    )
    started = time.monotonic()
    with _Talk(context, env) as talk:
        try:
            exited = slot_of(env).python.run(
                request,
                live=env.live_now(),
                handed=talk.handed,
                kept=env.locks,
                meanwhile=talk.until_told,
            )
        except LaneLost as lost:
            failure = _lost(lost, step, timeout, talk.importing)
            return Ended(usage=Usage(seconds=time.monotonic() - started), failure=failure)
        talk.to_the_end()
        look_at(exited, env.door)
    if talk.end is not None and talk.end["exit"] is not None:
        env.stop(*talk.end["exit"])
    return _ended(step, exited, talk.end, env)


def process_of(step: PythonStep) -> Process:
    """Return what is started for a step, without its end."""
    return Process(argv=(step.module, str(step.class_ or step.function)), cwd="", alone="")


class _Talk:
    """The two connections to the child of one step."""

    def __init__(self, context: Context, env: Environment) -> None:
        self._env = env
        self._conversation = Conversation(context)
        self._context, self._their_context = socket.socketpair()
        self._events, self._their_events = socket.socketpair()
        self.end: dict[str, Any] | None = None
        self.importing = ""
        self._poll = select.poll()
        self._poll.register(self._context, select.POLLIN)
        self._poll.register(self._events, select.POLLIN)
        self._listener = None if env.door is None else env.door.listener
        if self._listener is not None:
            self._poll.register(self._listener, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._context, self._events, self._their_context, self._their_events):
            one.close()

    @property
    def handed(self) -> tuple[int, int]:
        """The ends for the child."""
        return self._their_context.fileno(), self._their_events.fileno()

    def until_told(self, lane: socket.socket, deadline: float | None) -> None:
        """Serve the child until its lane tells of its end.

        Raises:
            TimeoutError: The deadline, a moment of ``time.monotonic``, has passed.
        """
        self._their_context.close()
        self._their_events.close()
        self._poll.register(lane, select.POLLIN)
        lull, rest = self._env.lull, time.monotonic() + LULL
        while True:
            now = time.monotonic()
            if lull is not None and now >= rest:
                lull()
                lull = None
            # Of more than some 24 days poll knows nothing.
            left = _A_DAY if deadline is None else min(_A_DAY, max(0.0, deadline - now))
            pause = left if lull is None else min(left, rest - now)
            ready = {fd for fd, _ in self._poll.poll(pause * 1000)}
            if not ready and pause == left < _A_DAY:
                raise TimeoutError
            self._take(ready)
            if lane.fileno() in ready:
                return

    def to_the_end(self) -> None:
        """Take what the child has sent before it ended."""
        while ready := {fd for fd, _ in self._poll.poll(0)} & self._open:
            self._take(ready)

    @property
    def _open(self) -> set[int]:
        return {one.fileno() for one in (self._context, self._events) if one.fileno() >= 0}

    def _take(self, ready: set[int]) -> None:
        if self._listener is not None and self._env.door and self._listener.fileno() in ready:
            self._poll.unregister(self._listener)
            self._listener = None
            self._env.door.answer()
        if self._context.fileno() in ready:
            self._answer()
        if self._events.fileno() in ready:
            self._hear()

    def _answer(self) -> None:
        try:
            asked = self._context.recv(_CHUNK)
            if asked:
                if self._env.door is not None:
                    self._env.door.seen(asked)
                self._context.sendall(self._conversation.receive(asked))
                return
        except OSError:
            pass
        self._hang_up(self._context)

    def _hear(self) -> None:
        try:
            event, _ = wire.receive(self._events)
        except (EOFError, OSError, ValueError):
            self._hang_up(self._events)
            return
        if self._env.door is not None:
            for told in event.values():
                is_large = isinstance(told, bytes)
                self._env.door.seen(told if is_large else repr(told).encode(errors="replace"))
        if event["op"] == "end":
            self.end = event
        elif event["op"] == "importing":
            self.importing = event["module"]
        else:
            self._env.hear(event)

    def _hang_up(self, one: socket.socket) -> None:
        self._poll.unregister(one)
        one.close()


def _ended(step: PythonStep, exited: Exited, end: dict[str, Any] | None, env: Environment) -> Ended:
    figures = usage(exited, env.samples(step.name))
    process = _process(step, exited, end, shown=env.live is not None)
    told = None if end is None else end.get("ended")
    if exited.timed_out or exited.cancelled or told is None:
        cut_off = _cut_off(step, exited, env.seconds_for(step.timeout))
        return Ended(usage=figures, failure=cut_off, process=process)
    inner = msgspec.json.decode(told, type=Ended)
    failure = inner.failure
    report = end["shown"] if end else None
    if failure is not None and report is not None:
        raised = Raised.there(failure.reason, report)
        failure = msgspec.structs.replace(failure, exception=raised)
    return msgspec.structs.replace(
        inner, usage=_with_own(figures, inner.usage), failure=failure, process=process
    )


def _cut_off(step: PythonStep, exited: Exited, timeout: float | None) -> Failure:
    """Say why a child ended without telling what became of its body."""
    if exited.timed_out:
        return _timeout(step, timeout)
    if exited.cancelled:
        return Failure(kind="interrupted", reason=f"interrupted after {exited.seconds:.1f} s")
    if exited.signal:
        return Failure(kind="signal", reason=f"ended by {exited.signal}")
    how = "os._exit or the like" if exited.code == 0 else "a crash, os._exit or the like"
    return Failure(
        kind="crash",
        reason=f"its process ended with exit code {exited.code} before it returned ({how})",
    )


def _timeout(step: PythonStep, timeout: float | None) -> Failure:
    return Failure(
        kind="timeout",
        reason=f"timeout: still running after {timeout:g} s; its whole process tree was ended",
        place=step.at.get("timeout"),
    )


def _lost(lost: LaneLost, step: PythonStep, timeout: float | None, importing: str) -> Failure:
    failure = lost_failure(lost, step, timeout)
    if importing:  # nothing of the step ran yet, or it would have a process of its own
        reason = f"{failure.reason}, while module '{importing}' was imported"
        failure = msgspec.structs.replace(failure, reason=reason)
    return failure


def _process(
    step: PythonStep, exited: Exited, end: dict[str, Any] | None, *, shown: bool
) -> Process:
    return msgspec.structs.replace(
        process_of(step),
        exit_code=exited.code,
        signal=exited.signal,
        stdout=stream(exited.stdout),
        stderr=stream(exited.stderr),
        leftovers=tuple(exited.leftovers),
        threads=tuple((end or {}).get("threads", ())),
        shown=shown,
    )


def _with_own(figures: Usage, own: Usage) -> Usage:
    """Return the figures of a lane with those that only the process itself can know."""
    source = figures.source | {name: own.source[name] for name in ("heap",) if name in own.source}
    return msgspec.structs.replace(
        figures,
        rss_delta=own.rss_delta,
        heap_current=own.heap_current,
        heap_peak=own.heap_peak,
        source=source,
    )
