"""Model of a benchmark: a question, its runs, and the figures computed from their costs."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.measure import Cost


class Run(NamedTuple):
    """One pytest process on a generated project.

    Attributes:
        name: Name of the run in the table, unique in its case.
        kind: One of `projects.KINDS`.
        steps: Number of steps, items or tests in each file.
        files: Number of files.
        options: Options of pytest.
    """

    name: str
    kind: str
    steps: int
    files: int = 1
    options: tuple[str, ...] = ()


class Figure(NamedTuple):
    """A result of a case.

    Attributes:
        name: Its description.
        value: The value, in `unit`.
        unit: The unit; `x` for a ratio.
        goal: The highest accepted value; None for a figure without a goal.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None


class Case(NamedTuple):
    """A benchmark case.

    Attributes:
        about: The question.
        runs: The measured runs, which are interleaved in each round.
        figures: Function that computes the figures of one round from the cost of each run, by
            the name of the run.
    """

    about: str
    runs: tuple[Run, ...]
    figures: Callable[[Mapping[str, Cost]], list[Figure]]
