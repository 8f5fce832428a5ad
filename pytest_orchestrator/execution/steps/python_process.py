"""Python step in a forked process of a lane.

While it runs, the Context is served to it here; log records and warnings come as they
happen, and the report of how the body ended comes last. The report counts where it is the only
one of the process that the lane has started, and that process then ends with exit code 0.
"""

import contextlib
import select
import socket
import sys
import time
from typing import Any, NamedTuple, Self

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Conversation
from pytest_orchestrator.core.result import Ended, Failure, Kind, Process, Usage
from pytest_orchestrator.execution.environment import Environment, Manner
from pytest_orchestrator.execution.lanes.context_access import IDLE_AFTER, look_at
from pytest_orchestrator.execution.lanes.lane import slot_of
from pytest_orchestrator.execution.lanes.messages import (
    CommandResult,
    LaneLost,
    StepRequest,
    lost_failure,
    packed,
    stream,
    usage,
)
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.record_log import RecordLog
from pytest_orchestrator.execution.supervision import framing
from pytest_orchestrator.recipe.model.step import PythonStep

_A_DAY = 86_400.0
_CHUNK = 1 << 16
_PROOF = getattr(socket, "SO_PASSCRED", None)  # the kernel says who sent a message: Linux
_PID = 4  # bytes, the first of the three numbers of a sender
_ROOM = socket.CMSG_SPACE(3 * _PID)


def run(step: PythonStep, context: Context, env: Environment) -> Ended:
    """Run what a step names in a process of its own.

    Args:
        step: The step.
        context: The step's own handle on the Context.
        env: The surroundings of the run; its slot has the lane.

    Returns:
        How it ended, the same as if it had run here.
    """
    with contextlib.closing(RecordLog(step.name, env)) as records:
        ended = _run(step, context, env, records)
    return msgspec.structs.replace(ended, log=records.stream)


def _run(step: PythonStep, context: Context, env: Environment, records: RecordLog) -> Ended:
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
    with _ChildConnections(context, env, records) as talk:
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
    word = talk.reports.word(exited.pid)
    if word.end is not None and word.end.get("exit") is not None:
        _stop(env, exited, *word.end["exit"])
    return _ended(step, exited, word, env)


def process_of(step: PythonStep) -> Process:
    """Return what is started for a step, without its end."""
    return Process(argv=(step.module, str(step.class_ or step.function)), cwd="", alone="")


class Word(NamedTuple):
    """What the process of a step has reported of its end.

    Attributes:
        end: Its first report; None where there is none.
        wrong: Why nothing that it sent counts, in words; None where it does.
        others: Pids of other processes that reported in its place.
    """

    end: dict[str, Any] | None
    wrong: str | None
    others: tuple[int, ...]


class Reports:
    """What comes by the connection of a step, each sender's apart.

    Forks of a step have the connection too. The kernel says which process sent a message and
    never joins messages of two in one read, so that no process can report in the place of
    another, and none can tear the frames of another. Where the kernel does not say it (macOS),
    a report counts for the process whose pid it holds.

    Args:
        source: The end of the connection that is read here.
    """

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._pieces: dict[int | None, bytearray] = {}
        self._torn: set[int | None] = set()
        self._ends: dict[int | None, list[dict[str, Any]]] = {}
        if _PROOF is not None:
            source.setsockopt(socket.SOL_SOCKET, _PROOF, 1)

    def take(self) -> list[dict[str, Any]]:
        """Return the events that are whole by now; reports of ends are kept.

        Raises:
            EOFError: No process has the other end any more.
            OSError: The connection is broken.
        """
        try:
            data, proof, _, _ = self._source.recvmsg(_CHUNK, _ROOM, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        sender = int.from_bytes(proof[0][2][:_PID], sys.byteorder) if proof else None
        if sender in self._torn:
            return []
        pieces = self._pieces.pop(sender, None) or bytearray()
        pieces += data
        events = []
        try:
            for event in framing.frames(pieces):
                if event["op"] == "end":
                    who = event["pid"] if sender is None else sender
                    self._ends.setdefault(who, []).append(event)
                events.append(event)
        except (EOFError, LookupError, TypeError, ValueError):
            self._torn.add(sender)
            return events
        if pieces:
            self._pieces[sender] = pieces
        return events

    def word(self, pid: int) -> Word:
        """Return what a process has reported of its end, once all of it has come.

        Args:
            pid: Of the process that was started for the step.
        """
        ends = self._ends.get(pid, [])
        wrong = None
        if len(ends) > 1:
            wrong = f"its process reported {len(ends)} times how it ended, so none of that counts"
        elif {pid, None} & (self._torn | self._pieces.keys()):
            wrong = "its process sent something else than its report, so that does not count"
        others = tuple(one for one in self._ends if one is not None and one != pid)
        return Word(ends[0] if ends else None, wrong, others)


class _ChildConnections:
    """The two connections to the child of one step.

    Attributes:
        reports: What it has sent.
        importing: The module that is imported at the moment; empty where none is.
    """

    def __init__(self, context: Context, env: Environment, records: RecordLog) -> None:
        self._env, self._records = env, records
        self._conversation = Conversation(context)
        self._context, self._their_context = socket.socketpair()
        self._events, self._their_events = socket.socketpair()
        self.reports = Reports(self._events)
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
        lull, rest = self._env.lull, time.monotonic() + IDLE_AFTER
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
            events = self.reports.take()
        except (EOFError, OSError):
            self._hang_up(self._events)
            return
        for event in events:
            if self._env.door is not None:
                for told in event.values():
                    is_large = isinstance(told, bytes)
                    self._env.door.seen(told if is_large else repr(told).encode(errors="replace"))
            if event["op"] == "importing":
                self.importing = event["module"]
            elif event["op"] != "end":
                self._records.receive(event)

    def _hang_up(self, one: socket.socket) -> None:
        self._poll.unregister(one)
        one.close()


def _stop(env: Environment, exited: CommandResult, reason: str, status: int | None) -> None:
    """Stop the run as a step has asked for; not as a success where its process then failed."""
    if exited.wrong is None:
        env.stop(reason, status)
    else:
        env.stop(f"{reason} (and then {exited.wrong})", status or None)


def _ended(step: PythonStep, exited: CommandResult, word: Word, env: Environment) -> Ended:
    figures = usage(exited, env.samples(step.name))
    process = _process(step, exited, word.end, shown=env.live is not None)
    told = None if word.end is None else word.end.get("ended")
    if exited.timed_out or exited.cancelled or word.end is None or told is None:
        cut_off = _cut_off(step, exited, env.seconds_for(step.timeout), word)
        return Ended(usage=figures, failure=cut_off, process=process, began=exited.began)
    try:
        inner = msgspec.json.decode(told, type=Ended)
    except msgspec.DecodeError as error:
        unread = Failure(kind="protocol", reason=f"its report cannot be read: {error}")
        return Ended(usage=figures, failure=unread, process=process, began=exited.began)
    failure, report = inner.failure, word.end.get("shown")
    if failure is None:
        failure = _undone(exited, word, "returned ok" if inner.skipped is None else "was skipped")
    elif report is not None:
        raised = Raised.there(failure.reason, report)
        failure = msgspec.structs.replace(failure, exception=raised)
    return msgspec.structs.replace(
        inner,
        usage=_with_own(figures, inner.usage),
        failure=failure,
        skipped=None if failure else inner.skipped,
        process=process,
        began=exited.began,
    )


def _undone(exited: CommandResult, word: Word, what: str) -> Failure | None:
    """Return the failure of a step that did well until its process ended; None where it did."""
    if word.wrong is not None:
        return Failure(kind="protocol", reason=word.wrong)
    if exited.wrong is None:
        return None
    kind: Kind = "signal" if exited.signal else "crash"
    return Failure(kind=kind, reason=f"{what}, and then {exited.wrong}")


def _cut_off(step: PythonStep, exited: CommandResult, timeout: float | None, word: Word) -> Failure:
    """Say why a child ended without a report of its body that counts."""
    if exited.timed_out:
        return _timeout(step, timeout)
    if exited.cancelled:
        return Failure(kind="interrupted", reason=f"interrupted after {exited.seconds:.1f} s")
    if exited.signal:
        return Failure(kind="signal", reason=f"ended by {exited.signal}{_instead(word)}")
    if word.wrong is not None:
        return Failure(kind="protocol", reason=word.wrong)
    if exited.status is None:
        reason = f"the exit status of its process is not known{_instead(word)}"
        return Failure(kind="crash", reason=reason)
    how = "os._exit or the like" if exited.code == 0 else "a crash, os._exit or the like"
    end = f"its process ended with exit code {exited.code} before it returned ({how})"
    return Failure(kind="crash", reason=f"{end}{_instead(word)}")


def _instead(word: Word) -> str:
    """Say that other processes have reported in the place of the step's; empty where none did."""
    if not word.others:
        return ""
    pids = ", ".join(map(str, word.others))
    return f"; what its child (pid {pids}) reported in its place does not count"


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
    step: PythonStep, exited: CommandResult, end: dict[str, Any] | None, *, shown: bool
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
