"""Link between a session and a worker process: requests over a connection of Dask.

The session connects to the worker at the address of the worker in Dask, as clients of Dask do. So
encryption, certificates and framing are those of Dask, and pytest listens at no port.

A connection that breaks is replaced. The worker then sends its unanswered requests again; the
session executes each of them once, and in their order. Workers claim attempts by messages of their
own, and show by others that they live.
"""

import asyncio
import contextlib
import itertools
import os
import pickle
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import msgspec

from pytest_orchestrator.execution.remote.addon import InterruptibleEvent, RequestRefused, refusal

OPERATION: Final = "pytest_orchestrator"
"""Name of the handler that a worker of Dask gets for links."""
_PAUSE: Final = 0.2
_RECONNECT_SECONDS: Final = 3.0
"""Seconds after a connection was closed until its session counts as ended.

The network works if it reports the end of a connection, so a living session connects again.
"""
_OVER: Final = 0
"""Number of the reply with which a session ends; requests are numbered from 1."""

Respond = Callable[[Any], object]
"""Function that sends the reply to a request; thread-safe."""
Answer = Callable[[str, str, Any], Any]
"""Function that executes a request: id of the link, operation, value.

It returns the reply, or a function that is called with a `Respond` and replies later.
"""


class WorkerLink:
    """Worker's end of a link, which sends requests.

    Args:
        loop: The event loop of Dask in this process.

    Attributes:
        id: Unique id of the link.
        is_over: True if the session has ended, or has not connected again in time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.id = os.urandom(8).hex()
        self.is_over = False
        self._loop = loop
        self._numbers = itertools.count(1)
        self._requests: dict[int, tuple[bytes, asyncio.Future[Any]]] = {}
        self._comm: Any = None

    def request(self, operation: str, value: Any = None, timeout: float | None = None) -> Any:
        """Send a request and wait for its reply; not in the thread of the event loop.

        Args:
            operation: The operation; see `execution.remote.attempt`.
            value: Its value, of any types that can be pickled.
            timeout: Seconds to wait; None waits until the session has ended.

        Raises:
            RequestRefused: The session refuses the request, or the operation fails there.
            OSError: The session has ended, or has not replied in time.
        """
        message = pickle.dumps((operation, value))
        if self._loop.is_closed():
            raise _session_error()
        asked = self._ask(message)
        waiting: Future[Any] = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return waiting.result(timeout)
        except TimeoutError:
            waiting.cancel()
            raise

    async def attach(self, comm: Any) -> None:
        """Use a connection of the session until it breaks."""
        self._comm = comm
        with contextlib.suppress(OSError):
            for number in sorted(self._requests):
                await self._send(number)
            while not self.is_over:
                number, error, value = await comm.read()
                if number == _OVER:
                    self._end()
                elif number in self._requests:
                    self._settle(self._requests[number][1], error, value)
        if self._comm is comm:
            self._comm = None
            self._loop.call_later(_RECONNECT_SECONDS, self._end_if_broken)

    def close(self) -> None:
        """End the link: unanswered and later requests raise `OSError`. Thread-safe."""
        with contextlib.suppress(RuntimeError):  # Dask has ended its event loop
            self._loop.call_soon_threadsafe(self._end)

    async def _ask(self, message: bytes) -> Any:
        if self.is_over:
            raise _session_error()
        number = next(self._numbers)
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._requests[number] = message, reply
        try:
            await self._send(number)
            return await reply
        finally:
            del self._requests[number]

    async def _send(self, number: int) -> None:
        if self._comm is not None:
            with contextlib.suppress(OSError):  # `attach` sends it over the next connection
                message = self._requests[number][0]
                await self._comm.write((self.id, number, min(self._requests), message))

    @staticmethod
    def _settle(reply: "asyncio.Future[Any]", error: str, value: bytes) -> None:
        if reply.done():
            return
        if error:
            reply.set_exception(RequestRefused(error))
        else:
            reply.set_result(pickle.loads(value))  # noqa: S301  # the session may run any code here

    def _end_if_broken(self) -> None:
        if self._comm is None:
            self._end()

    def _end(self) -> None:
        self.is_over = True
        if self._comm is not None:
            self._comm.abort()
        for _, reply in self._requests.values():
            if not reply.done():
                reply.set_exception(_session_error())


def _session_error() -> OSError:
    return OSError("the session is over, or was not heard for too long")


class SessionLink:
    """Session's end of a link, which executes the requests of one worker process.

    Args:
        connect: Connects to the worker.
        greeting: The first message for Dask's worker, which selects the handler.
        answer: Executes a request; called in one thread of this link, in the order of requests.
        loop: The event loop of Dask in this process.

    Attributes:
        is_open: True until the link is closed, or the worker cannot be reached any more.
        is_ready: Set when the worker has sent its first request.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Any]],
        greeting: dict[str, Any],
        answer: Answer,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.is_open = True
        self.is_ready = InterruptibleEvent()
        self._connect, self._greeting, self._answer, self._loop = connect, greeting, answer, loop
        self._comm: Any = None
        self._replies: dict[tuple[str, int], asyncio.Task[tuple[str, bytes]]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dask-link")
        self._run = asyncio.run_coroutine_threadsafe(self._connect_repeatedly(), loop)

    def close(self, seconds: float) -> None:
        """End the session for the worker; wait at most some seconds for that."""
        with contextlib.suppress(Exception):  # a worker that is gone needs no message
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(seconds)
        self._run.cancel()
        self._thread.shutdown(wait=False)

    async def _close(self) -> None:
        self.is_open = False
        if self._comm is not None:
            await self._comm.write((_OVER, "", b""))
            await self._comm.close()

    async def _connect_repeatedly(self) -> None:
        connected_at = time.monotonic()
        while self.is_open and time.monotonic() - connected_at < SILENCE:
            with contextlib.suppress(OSError):
                self._comm = await self._connect()
                await self._comm.write(self._greeting)
                while (message := await self._comm.read()) is not None:
                    connected_at = time.monotonic()
                    self._receive(self._comm, *message)
                break  # a new process at this address does not know the operation
            await asyncio.sleep(_PAUSE)
        self.is_open = False

    def _receive(self, comm: Any, link: str, number: int, oldest: int, message: bytes) -> None:
        self.is_ready.set()
        for key in [key for key in self._replies if key[0] != link or key[1] < oldest]:
            del self._replies[key]
        if (link, number) not in self._replies:
            executed = self._loop.create_task(self._execute(link, message))
            self._replies[link, number] = executed
        sending = self._loop.create_task(self._reply(comm, number, self._replies[link, number]))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _execute(self, link: str, message: bytes) -> tuple[str, bytes]:
        """Execute a request; return the text of an error, and the value of the reply."""
        try:
            operation, value = pickle.loads(message)  # noqa: S301  # as Dask does with each result
            value = await self._loop.run_in_executor(
                self._thread, self._answer, link, operation, value
            )
            if callable(value):
                later: asyncio.Future[Any] = self._loop.create_future()
                value(lambda reply: self._loop.call_soon_threadsafe(later.set_result, reply))
                value = await later
            return "", pickle.dumps(value)
        except Exception as error:  # noqa: BLE001  # no request of a worker may end the link
            return refusal(error, 0).error, b""

    @staticmethod
    async def _reply(comm: Any, number: int, executed: "asyncio.Task[tuple[str, bytes]]") -> None:
        reply = await executed
        with contextlib.suppress(OSError):  # the worker repeats the request
            await comm.write((number, *reply))


HEARTBEAT: Final = "heartbeat"
"""Request of a worker process with the ids of the attempts that it runs or is about to claim.

The reply is a mapping of the attempts to end; the value true means without a grace period.
"""
CLAIM: Final = "claim"

HEARTBEAT_SECONDS: Final = 0.5
"""Seconds between two heartbeats; the reply to a heartbeat carries cancellations."""
SILENCE: Final = 30.0
"""Seconds without a request after which a worker is lost; it has ended its attempts by then."""


class ClaimRequest(msgspec.Struct, frozen=True):
    """Request of a worker to run an attempt.

    Attributes:
        worker: Name of the worker.
        host: Name of its machine.
        link: Id of the link of the worker process.
    """

    worker: str
    host: str
    link: str
