"""Which files were there before a step, so that those that it writes are known afterwards.

A file is another one afterwards if its identity, its size or the time of its last change
is. File systems tell that time in ticks: a file that was written within the present tick
could be written again and look the same, so the step waits until the tick is over.
"""

import contextlib
import os
import time
from pathlib import Path

from pytest_orchestrator.execution.criteria_files import matching
from pytest_orchestrator.execution.evidence import Before, Stamp
from pytest_orchestrator.recipe.step_keys import Step

_TICK = 0.011
_COARSE = 2.0
_SECOND = 1_000_000_000


def noted(step: Step, root: Path) -> Before:
    """Return the files that the step is to write afresh, as they are now.

    Args:
        step: The step, right before it begins.
        root: The folder that paths start from.
    """
    paths = [
        str(one.wanted["path"])
        for one in step.success
        if one.name == "files" and isinstance(one.wanted, dict) and one.wanted.get("fresh")
    ]
    found = {path: _stamps(path, root) for path in paths}
    _let_the_tick_pass([stamp for stamps in found.values() for stamp in stamps.values()])
    return found


def stamp_of(path: str) -> Stamp:
    """Return by what a file is known.

    Raises:
        OSError: It is not there.
    """
    seen = os.stat(path)
    return Stamp(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)


def lag(stamp: Stamp) -> float:
    """Return by how many seconds the time of a change may be behind the clock.

    File systems that keep whole seconds alone do so by two of them at most.
    """
    return _TICK if stamp.modified_ns % _SECOND else _COARSE


def _stamps(path: str, root: Path) -> dict[str, Stamp]:
    found = {}
    for name in matching(path, root):
        with contextlib.suppress(OSError):  # gone this moment, or a link that leads nowhere
            found[name] = stamp_of(os.path.join(root, name))
    return found


def _let_the_tick_pass(stamps: list[Stamp]) -> None:
    now = time.time()
    # What is from the future comes from another clock, and is not waited for.
    left = [
        stamp.modified_ns / _SECOND + lag(stamp) - now
        for stamp in stamps
        if stamp.modified_ns / _SECOND <= now
    ]
    if (longest := max(left, default=0.0)) > 0:
        time.sleep(longest)
