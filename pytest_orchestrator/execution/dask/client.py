"""Client of the attempt broker; repeats a request over a new connection.

After a broken connection the client does not know whether its request was executed. So all
requests are numbered, and the session executes each number once.
"""

import itertools
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, too_long
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.execution.dask.messages import (
    MAX_REQUEST,
    NUMBERED,
    NumberedRequest,
    read,
)

if TYPE_CHECKING:
    from pytest_orchestrator.execution.dask.agent import WorkerAgent

_REPLY_TIMEOUT: Final = 30.0
_PAUSE: Final = 0.2
_MAX_VALUE: Final = MAX_REQUEST - 1024
"""Maximum bytes of a value; the rest of the limit is for the request around it."""

T = TypeVar("T")


class BrokerClient:
    """Client that sends the requests of one attempt to the session; for one thread at a time.

    Args:
        agent: The agent of this process, which has the address of the session.
        token: Token with which the worker claims the attempt.

    Attributes:
        context: The Context of the session, for the step code.
    """

    def __init__(self, agent: "WorkerAgent", token: str) -> None:
        self.context = _NumberedContext(self.reply)
        self._agent, self._token = agent, token
        self._id, self._numbers = os.urandom(8).hex(), itertools.count(1)
        self._link: RemoteContext | None = None

    def ask(self, op: str, value: msgspec.Struct | None = None) -> Any:
        """Send a request for an operation of the attempt; see `reply`.

        Args:
            op: The operation; see `execution.dask.messages`.
            value: The message.

        Returns:
            The result, as plain JSON.

        Raises:
            RequestRefused: The session refuses the request, or the operation fails there.
            OSError: The session has ended, or was unreachable for too long.
        """
        reply = self.reply(Request(op=op, value=value))
        if not reply.ok:
            raise RequestRefused(reply.error)
        return reply.value

    def reply(self, request: Request) -> Reply:
        """Send a request, and repeat it over a new connection if the connection breaks.

        Raises:
            RequestRefused: The request is too large, or the session does not know the attempt.
            OSError: The session has ended, or was unreachable for too long.
        """
        numbered = NumberedRequest(self._id, next(self._numbers), request)
        line = msgspec.Raw(msgspec.json.encode(numbered))
        if len(line) > _MAX_VALUE:  # the session would close each new connection
            raise too_long(_MAX_VALUE)
        try:
            return read(self._retry(lambda link: link.request(NUMBERED, line)), Reply)
        except OSError:
            raise
        except OrchestratorError as error:
            raise RequestRefused(str(error)) from None

    def release(self) -> None:
        """Return the connection to the pool; all its requests must have been answered."""
        link, self._link = self._link, None
        if link is not None:
            self._agent.connections.release(link)

    def close(self) -> None:
        """Close the connection instead of pooling it, since a request may be unanswered."""
        if self._link is not None:
            self._link.close()

    def shut_down(self) -> None:
        """Shut the connection down, so that a blocked request fails immediately. Thread-safe."""
        link = self._link  # the attempt's thread may set the attribute to None at any time
        if link is not None:
            link.shut_down()

    def _retry(self, send: Callable[[RemoteContext], T]) -> T:
        while True:
            try:
                if self._link is None:
                    self._link = self._connected()
                return send(self._link)
            except OSError:  # other exceptions are errors of the session, and final
                if self._link is not None:
                    self._link.close()
                    self._link = None
                if self._agent.is_over:
                    raise
                time.sleep(_PAUSE)

    def _connected(self) -> RemoteContext:
        agent = self._agent
        return agent.connections.acquire(self._token) or RemoteContext.connect(
            agent.address, self._token, timeout=_REPLY_TIMEOUT
        )


class _NumberedContext(RemoteContext):
    """Access to the session's Context through the client of an attempt."""

    __slots__ = ("_send",)

    def __init__(self, send: Callable[[Request], Reply]) -> None:
        self._name = self._owned_socket = None
        self._send = send

    def _reply(self, op: str, path: Any, value: Any, index: int, who: Any) -> Reply:
        return self._send(Request(op=op, path=path, value=value, index=index, who=who))
