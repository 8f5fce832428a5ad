"""How steps are ended that run in slots: asked first, then by the end of their lanes."""

import time
from collections.abc import Callable, Collection

from pytest_orchestrator.execution.bell import Bell
from pytest_orchestrator.execution.job import Job

_PATIENCE = 4.0  # seconds; a lane that hears ends what it runs within two
_FIRST, _LONGEST = 0.01, 0.2


def end(running: Callable[[], Collection[Job]], bell: Bell) -> BaseException | None:
    """Have everything ended that runs.

    Args:
        running: Returns what still runs of that; whoever runs it rings at its end.
        bell: Tells of each end.

    Returns:
        What Ctrl-C raised meanwhile; from then on all of it was ended at once.
    """
    interrupt: BaseException | None = None
    begun, pause = time.monotonic(), _FIRST
    while jobs := running():
        try:
            late = time.monotonic() - begun > _PATIENCE
            for job in jobs:
                job.seat.end(at_once=interrupt is not None, late=late)
            bell.wait(pause)
            pause = min(2 * pause, _LONGEST)
        except KeyboardInterrupt as again:
            interrupt = again
    return interrupt
