"""Python step in a forked process of a lane.

While the step runs, this process answers its requests for the Context, people and instruments, and
receives its log records and warnings. The report of the end of the step code comes last. A success
counts only if it is the one report of the process that the lane has started, and if that process
then ends with exit code 0.
"""

import contextlib
import errno
import os
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import (
    OPERATIONS,
    Conversation,
    Reply,
    Request,
    refusal,
)
from pytest_orchestrator.core import suggestions
from pytest_orchestrator.core.events import InstrumentExchange
from pytest_orchestrator.core.questions import NoAnswer, Question
from pytest_orchestrator.core.result import Ended, Failure, Kind, Process, Resources, lasted
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.lanes.context_access import IDLE_AFTER, mask_printed_token
from pytest_orchestrator.execution.lanes.messages import (
    CommandResult,
    LaneLost,
    StepRequest,
    cut_off,
    ended_process,
    lost_failure,
    step_fields,
    usage,
)
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.record_log import RecordLog
from pytest_orchestrator.execution.run_config import PythonSettings
from pytest_orchestrator.execution.steps.asking import ASK, AttemptQuestions, questions_of
from pytest_orchestrator.execution.steps.command import environment_of
from pytest_orchestrator.execution.supervision import framing
from pytest_orchestrator.recipe.model.step import PythonStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.execution.instruments.bench import Ending
    from pytest_orchestrator.execution.instruments.use import RecipeInstruments


_A_DAY = 86_400.0
_CHUNK = 1 << 16
_CREDENTIALS = getattr(socket, "SO_PASSCRED", None)  # Linux: the kernel adds the sender's pid
_PID_SIZE = 4  # bytes; pid, uid and gid of the sender
_ANCILLARY_SIZE = socket.CMSG_SPACE(3 * _PID_SIZE)


def run(step: PythonStep, context: Context, attempt: AttemptContext) -> Ended:
    """Run the step code of a Python step in a process that a lane forks.

    Args:
        step: The step.
        context: The step's own handle to the Context.
        attempt: The context of the attempt; its slot has the lane.

    Returns:
        The end of the step code, in the same form as that of an inline step.
    """
    with contextlib.closing(RecordLog(step.name, attempt)) as records:
        ended = _run(step, context, attempt, records)
    return msgspec.structs.replace(ended, log=records.stream)


def _run(step: PythonStep, context: Context, attempt: AttemptContext, records: RecordLog) -> Ended:
    timeout, variables = attempt.seconds_for(step.timeout), attempt.variables()
    attempt.config.secrets.add_environment(variables)
    variables |= attempt.context_variables
    if step.env:
        attempt.config.secrets.add_environment(environment_of(step.env, {}))
        variables = environment_of(step.env, variables)
    settings = attempt.config.python_settings or PythonSettings.here(attempt.config.root)
    if step.cwd is not None and (missing := _missing_directory(step, step.cwd, attempt)):
        return Ended(failure=missing)
    request = StepRequest(
        step=step_fields(step),
        sets_variables=bool(step.env),
        recipe=attempt.recipe,
        root=str(attempt.config.root),
        env=variables,
        cwd=settings.cwd,
        sys_path=settings.sys_path,
        log_level=settings.log_level,
        timeout=timeout,
        stdout_log=attempt.log(step.name, "stdout"),
        stderr_log=attempt.log(step.name, "stderr"),
        samples=attempt.samples(step.name),
        max_log=attempt.config.max_log,
        end_signal=step.stop_number,
        secrets=attempt.config.masked_forms,
    )
    questions = questions_of(step, attempt)
    started = time.monotonic()
    with _ChildConnections(context, attempt, records, questions) as child:
        try:
            exited = attempt.required_slot.python.run(
                request,
                live=attempt.live_now(),
                handed=child.descriptors,
                kept=attempt.lock_files,
                is_cancellable=step.plugin_data is None or not step.plugin_data.is_cleanup,
                meanwhile=child.serve_until_end,
            )
        except LaneLost as lost:
            failure = _lost(lost, step, timeout, child.importing)
            return Ended(usage=lasted(time.monotonic() - started), failure=failure)
        child.receive_rest()
        mask_printed_token(exited, attempt.config.context_access)
    report = child.reports.report_of(exited.pid)
    if report.end is not None and report.end.get("exit") is not None:
        _stop(attempt, exited, *report.end["exit"])
    ended = _ended(step, exited, report, attempt)
    return ended if questions is None else questions.noted_in(ended)


def _missing_directory(step: PythonStep, name: str, attempt: AttemptContext) -> Failure | None:
    """Return the failure of a step whose working directory is missing; None if it exists."""
    root = attempt.config.root
    path = os.path.normpath(os.path.join(root, name))
    if os.path.isdir(path):
        return None
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    _, reason, _ = suggestions.missing_program(name, path, error, root, ())
    return Failure(kind="not_found", reason=reason, place=step.at["cwd"])


def process_of(step: PythonStep) -> Process:
    """Return the `Process` record of a Python step whose process has not started."""
    return Process(argv=(step.module, str(step.class_ or step.function)), cwd="", alone="")


class EndReport(NamedTuple):
    """Report on the end of the step code, which the process of a step sends.

    Attributes:
        end: The first report; None if the process sent none.
        invalid: The reason why its reports do not count; None if they count.
        others: Pids of other processes that reported in its place.
    """

    end: dict[str, Any] | None
    invalid: str | None
    others: tuple[int, ...]


class Reports:
    """Receiver of the frames that a step's process and its forks send, separated by sender.

    Forks of the step's process have the connection too. On Linux the kernel names the sender of
    each message and never joins the messages of two senders in one read. Therefore no process can
    report in the place of another process, or break its frames. On macOS the kernel does not name
    the sender, and a report counts for the process whose pid the report contains.

    Args:
        source: The end of the connection that this process reads.
    """

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._pieces: dict[int | None, bytearray] = {}
        self._torn: set[int | None] = set()
        self._ends: dict[int | None, list[dict[str, Any]]] = {}
        if _CREDENTIALS is not None:
            source.setsockopt(socket.SOL_SOCKET, _CREDENTIALS, 1)

    def receive(self) -> list[dict[str, Any]]:
        """Read available data; return the events that are complete, and store end reports.

        Raises:
            EOFError: Every process has closed the other end.
            OSError: The connection is broken.
        """
        try:
            data, credentials, _, _ = self._source.recvmsg(
                _CHUNK, _ANCILLARY_SIZE, socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        sender = (
            int.from_bytes(credentials[0][2][:_PID_SIZE], sys.byteorder) if credentials else None
        )
        if sender in self._torn:
            return []
        pieces = self._pieces.pop(sender, None) or bytearray()
        pieces += data
        events = []
        try:
            for event in framing.frames(pieces):
                if event["op"] == "end":
                    reporter = event["pid"] if sender is None else sender
                    self._ends.setdefault(reporter, []).append(event)
                events.append(event)
        except (EOFError, LookupError, TypeError, ValueError):
            self._torn.add(sender)
            return events
        if pieces:
            self._pieces[sender] = pieces
        return events

    def report_of(self, pid: int) -> EndReport:
        """Return the report of a process, after all frames were received.

        Args:
            pid: The pid of the process that was started for the step.
        """
        ends = self._ends.get(pid, [])
        invalid = None
        if len(ends) > 1:
            invalid = f"its process reported {len(ends)} times how it ended, so none of that counts"
        elif {pid, None} & (self._torn | self._pieces.keys()):
            invalid = "its process sent something else than its report, so that does not count"
        others = tuple(one for one in self._ends if one is not None and one != pid)
        return EndReport(ends[0] if ends else None, invalid, others)


class _ChildConnections:
    """The two connections to the process of one step: for the Context and for events.

    Attributes:
        reports: The frames of the child and its forks.
        importing: The module that is being imported; empty if none is.
    """

    def __init__(
        self,
        context: Context,
        attempt: AttemptContext,
        records: RecordLog,
        questions: AttemptQuestions | None,
    ) -> None:
        self._attempt, self._records = attempt, records
        self._conversation = StepConversation(
            context, questions, attempt.instruments, self._step_ending
        )
        self._context, self._child_context = socket.socketpair()
        self._events, self._child_events = socket.socketpair()
        self.reports = Reports(self._events)
        self.importing = ""
        self._lane: socket.socket | None = None
        self._deadline: float | None = None
        self._poll = select.poll()
        self._poll.register(self._context, select.POLLIN)
        self._poll.register(self._events, select.POLLIN)
        self._access = attempt.config.context_access
        self._listener = None if self._access is None else self._access.listener
        if self._listener is not None:
            self._poll.register(self._listener, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._context, self._events, self._child_context, self._child_events):
            end.close()

    @property
    def descriptors(self) -> tuple[int, int]:
        """The file descriptors of the child's ends of the two connections."""
        return self._child_context.fileno(), self._child_events.fileno()

    def serve_until_end(self, lane: socket.socket, deadline: float | None) -> None:
        """Serve the child's requests and receive its events until the lane reports its end.

        Raises:
            TimeoutError: The deadline, by ``time.monotonic``, has passed.
        """
        self._child_context.close()
        self._child_events.close()
        self._poll.register(lane, select.POLLIN)
        self._lane, self._deadline = lane, deadline
        is_idle_due, idle_at = True, time.monotonic() + IDLE_AFTER
        while True:
            now = time.monotonic()
            if is_idle_due and now >= idle_at:
                is_idle_due = False
                self._attempt.callbacks.on_idle()
            # The timeout of poll is limited to about 24 days.
            left = _A_DAY if deadline is None else min(_A_DAY, max(0.0, deadline - now))
            pause = min(left, idle_at - now) if is_idle_due else left
            ready = {fd for fd, _ in self._poll.poll(pause * 1000)}
            if not ready and pause == left < _A_DAY:
                raise TimeoutError
            self._handle(ready)
            if lane.fileno() in ready:
                return

    def _step_ending(self) -> "Ending":
        """Return the end of the step, for a wait in which no request is served."""
        from pytest_orchestrator.execution.instruments.use import LaneEnding

        assert self._lane is not None  # noqa: S101 - the step runs
        return LaneEnding(self._lane, self._deadline)

    def receive_rest(self) -> None:
        """Receive everything that the child sent before it ended."""
        while ready := {fd for fd, _ in self._poll.poll(0)} & self._open_descriptors:
            self._handle(ready)

    @property
    def _open_descriptors(self) -> set[int]:
        return {end.fileno() for end in (self._context, self._events) if end.fileno() >= 0}

    def _handle(self, ready: set[int]) -> None:
        access = self._access
        if self._listener is not None and access and self._listener.fileno() in ready:
            self._poll.unregister(self._listener)
            self._listener = None
            access.start_server()
        # First, so that a secret is known when a later request writes it to the Context.
        if self._events.fileno() in ready:
            self._receive_events()
        if self._context.fileno() in ready:
            self._answer_request()

    def _answer_request(self) -> None:
        try:
            request = self._context.recv(_CHUNK)
            if request:
                if self._access is not None:
                    self._access.mask_token(request)
                self._context.sendall(self._conversation.receive(request))
                return
        except OSError:
            pass
        self._disconnect(self._context)

    def _receive_events(self) -> None:
        access = self._access
        try:
            events = self.reports.receive()
        except (EOFError, OSError):
            self._disconnect(self._events)
            return
        for event in events:
            if access is not None:
                for value in event.values():
                    is_raw = isinstance(value, bytes)
                    access.mask_token(value if is_raw else repr(value).encode(errors="replace"))
            if event["op"] == "importing":
                self.importing = event["module"]
            elif event["op"] == "secrets":
                self._attempt.config.secrets.add(event["values"])
            elif event["op"] == "exchange":  # here, where the secrets before it are known
                with contextlib.suppress(msgspec.MsgspecError):  # step code can write here too
                    exchange = msgspec.json.decode(event.get("json", b""), type=InstrumentExchange)
                    self._attempt.add_exchange(exchange)
            elif event["op"] != "end":
                self._records.receive(event)

    def _disconnect(self, end: socket.socket) -> None:
        self._poll.unregister(end)
        end.close()


def _stop(attempt: AttemptContext, exited: CommandResult, reason: str, status: int | None) -> None:
    """Stop the run as the step requested; drop exit status 0 if the step's process then failed."""
    if exited.wrong is None:
        attempt.callbacks.stop_session(reason, status)
    else:
        attempt.callbacks.stop_session(f"{reason} (and then {exited.wrong})", status or None)


def _ended(
    step: PythonStep, exited: CommandResult, report: EndReport, attempt: AttemptContext
) -> Ended:
    figures = usage(exited, attempt.samples(step.name))
    threads = tuple((report.end or {}).get("threads", ()))
    shown = attempt.live is not None
    process = ended_process(process_of(step), exited, threads=threads, shown=shown)
    raw = None if report.end is None else report.end.get("ended")
    if exited.timed_out or exited.cancelled or report.end is None or raw is None:
        cut_off = _cut_off(step, exited, attempt.seconds_for(step.timeout), report)
        return Ended(usage=figures, failure=cut_off, process=process, began=exited.began)
    try:
        inner = msgspec.json.decode(raw, type=Ended)
    except msgspec.DecodeError as error:
        unreadable = Failure(kind="protocol", reason=f"its report cannot be read: {error}")
        return Ended(usage=figures, failure=unreadable, process=process, began=exited.began)
    failure, exception_report = inner.failure, report.end.get("shown")
    if failure is None:
        end = "returned ok" if inner.skipped is None else "was skipped"
        failure = _failure_after_report(exited, report, end)
    elif exception_report is not None:
        raised = Raised.there(failure.reason, exception_report)
        failure = msgspec.structs.replace(failure, exception=raised)
    return msgspec.structs.replace(
        inner,
        usage=_with_own_figures(figures, inner.usage),
        failure=failure,
        skipped=None if failure else inner.skipped,
        process=process,
        began=exited.began,
    )


def _failure_after_report(exited: CommandResult, report: EndReport, end: str) -> Failure | None:
    """Return the failure of a process after successful step code; None if it ended well."""
    if report.invalid is not None:
        return Failure(kind="protocol", reason=report.invalid)
    if exited.wrong is None:
        return None
    kind: Kind = "signal" if exited.signal else "crash"
    return Failure(kind=kind, reason=f"{end}, and then {exited.wrong}")


def _cut_off(
    step: PythonStep, exited: CommandResult, timeout: float | None, report: EndReport
) -> Failure:
    """Return the failure of a step whose process ended without a valid report."""
    if failure := cut_off(exited, step, timeout):
        return failure
    if exited.signal:
        return Failure(kind="signal", reason=f"ended by {exited.signal}{_foreign_reports(report)}")
    if report.invalid is not None:
        return Failure(kind="protocol", reason=report.invalid)
    if exited.status is None:
        reason = f"the exit status of its process is not known{_foreign_reports(report)}"
        return Failure(kind="crash", reason=reason)
    how = "os._exit or the like" if exited.code == 0 else "a crash, os._exit or the like"
    end = f"its process ended with exit code {exited.code} before it returned ({how})"
    return Failure(kind="crash", reason=f"{end}{_foreign_reports(report)}")


def _foreign_reports(report: EndReport) -> str:
    """Return a note on child processes that sent an end report for the step; empty if none did."""
    if not report.others:
        return ""
    pids = ", ".join(map(str, report.others))
    return f"; what its child (pid {pids}) reported in its place does not count"


def _lost(lost: LaneLost, step: PythonStep, timeout: float | None, importing: str) -> Failure:
    failure = lost_failure(lost, step, timeout)
    if importing:  # the lane itself imports; the step code would run in a fork of the lane
        reason = f"{failure.reason}, while module '{importing}' was imported"
        failure = msgspec.structs.replace(failure, reason=reason)
    return failure


def _with_own_figures(figures: Resources, own: Resources) -> Resources:
    """Return the usage that a lane measured, plus figures that only the process itself measures."""
    source = figures.source | {name: own.source[name] for name in ("heap",) if name in own.source}
    return msgspec.structs.replace(
        figures,
        rss_delta=own.rss_delta,
        heap_current=own.heap_current,
        heap_peak=own.heap_peak,
        source=source,
    )


_CONTEXT_OPERATIONS = frozenset(OPERATIONS)


class StepConversation(Conversation):
    """Server side of a step's connection, which also answers requests beside the Context.

    Args:
        context: The step's own handle to the Context.
        questions: Asker of the questions; None if the type of the step asks none.
        instruments: Access to the instruments of the station; None without them.
        ending: Returns the end of the step, which ends the wait for an instrument.
    """

    __slots__ = ("_began", "_ending", "_instruments", "_questions", "_step_context")

    def __init__(
        self,
        context: Context,
        questions: AttemptQuestions | None,
        instruments: "RecipeInstruments | None",
        ending: "Callable[[], Ending]",
    ) -> None:
        super().__init__(context)
        self._step_context = context
        self._began = time.time_ns() // 1000
        self._questions, self._instruments, self._ending = questions, instruments, ending

    def execute(self, request: Request) -> Reply:
        """Execute a request and return its reply; an answer is the value of its reply."""
        if request.op in _CONTEXT_OPERATIONS:
            # The process waits for the reply, which may take long while this process is busy. Its
            # clock is that of this machine, but its code may send any time.
            self._step_context.asked_at(max(request.at, self._began) if request.at else 0)
            return super().execute(request)
        if request.op == ASK and self._questions is not None:
            return self._asked(request, self._questions)
        from pytest_orchestrator.execution.instruments import use
        from pytest_orchestrator.instrument import INSTRUMENT

        if request.op != INSTRUMENT:
            return super().execute(request)  # refuses it
        if self._instruments is None:
            value = use.no_access(request.value)
        else:
            value = self._instruments.reply(request.value, self._ending())
        return Reply(ok=True, value=value, id=request.id)

    def _asked(self, request: Request, questions: AttemptQuestions) -> Reply:
        try:
            answer = questions.ask(msgspec.convert(request.value, Question))
        except (NoAnswer, msgspec.ValidationError) as error:
            return refusal(error, request.id)
        return Reply(ok=True, value=msgspec.to_builtins(answer), id=request.id)
