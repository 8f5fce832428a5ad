"""Measurement of whole pytest processes: resource usage of the process and its descendants."""

import ctypes
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
COUNTED = re.compile(r"^(\d+) (?:passed|tests? collected)\b", re.MULTILINE)
"""The number in pytest's own last line under `-q`; the summary of recipes has numbers too."""


class Cost(NamedTuple):
    """Resource usage of one process.

    Attributes:
        cpu: CPU seconds, user and system, of the process and all its descendants.
        seconds: Wall time.
        peak: Bytes of resident memory of the largest of these processes.
    """

    cpu: float
    seconds: float
    peak: float


class WrongRun(Exception):
    """A measured pytest did not do what it was measured for."""


def adopt_orphans() -> None:
    """On Linux, make this process a subreaper, so that orphaned descendants are counted too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def cost(
    argv: Sequence[str],
    *,
    folder: Path,
    env: dict[str, str],
    expected: int,
    counted: re.Pattern[str] = COUNTED,
) -> Cost:
    """Run pytest, or another tool, and measure it.

    The function waits for every child of this process, so the process must have no other children.

    Args:
        argv: The command.
        folder: The working directory.
        env: The environment.
        expected: Number of tests that must pass, or be collected with --collect-only.
        counted: Finds that number in the output.

    Returns:
        The resource usage.

    Raises:
        WrongRun: pytest failed, or ran another number of tests.
    """
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        child = subprocess.Popen(
            argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        usages = [used, *_orphans()]
        output.seek(0)
        text = output.read().decode(errors="replace")
    if child.returncode != 0 or counted.findall(text) != [str(expected)]:
        tail = "\n".join(text.splitlines()[-30:])
        raise WrongRun(f"{' '.join(argv)}: exit {child.returncode}, not {expected} tests\n{tail}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(
        cpu=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        seconds=seconds,
        peak=max(usage.ru_maxrss for usage in usages) * unit,
    )


def _orphans() -> Iterator[resource.struct_rusage]:
    while True:
        try:
            yield os.wait4(-1, 0)[2]
        except ChildProcessError:
            return


def medians(costs: Iterable[Cost]) -> Cost:
    """Return the median of each figure.

    Args:
        costs: At least one cost.
    """
    return Cost(*(median(figures) for figures in zip(*costs, strict=True)))


def slope(few: float, many: float, *, between: tuple[int, int]) -> float:
    """Return the growth of a figure per step.

    Args:
        few: The figure with the smaller number of steps.
        many: The figure with the larger one.
        between: The two numbers.
    """
    return (many - few) / (between[1] - between[0])


def intercept(few: float, many: float, *, between: tuple[int, int]) -> float:
    """Return a figure extrapolated to zero steps, which is the cost of the start.

    Args:
        few: The figure with the smaller number of steps.
        many: The figure with the larger one.
        between: The two numbers.
    """
    return few - between[0] * slope(few, many, between=between)
