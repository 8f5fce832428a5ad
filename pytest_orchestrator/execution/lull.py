"""Time for what would hold up short steps: a while after a step has begun."""

import select
import socket
from collections.abc import Callable
from typing import Final

LULL: Final = 0.1
"""Seconds after which there is time for it."""


def waits(lull: Callable[[], None] | None) -> Callable[[socket.socket, float | None], None] | None:
    """Return what waits until a lane tells of its program, or there is time.

    Args:
        lull: Is called then; None where there is nothing to do.
    """
    if lull is None:
        return None

    def wait(lane: socket.socket, _: float | None) -> None:
        poll = select.poll()
        poll.register(lane, select.POLLIN)
        if not poll.poll(LULL * 1000):
            lull()

    return wait
