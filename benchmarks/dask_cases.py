"""Benchmark cases of steps on workers of Dask, against Dask tasks that do nothing."""

from collections.abc import Mapping
from typing import Final

from benchmarks.case import Case, Figure, Run
from benchmarks.cases import WITHOUT
from benchmarks.measure import Cost, slope

_TWO: Final = ("--recipe-dask=local:2",)
_GOAL: Final = 25.0
"""Goal in milliseconds: duration of a step minus that of a Dask task."""
_SIZES: Final = (50, 250)
_KINDS: Final = {"python step": "recipe-python", "shell step": "recipe-shell"}


def overhead() -> Case:
    """Return the case that compares the cost of one more step with that of one more Dask task."""

    def each(costs: Mapping[str, Cost], name: str, figure: str) -> float:
        few, many = (getattr(costs[f"{n} {name}s"], figure) for n in _SIZES)
        return slope(few, many, between=_SIZES) * 1e3

    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        rows = []
        for figure, label in (("seconds", "wall"), ("cpu", "CPU")):
            task = each(costs, "task", figure)
            rows.append(Figure(f"{label} of a task", task, "ms"))
            for name in _KINDS:
                more = each(costs, name, figure) - task
                rows.append(Figure(f"{label} of a {name} beyond that", more, "ms", _GOAL))
        return rows

    tasks = tuple(Run(f"{n} tasks", "submitted", n, options=WITHOUT) for n in _SIZES)
    steps = tuple(
        Run(f"{n} {name}s", kind, n, options=_TWO) for name, kind in _KINDS.items() for n in _SIZES
    )
    return Case(
        "a step on a worker of Dask, and a task that does nothing", (*tasks, *steps), figures
    )


def growth() -> Case:
    """Return the case that compares the cost per step in recipes of 1,000 and 10,000 steps."""

    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        rows = []
        for figure, label in (("cpu", "CPU"), ("seconds", "wall")):
            one, some, many = (getattr(costs[f"{n} steps"], figure) for n in (1, 1_000, 10_000))
            at_some = slope(one, some, between=(1, 1_000)) * 1e3
            at_many = slope(one, many, between=(1, 10_000)) * 1e3
            rows += [
                Figure(f"{label} per step at 1,000", at_some, "ms"),
                Figure(f"{label} per step at 10,000", at_many, "ms"),
                Figure(f"{label} at 10,000 / at 1,000", at_many / at_some, "x", 1.15),
            ]
        return rows

    return Case(
        "cost per step of one long recipe on two workers of Dask",
        tuple(Run(f"{n} steps", "recipe-apart", n, options=_TWO) for n in (1, 1_000, 10_000)),
        figures,
    )


CASES: dict[str, Case] = {
    "dask": overhead(),
    "dask-growth": growth(),
}
