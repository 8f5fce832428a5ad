"""CPU and memory per step, in sessions of 100 to 100,000 steps.

Three sessions are compared: recipes of inline Python steps that do nothing, as many hand-written
tests, and as many bare custom items, which show the cost of pytest itself. Each session is a
process of its own. CPU is that of all processes; memory is the peak of pytest itself. Both are the
growth over a session of one step, so start-up costs are excluded.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from benchmarks.growth.tables import Goal, Table
from benchmarks.measure import cost
from benchmarks.projects import project, write
from benchmarks.run import environment, without_others

EACH = 1_000
"""Steps of a recipe and tests of a file; one recipe of `LONGEST` steps is also measured."""

LONGEST = 20_000
MOST_CPU, MOST_MEMORY = 1.15, 2.0

_LARGE = ("-o", "recipe_max_size=4MiB")
_WITHOUT = ("-p", "no:orchestrator")
KINDS = {"recipe-inline": (), "empty": _WITHOUT, "bare-item": _WITHOUT}

_PEAK = """\
import resource
from pathlib import Path


def pytest_unconfigure():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Path(__file__).with_suffix(".txt").write_text(str(peak))
"""


class Spent(NamedTuple):
    """Resource usage of a session.

    Attributes:
        cpu: CPU seconds of all processes.
        peak: Peak resident memory of pytest itself, in bytes.
    """

    cpu: float
    peak: float


def spent(kind: str, steps: int, files: int, options: Sequence[str] = ()) -> Spent:
    """Run a session and return its resource usage."""
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        place = Path(folder)
        write(project(kind, steps=steps, files=files) | {"peak.py": _PEAK}, place)
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "peak", *without_others()]
        argv += [*KINDS[kind], *options]
        took = cost(argv, folder=place, env=environment(), expected=steps * files)
        unit = 1 if sys.platform == "darwin" else 1024
        return Spent(took.cpu, int((place / "peak.txt").read_text()) * unit)


def _order(sizes: Sequence[int]) -> list[int]:
    """Return the sizes of a round, up and down, so that a slowing machine affects all sizes."""
    few = [size for size in sizes if size < max(sizes)]
    return [*few, max(sizes), *reversed(few)]


def measured(sizes: Sequence[int], rounds: int) -> Table:
    """Return the table for sessions with the given numbers of steps.

    Args:
        sizes: Numbers of steps, including 1,000.
        rounds: Number of rounds; each runs the largest size once and all others twice.
    """
    rows: dict[int, list[tuple[float, ...]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        first = {kind: spent(kind, 1, 1) for kind in KINDS}
        took: dict[tuple[str, int], list[Spent]] = {}
        for size in _order(sizes):
            for kind in KINDS:
                took.setdefault((kind, size), []).append(
                    spent(kind, min(size, EACH), max(1, size // EACH))
                )
        for size in sizes:
            rows[size].append(tuple(_row(size, took, first)))
    middle = {size: [median(column) for column in zip(*rows[size], strict=True)] for size in sizes}
    base, most = middle[EACH], middle[max(sizes)]
    goals = [
        Goal(f"CPU a step, at {max(sizes):,} / at {EACH:,}", most[0] / base[0], "x", MOST_CPU),
        Goal("memory a step beyond a test's", most[3] - most[4], "kB", MOST_MEMORY),
    ]
    columns = ("steps", "CPU ms a step", "a test", "a bare item", "memory kB a step", "a test")
    return Table(
        "Sessions of inline python steps that do nothing, and of as many tests and bare items",
        (*columns, "a bare item "),
        [(size, *middle[size]) for size in sizes],
        goals,
    )


def _row(
    size: int, took: dict[tuple[str, int], list[Spent]], first: dict[str, Spent]
) -> Iterator[float]:
    for kind in KINDS:
        yield (mean(one.cpu for one in took[kind, size]) - first[kind].cpu) * 1e3 / (size - 1)
    for kind in KINDS:
        yield (mean(one.peak for one in took[kind, size]) - first[kind].peak) / 1e3 / (size - 1)


def longest(rounds: int) -> Table:
    """Return the table for a recipe of 20,000 steps, the most allowed, and for one of 1,000."""
    rows = []
    for size in (EACH, LONGEST):
        each = []
        for _ in range(rounds):
            first, whole = (spent("recipe-inline", number, 1, _LARGE) for number in (1, size))
            each.append(
                (
                    (whole.cpu - first.cpu) * 1e3 / (size - 1),
                    (whole.peak - first.peak) / 1e3 / (size - 1),
                )
            )
        rows.append((size, *map(median, zip(*each, strict=True))))
    goal = Goal(f"CPU a step, at {LONGEST:,} / at {EACH:,}", rows[1][1] / rows[0][1], "x", MOST_CPU)
    columns = ("steps", "CPU ms a step", "memory kB a step")
    return Table("One recipe with all of the steps", columns, rows, [goal])
