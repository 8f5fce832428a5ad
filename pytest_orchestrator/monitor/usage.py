"""Resource usage of steps from the files of samples, also while the steps run."""

import time
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.monitor.logs import samples_path
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.trends import Curves, curves
from pytest_orchestrator.runs.record import ACTIVE, StepRecord

_EVERY: Final = 2
"""Seconds after which a page shows new samples. A step of some seconds is sampled once a second."""
_MAX_POINTS: Final = 240
_MAX_KEPT: Final = 1_000


class Usage(NamedTuple):
    """Usage of a running step until its last sample.

    Attributes:
        cpu: CPU time in seconds.
        cores: Mean number of CPU cores used since the sample before the last one.
        memory: Resident memory at the last sample, in bytes.
        peak: Highest resident memory of a sample, in bytes.
    """

    cpu: float
    cores: float
    memory: int
    peak: int


def samples(view: RunView, step: StepRecord) -> Curves | None:
    """Return the curves of a step; None if it has fewer than two samples.

    Args:
        view: The run.
        step: A step of it.
    """
    if not step.started and not step.samples:
        return None
    key = (str(view.folder), step.recipe, step.name, step.attempt, step.finished)
    if step.finished and key in _ended:
        return _ended[key]
    path = samples_path(view, step)
    try:
        file = path.stat() if path else None
    except OSError:
        file = None
    known = _read(path, file.st_mtime_ns, file.st_size) if path and file else None
    if step.finished:
        if len(_ended) >= _MAX_KEPT:
            _ended.clear()
        _ended[key] = known
    return known


_ended: dict[tuple[object, ...], Curves | None] = {}
"""Curves of steps that have ended, whose files do not change."""


@lru_cache(maxsize=64)  # a page is shown by several browsers
def _read(path: Path, _time: int, _size: int) -> Curves | None:
    return curves(path, _MAX_POINTS)


def live_usage(view: RunView, step: StepRecord) -> Usage | None:
    """Return the usage of a running step; None if it does not run or has too few samples.

    Args:
        view: The run.
        step: A step of it.
    """
    if step.state not in ACTIVE or step.state == "locked":
        return None
    known = samples(view, step)
    if known is None:
        return None
    before, cpu = 0.0, 0.0
    for at, cores in zip(known.seconds, known.cpu, strict=True):
        cpu += cores * (at - before)
        before = at
    return Usage(round(cpu, 3), known.cpu[-1], known.rss[-1], max(known.rss))


def samples_version(view: RunView) -> str:
    """Return a text that changes every two seconds while a run goes on.

    Args:
        view: The run.
    """
    return str(int(time.time() // _EVERY)) if view.record.state == "running" else ""
