"""The process that evaluates expressions at collection, with limits of its memory and time.

To collect a recipe is safe, even one of an unknown author. So an expression that is more
than a name or a literal is evaluated in a fork of this process. All files share one fork, which
begins with the first such expression and ends with the collection.
"""

import contextlib
import marshal
import os
import select
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from pytest_orchestrator.recipe.expressions.bounds import TimeUp

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
