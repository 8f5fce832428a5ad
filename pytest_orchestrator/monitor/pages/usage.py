"""Usage of a running step: the figures and the file of its resource samples so far."""

from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.html.trends import Curves, curves
from pytest_orchestrator.runs.folder import RunFile
from pytest_orchestrator.runs.record import StepRecord

_MAX_POINTS: Final = 240


class Usage(NamedTuple):
    """Usage of a running step until its last sample.

    Attributes:
        cpu: CPU time in seconds.
        peak: Highest resident memory of a sample, in bytes.
    """

    cpu: float
    peak: int


def live_usage(view: RunView, step: StepRecord) -> Usage | None:
    """Return the usage of a running step; None while it has too few samples.

    Args:
        view: The run.
        step: A step of it.
    """
    path = samples_path(view, step)
    try:
        file = path.stat() if path else None
    except OSError:  # a step of less than a second has no samples
        file = None
    known = _read(path, file.st_mtime_ns, file.st_size) if path and file else None
    if known is None:
        return None
    before, cpu = 0.0, 0.0
    for at, cores in zip(known.seconds, known.cpu, strict=True):
        cpu += cores * (at - before)
        before = at
    return Usage(round(cpu, 3), max(known.rss))


def samples_path(view: RunView, step: StepRecord) -> Path | None:
    """Return the path at which a running step stores its samples; None outside of the folder.

    Args:
        view: The run.
        step: A step of it.
    """
    log = step.log_file("jsonl", step.attempt or 1).recorded_path
    return RunFile(log.replace("logs/", "resources/", 1)).inside(view.folder)


@lru_cache(maxsize=64)  # several browsers show a page
def _read(path: Path, _time: int, _size: int) -> Curves | None:
    return curves(path, _MAX_POINTS)
