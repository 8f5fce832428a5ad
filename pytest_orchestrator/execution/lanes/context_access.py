"""Context access of a step's programs, and the wait loop that serves it.

Most steps never knock. So nobody stands behind the door: who waits for the end of a step hears
a knock as well, and has it answered from then on.
"""

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from pytest_orchestrator.context.context import Context

if TYPE_CHECKING:
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.lanes.messages import CommandResult


class ContextAccess(Protocol):
    """Lets programs ask the Context."""

    @property
    def forms(self) -> tuple[bytes, ...]:
        """What is masked in what they print, as long as it is not among the secrets."""

    @property
    def listener(self) -> "socket.socket | None":
        """What is to be listened to; None where a knock is answered by itself."""

    def open(self, step: str, context: Context) -> Mapping[str, str]:
        """Let the programs of a step in; return the variables that tell them how."""

    def close(self, variables: Mapping[str, str]) -> None:
        """Let them in no more; what is just being done for them is waited for."""

    def answer(self) -> None:
        """Answer from now on, in threads."""

    def seen(self, data: bytes = b"", *, surely: bool = False) -> None:
        """Make it a secret of the session where it is in some bytes, or is known to be."""


@contextlib.contextmanager
def opened(env: "Environment", step: str, context: Context) -> Iterator["Environment"]:
    """Let the programs of a step ask its Context meanwhile.

    Args:
        env: The surroundings of the run.
        step: The name of the step.
        context: Its own handle on the Context.

    Yields:
        The surroundings of the step.
    """
    door = env.door
    if door is None:
        yield env
        return
    variables = door.open(step, context)
    try:
        yield msgspec.structs.replace(env, handed=variables)
    finally:
        door.close(variables)


def look_at(exited: "CommandResult", door: ContextAccess | None) -> None:
    """Take note where a program has printed what lets it in."""
    if door is not None and (exited.stdout.replaced or exited.stderr.replaced):
        outputs = (exited.stdout, exited.stderr)
        for raw in (raw for output in outputs for _, raw in output.replaced):
            door.seen(raw, surely=raw in door.forms)


IDLE_AFTER: Final = 0.25
"""Seconds after which there is time for what would hold up short steps."""

_A_DAY: Final = 86_400.0  # of more than some 24 days poll knows nothing


def lane_waiter(
    lull: Callable[[], None] | None, door: ContextAccess | None = None
) -> Callable[[socket.socket, float | None], None] | None:
    """Return what waits until a lane tells of its program, or there is nothing more to do.

    Args:
        lull: Is called once there is time; None where there is nothing to do.
        door: Is answered where somebody knocks; None where nobody does.
    """
    listener = None if door is None else door.listener
    if lull is None and listener is None:
        return None

    def wait(lane: socket.socket, deadline: float | None) -> None:
        idle, knocked, rest = lull is None, listener is None, time.monotonic() + IDLE_AFTER
        poll = select.poll()
        poll.register(lane, select.POLLIN)
        if listener is not None:
            poll.register(listener, select.POLLIN)
        while not (idle and knocked):
            now = time.monotonic()
            left = _A_DAY if deadline is None else min(_A_DAY, max(0.0, deadline - now))
            pause = left if idle else min(left, max(0.0, rest - now))
            ready = {fd for fd, _ in poll.poll(pause * 1000)}
            if lane.fileno() in ready:
                return
            if not ready and not idle and pause < left and lull is not None:
                idle = True
                lull()
            elif not ready and left < _A_DAY:
                raise TimeoutError
            elif ready and listener is not None and door is not None:
                knocked = True
                poll.unregister(listener)
                door.answer()

    return wait
