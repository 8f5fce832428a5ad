"""Client of the attempt broker; repeats a request over a new connection.

Whoever is cut off in the middle does not know whether it was done. So all that is asked may be
asked again: what is told counts once, and operations on the Context are numbered.
"""

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, too_long
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.execution.dask.messages import (
    LONGEST,
    ONCE,
    PATIENCE,
    NumberedRequest,
    read,
)

if TYPE_CHECKING:
    from pytest_orchestrator.execution.dask.agent import WorkerAgent

_ANSWER: Final = 30.0
_PAUSE: Final = 0.2
_LARGEST: Final = LONGEST - 1024  # bytes of what is told: what is around it has room

T = TypeVar("T")


class BrokerClient:
    """Asks the session; one thread at a time.

    Args:
        stay: Where the session is, and whether it is heard.
        token: What lets a worker claim the try.

    Attributes:
        has_pulse: The session is heard by a pulse, which decides for how long it is waited for.
        context: The Context of the session, for the body.
    """

    def __init__(self, stay: "WorkerAgent", token: str) -> None:
        self.has_pulse = False
        self.context = _Lasting(self.ask)
        self._stay, self._token = stay, token
        self._link: RemoteContext | None = None

    def ask(self, op: str, value: msgspec.Struct | None = None) -> Any:
        """Ask for something.

        Args:
            op: What for; see `execution.dask.messages`.
            value: What goes with it.

        Returns:
            The answer, as plain JSON.

        Raises:
            RequestRefused: The session does not want that, or cannot do it.
            OSError: It is gone, or was not there for too long.
        """
        line = msgspec.Raw(msgspec.json.encode(value))
        if len(line) > _LARGEST:  # the session would hang up, time and again
            raise too_long(_LARGEST)
        try:
            return self._again(lambda link: link.request(op, line))
        except OSError:
            raise
        except OrchestratorError as error:
            raise RequestRefused(str(error)) from None

    def keep(self) -> None:
        """Leave the connection to other tries: all that was asked was answered."""
        link, self._link = self._link, None
        if link is not None:
            self._stay.connections.keep(link)

    def close(self) -> None:
        """Close the connection: something may not have been answered."""
        if self._link is not None:
            self._link.close()

    def shut_down(self) -> None:
        """Let nobody wait for an answer any more; from any thread."""
        link = self._link  # whose thread may just be giving it up
        if link is not None:
            link.shut_down()

    def _again(self, what: Callable[[RemoteContext], T]) -> T:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                if self._link is None:
                    self._link = self._connected()
                return what(self._link)
            except OSError:  # any other error is an answer
                if self._link is not None:
                    self._link.close()
                    self._link = None
                if self._stay.is_over or (not self.has_pulse and time.monotonic() > until):
                    raise
                time.sleep(_PAUSE)

    def _connected(self) -> RemoteContext:
        stay = self._stay
        return stay.connections.take(self._token) or RemoteContext.connect(
            stay.address, self._token, timeout=_ANSWER
        )


class _Lasting(RemoteContext):
    """The Context of the session, each of whose operations is done once."""

    __slots__ = ("_ask_for", "_numbers")

    def __init__(self, ask_for: Callable[[str, msgspec.Struct], Any]) -> None:
        self._name = self._owned_socket = None
        self._ask_for, self._numbers = ask_for, itertools.count(1)

    def _reply(self, op: str, path: Any, value: Any, index: int, who: Any) -> Reply:
        asked = Request(op=op, path=path, value=value, index=index, who=who)
        return read(self._ask_for(ONCE, NumberedRequest(next(self._numbers), asked)), Reply)
