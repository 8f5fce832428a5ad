"""Use of instruments by the steps of one recipe run."""

import contextlib
import math
import select
import socket
import threading
import time
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any, Final, Self

from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.core.result import Ended, Failure, lasted
from pytest_orchestrator.execution.instruments.bench import Bench, Ending, StepOver
from pytest_orchestrator.execution.interruptible import InterruptibleEvent, InterruptibleFuture
from pytest_orchestrator.execution.outcome import user_frames
from pytest_orchestrator.instrument import (
    Author,
    Instrument,
    InstrumentError,
    InstrumentRequest,
    json_value,
    parsed,
    reply,
    shown,
)
from pytest_orchestrator.recipe.model.step import InstrumentQuery

_A_DAY = 86_400.0

_NOT_A_NUMBER: Final = 9.9e37
"""Least value by which SCPI instruments say that there is no number, or that it is infinite."""


class RecipeInstruments:
    """Access to the instruments of the station for the steps of one recipe run.

    Args:
        bench: The bench.
        recipe: Key of the recipe.
        lock: Claims the lock of that name for the recipe, and waits for it; returns False if the
            event is set before.

    Attributes:
        over: It is set while the run ends and its services may still run: their requests are not
            sent, because they would undo the safe state.
    """

    def __init__(
        self, bench: Bench, recipe: str, lock: Callable[[str, threading.Event | None], bool]
    ) -> None:
        self._bench, self._recipe, self._lock = bench, recipe, lock
        self._author, self.over = Author(recipe), InterruptibleEvent()

    def used_by(self, step: str, attempt: int = 1, element: int | None = None) -> Self:
        """Return the same access for the requests of a step, whose exchanges name it; see `Author`.

        Args:
            step: Name of the step, sampled value or hand-written test.
            attempt: Number of the attempt.
            element: Index of the element of ``foreach``.
        """
        other = copy(self)
        other._author = Author(self._recipe, step, attempt, element)  # noqa: SLF001 - a copy
        return other

    def reply(self, value: Any, ending: Ending) -> dict[str, Any]:
        """Execute a request that came from a step's process; return its reply as plain JSON.

        Args:
            value: The request, as `Instrument` made it.
            ending: The end of the step.
        """
        if not self.over.is_set():
            with contextlib.suppress(StepOver):
                return reply(value, partial(self._execute, ending=ending))
        if self.over.is_set():
            ending.wait()
        return {"value": None}  # the step has ended

    def opener(self, name: str) -> Instrument:
        """Return the handle of an instrument, for a step or a test in this process.

        Raises:
            InstrumentError: The station has no instrument of that name.
        """
        __tracebackhide__ = True
        self._answer({"name": name, "do": "find"})
        return Instrument(name, self._answer)

    def sampled(self, name: str, query: str) -> str:
        """Return the answer to the query of a sampled value.

        No record is logged: it would stand in the log of the step that runs at this moment. The
        journal has the exchange under the name of the sampled value.

        Raises:
            InstrumentError: There is no such instrument, or no valid answer.
        """
        return str(self._answer({"name": name, "do": "query", "command": query}))

    def _answer(self, value: Any) -> Any:
        __tracebackhide__ = True
        try:
            return json_value(self._execute(parsed(value)))
        except InstrumentError as error:
            raise user_frames(error)  # noqa: B904 - it is the same exception

    def _execute(self, request: InstrumentRequest, ending: Ending | None = None) -> Any:
        if request.do == "find":
            self._bench.settings(request.name)
            return None
        ending = ending or Ending()  # one that only Ctrl-C ends
        ending.author = self._author
        try:
            return self._bench.execute(request, self._recipe, self._lock, ending)
        except LockError as error:
            name, message = request.name, f"{request.name}: {error}"
            raise InstrumentError(message, instrument=name, kind="refused") from None


def no_access(value: Any) -> dict[str, Any]:
    """Return the reply to a request of a step that has no access to instruments.

    Args:
        value: The request, as `Instrument` made it.
    """

    def refuse(request: InstrumentRequest) -> None:
        raise no_station(request.name)

    return reply(value, refuse)


def no_station(name: str) -> InstrumentError:
    """Return the error of a step that has no access to an instrument.

    Args:
        name: Name of the instrument.
    """
    return InstrumentError(
        f"{name}: there is no station file here (station.yaml, or --recipe-station); steps on "
        "workers of Dask have none either",
        instrument=name,
        kind="refused",
    )


def sample(step: InstrumentQuery, instruments: RecipeInstruments | None) -> Ended:
    """Query an instrument once, and return the number that it answers.

    Args:
        step: The sampled value.
        instruments: The access of the recipe run; None without a station file.
    """
    began, started = time.time(), time.monotonic()
    value, failure = None, None
    try:
        if instruments is None:
            raise no_station(step.instrument)
        value = _number(step, instruments.sampled(step.instrument, step.query))
    except InstrumentError as error:
        failure = Failure(kind="status", reason=str(error))
    usage = lasted(time.monotonic() - started)
    return Ended(usage=usage, value=value, failure=failure, began=began)


def _number(step: InstrumentQuery, answer: str) -> float:
    """Return the number of an answer, such as ``+1.20E-03``, or the first of several.

    Raises:
        InstrumentError: The answer is no number.
    """
    try:
        value = float(answer.partition(",")[0])
    except ValueError:
        value = math.nan
    if math.isfinite(value) and abs(value) < _NOT_A_NUMBER:
        return value
    raise InstrumentError(
        f"{step.instrument}: '{step.query}' was answered with '{shown(answer, 80)}', no number",
        instrument=step.instrument,
        command=step.query,
        kind="protocol",
    )


class LaneEnding(Ending):
    """The end of a step in a lane: its socket is readable as soon as the step has ended.

    Args:
        lane: The socket of the lane.
        deadline: The time of ``time.monotonic`` at which the lane must have replied; None if
            there is none.
    """

    def __init__(self, lane: socket.socket, deadline: float | None) -> None:
        super().__init__()
        self._lane, self._deadline = lane, deadline

    def wait_for(self, answer: InterruptibleFuture, deadline: float) -> bool:
        """Wait until an answer has arrived; see `Ending`."""
        if answer.done():
            return True
        done, other = socket.socketpair()
        with done, other:

            def notify(_: InterruptibleFuture) -> None:
                with contextlib.suppress(OSError):  # the wait is over
                    other.send(b"!")

            answer.add_done_callback(notify)
            until = deadline if self._deadline is None else min(deadline, self._deadline)
            ready = self._is_readable(until - time.monotonic(), done)
        if answer.done():
            return True
        if not ready and until == deadline:
            raise TimeoutError
        return False

    def is_set(self) -> bool:
        """Return True if the step has ended."""
        return self.wait(0.0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the step has ended; return False after `timeout` seconds."""
        seconds = _A_DAY if timeout is None else timeout
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                return True
            seconds = min(seconds, left)
        return self._is_readable(seconds)

    def _is_readable(self, seconds: float, *others: socket.socket) -> bool:
        """Wait until the lane, or another socket, is readable; return False if none is in time."""
        poll = select.poll()
        for one in (self._lane, *others):
            poll.register(one, select.POLLIN)
        return bool(poll.poll(1000 * min(_A_DAY, max(0.0, seconds))))
