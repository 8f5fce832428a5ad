"""What is done while a program runs: what would hold up short steps, and what it knocks for."""

import select
import socket
import time
from collections.abc import Callable
from typing import Final

from pytest_orchestrator.execution.door import Door

LULL: Final = 0.25
"""Seconds after which there is time for what would hold up short steps."""

_A_DAY: Final = 86_400.0  # of more than some 24 days poll knows nothing


def waits(
    lull: Callable[[], None] | None, door: Door | None = None
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
        idle, knocked, rest = lull is None, listener is None, time.monotonic() + LULL
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
