"""Bounds of expressions: their deadline, the size of their values, and the limits of a collection.

The deadline is checked between two calls. A call that does not return is left to the watchdog of
the step; at collection, to the limits of the process that evaluates the expression.

To collect a recipe is safe, even one of an unknown author. So at collection an expression that is
more than a name or a literal is evaluated in a fork of this process. All files share one fork,
which begins with the first such expression and ends with the collection.
"""

import contextlib
import marshal
import os
import select
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, Final, NoReturn

MOST: Final = 1_000_000
"""Most characters and items of the value of an expression, and of the result of ``*``."""

MOST_COLLECTED: Final = 30_000_000
"""Most characters and items of all values of a collection, which pytest keeps."""

MOST_BITS: Final = 1 << 16
"""Most bits of a whole number that an expression may compute."""

_EVER = (float("inf"), 0.0)
_DEADLINE: ContextVar[tuple[float, float]] = ContextVar("deadline of expressions", default=_EVER)
"""The deadline on the clock ``time.monotonic``, and the time limit in seconds for messages."""

Guard = Callable[[float], AbstractContextManager[None]]
"""Function of the seconds that are left: guards a call, which may not return."""

_GUARD: ContextVar[Guard | None] = ContextVar("guard of expressions", default=None)

_IS_COLLECTING: ContextVar[bool] = ContextVar("expressions of a collection", default=False)


class TimeUp(Exception):
    """Exception for an expression whose deadline has passed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"still evaluating after {seconds:g} s")


@contextmanager
def time_limit(
    seconds: float | None, *, begun: float | None = None, guard: Guard | None = None
) -> Iterator[None]:
    """Limit the time of the expressions in a ``with`` block; an outer limit still applies.

    Args:
        seconds: The time limit; None sets no limit.
        begun: Start of the time on the clock ``time.monotonic``; None is the current time.
        guard: Guards each evaluation; None leaves an outer guard.
    """
    start = time.monotonic() if begun is None else begun
    own = _EVER if seconds is None else (start + seconds, seconds)
    token = _DEADLINE.set(min(own, _DEADLINE.get()))
    outer = _GUARD.set(guard or _GUARD.get())
    try:
        yield
    finally:
        _GUARD.reset(outer)
        _DEADLINE.reset(token)


@contextmanager
def collecting() -> Iterator[None]:
    """Evaluate the expressions in a ``with`` block under the limits of a collection."""
    token = _IS_COLLECTING.set(True)
    try:
        yield
    finally:
        _IS_COLLECTING.reset(token)


def is_collecting() -> bool:
    """Return True within a ``with`` block of `collecting`."""
    return _IS_COLLECTING.get()


def check() -> None:
    """Raise TimeUp if the deadline has passed."""
    end, seconds = _DEADLINE.get()
    if time.monotonic() > end:
        raise TimeUp(seconds)


def guarded() -> AbstractContextManager[None]:
    """Return the context manager that guards an evaluation."""
    guard = _GUARD.get()
    left = _DEADLINE.get()[0] - time.monotonic()
    return nullcontext() if guard is None else guard(max(0.0, left))


def check_product(operator: str, left: Any, right: Any) -> None:
    """Raise OverflowError if ``*`` or ``**`` would give a value that is too large."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        is_power = operator == "**" and bits > 1
        size = bits * abs(right) if is_power else bits + right.bit_length()
        if size > MOST_BITS:
            given = f"`{operator}` would give a number of {size:,} bits"
            raise OverflowError(f"{given}; {MOST_BITS:,} are the most")
        return
    for repeated, times in ((left, right), (right, left)):
        if isinstance(repeated, str | list | tuple) and isinstance(times, int):
            size = len(repeated) * times
            unit = "characters" if isinstance(repeated, str) else "items"
            if size > MOST:
                raise OverflowError(f"`*` would give {size:,} {unit}; {MOST:,} are the most")


class Room:
    """The characters and items that a value, or all values of a collection, may still have.

    Args:
        most: Their number.
        what: The subject of the message if they have more.
        outer: A room in which this one is.
    """

    def __init__(
        self, most: int = MOST, what: str = "its value has", outer: "Room | None" = None
    ) -> None:
        self._most, self._what, self._outer = most, what, outer
        self._left = most

    def take(self, size: int) -> None:
        """Subtract a size.

        Raises:
            OverflowError: There is no room for it.
        """
        self._left -= size
        if self._left < 0:
            most = f"more than {self._most:,} characters and items"
            raise OverflowError(f"{self._what} {most}")
        if self._outer is not None:
            self._outer.take(size)


SECONDS: Final = 2.0
"""Seconds for all expressions of a collection together."""

MEMORY: Final = 300 << 20
"""Bytes that the fork may add to the memory that it shares with this process."""

Reply = tuple[str, Any]
"""An empty text and the value; or the name of an exception class and the reason."""


class CollectionProcess:
    """The fork that evaluates the expressions of one collection, and its limits.

    Args:
        reply: Evaluates an expression, given by its text and the values of names, in the fork.
    """

    def __init__(self, reply: Callable[[str, dict[str, Any]], Reply]) -> None:
        self._reply = reply
        self._pid, self._left = 0, SECONDS
        self._streams: tuple[IO[bytes], IO[bytes]] | None = None

    def evaluate(self, text: str, names: Mapping[str, Any]) -> Reply:
        """Evaluate an expression in the fork.

        Raises:
            TimeUp: The time is over.
            OverflowError: No time was left, or the fork has ended.
        """
        if self._left <= 0:
            most = f"more than {SECONDS:g} s at collection"
            raise OverflowError(f"the expressions of all files together take {most}")
        if self._streams is None:
            self._streams = self._fork()
        requests, replies = self._streams
        begun = time.monotonic()
        try:
            marshal.dump((text, dict(names)), requests)
            requests.flush()
            poll = select.poll()
            poll.register(replies, select.POLLIN)
            has_ended = bool(poll.poll(self._left * 1000))
            reply: Reply | None = marshal.load(replies) if has_ended else None  # noqa: S302 - our own
        except (EOFError, BrokenPipeError):
            self.end()
            raise OverflowError("it ended the process that evaluates it") from None
        except BaseException:  # Ctrl-C too: the reply would be that of the next expression
            self.end()
            raise
        finally:
            self._left -= time.monotonic() - begun
        if reply is None:
            self.end()
            raise TimeUp(SECONDS)
        return reply

    def end(self) -> None:
        """End the fork."""
        streams, self._streams = self._streams, None
        if streams is not None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            for one in streams:
                with contextlib.suppress(OSError):  # it holds the rest of a request
                    one.close()

    def _fork(self) -> tuple[IO[bytes], IO[bytes]]:
        inner_requests, requests = os.pipe()
        replies, inner_replies = os.pipe()
        with warnings.catch_warnings():
            # Python warns of other threads, whose locks a fork may wait for: it would end at its
            # time limit. A new interpreter needs 20 times as long.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if not self._pid:
            os.close(requests)
            os.close(replies)
            _serve(self._reply, os.fdopen(inner_requests, "rb"), os.fdopen(inner_replies, "wb"))
        os.close(inner_requests)
        os.close(inner_replies)
        return os.fdopen(requests, "wb"), os.fdopen(replies, "rb")


def _serve(
    reply: Callable[[str, dict[str, Any]], Reply], requests: IO[bytes], replies: IO[bytes]
) -> NoReturn:
    """Evaluate expressions until there are no more requests."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _limit_resources()
        while True:
            text, names = marshal.load(requests)  # noqa: S302 - our own process
            marshal.dump(reply(text, names), replies)
            replies.flush()
    finally:
        os._exit(0)


def _limit_resources() -> None:
    import resource

    # If the other process is killed, nothing else ends an expression that takes for ever.
    seconds = int(SECONDS) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    with contextlib.suppress(OSError, ValueError):  # other systems have no limit of memory
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        shared = pages * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (shared + MEMORY, shared + MEMORY))
