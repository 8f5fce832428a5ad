"""What a benchmark is: a question, the runs that answer it, and the figures that come of them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.measure import Cost


class Run(NamedTuple):
    """One pytest process on a generated project.

    Attributes:
        name: How the table calls it; unique in its case.
        kind: One of `projects.KINDS`.
        steps: Steps, items or tests in each file.
        files: How many files.
        options: What pytest is given.
    """

    name: str
    kind: str
    steps: int
    files: int = 1
    options: tuple[str, ...] = ()


class Figure(NamedTuple):
    """A number that a case is run for.

    Attributes:
        name: What it says.
        value: In `unit`.
        unit: `x` for a ratio.
        goal: The most that it may be; None where it is only told.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None


class Case(NamedTuple):
    """A question, the runs that answer it and how.

    Attributes:
        about: The question.
        runs: What is measured, in interleaved rounds.
        figures: Makes the answer of one round from its costs by name of the run.
    """

    about: str
    runs: tuple[Run, ...]
    figures: Callable[[Mapping[str, Cost]], list[Figure]]
