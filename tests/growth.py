"""Growth of the CPU time of a function with the size of its input, at any speed of the machine."""

import time
from collections.abc import Callable

TIMES = 8
"""The large input is as many times the size of the small one."""
_LEAST = 0.005
"""Seconds of CPU; a shorter time is mostly noise, and counts as this."""


def is_linear(work: Callable[[str], object], small: str, large: str) -> bool:
    """Return True if the CPU time grows with the size of a text, and not with its square.

    A linear function takes 8 times as long for `large`, a quadratic one 64 times. The limit lies
    between them, and one of three runs has to keep it, so that load does not decide.
    """
    limit = 4 * TIMES * max(_LEAST, min(_seconds(work, small) for _ in range(3)))
    return any(_seconds(work, large) < limit for _ in range(3))


def _seconds(work: Callable[[str], object], text: str) -> float:
    before = time.process_time()
    work(text)
    return time.process_time() - before
