"""Access of a step's programs to the Context server, and the wait for a lane's reply.

Few programs use the Context, so no thread waits for their connections: the thread that waits for
the lane's reply also polls the listening socket, and starts the server at the first connection.
"""

import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from pytest_orchestrator.context.context import Context

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.messages import CommandResult


class ContextAccess(Protocol):
    """Access of programs to the Context server, by a token for each step."""

    @property
    def forms(self) -> tuple[bytes, ...]:
        """Forms of the token, as bytes to mask in output; empty if it is already a secret."""

    @property
    def listener(self) -> "socket.socket | None":
        """The listening socket to poll; None while the server accepts connections itself."""

    def open(self, step: str, context: Context) -> Mapping[str, str]:
        """Admit the programs of a step; return environment variables with address and token."""

    def close(self, variables: Mapping[str, str]) -> None:
        """Revoke the token in the variables; wait until its current request is answered."""

    def start_server(self) -> None:
        """Start the server, which answers requests in threads."""

    def mask_token(self, data: bytes = b"", *, surely: bool = False) -> None:
        """Add the token to the session's secrets if ``data`` contains it or ``surely`` is true."""


def mask_printed_token(result: "CommandResult", access: ContextAccess | None) -> None:
    """Add the Context token to the secrets of the session if a program has printed it."""
    if access is not None and (result.stdout.replaced or result.stderr.replaced):
        outputs = (result.stdout, result.stderr)
        for raw in (raw for output in outputs for _, raw in output.replaced):
            access.mask_token(raw, surely=raw in access.forms)


IDLE_AFTER: Final = 0.25
"""Seconds after which a step counts as long; idle work starts only then, to spare short steps."""

_A_DAY: Final = 86_400.0  # poll accepts at most about 24 days


def lane_waiter(
    on_idle: Callable[[], None], access: ContextAccess | None = None
) -> Callable[[socket.socket, float | None], None]:
    """Return a function that waits for a lane's reply and meanwhile starts other work.

    The function calls ``on_idle`` once after `IDLE_AFTER`, and starts the Context server at the
    first connection. It returns when the lane's socket is readable or both are done, and raises
    TimeoutError at the deadline.

    Args:
        on_idle: Starts the idle work.
        access: The access to the Context server; None if the programs have none.
    """
    listener = None if access is None else access.listener

    def wait(lane: socket.socket, deadline: float | None) -> None:
        idle_done, server_started = False, listener is None
        idle_at = time.monotonic() + IDLE_AFTER
        poll = select.poll()
        poll.register(lane, select.POLLIN)
        if listener is not None:
            poll.register(listener, select.POLLIN)
        while not (idle_done and server_started):
            now = time.monotonic()
            left = _A_DAY if deadline is None else min(_A_DAY, max(0.0, deadline - now))
            pause = left if idle_done else min(left, max(0.0, idle_at - now))
            ready = {fd for fd, _ in poll.poll(pause * 1000)}
            if lane.fileno() in ready:
                return
            if not ready and not idle_done and pause < left:
                idle_done = True
                on_idle()
            elif not ready and left < _A_DAY:
                raise TimeoutError
            elif ready and listener is not None and access is not None:
                server_started = True
                poll.unregister(listener)
                access.start_server()

    return wait
