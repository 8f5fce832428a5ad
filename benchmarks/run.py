"""Run benchmark cases and print their tables: `python -m benchmarks.run startup --rounds 9`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import cases, dask_cases
from benchmarks.case import Case, Figure, Run
from benchmarks.measure import Cost, WrongRun, adopt_orphans, cost, medians
from benchmarks.projects import project, write

PLUGIN = "orchestrator"
CASES = cases.CASES | dask_cases.CASES
"""All cases; those that need Dask only run if they are named."""


def main() -> int:
    """Run the selected cases.

    Returns:
        0 if every goal was met, 1 if one was missed, 2 if a run failed.
    """
    args = _arguments()
    if not any(point.name == PLUGIN for point in entry_points(group="pytest11")):
        print("the plugin is not installed: python -m pip install -e .", file=sys.stderr)
        return 2
    adopt_orphans()
    options = without_others() if args.plugins == "ours" else []
    held = True
    try:
        for name in args.cases or cases.CASES:
            case = CASES[name]
            costs = measured(case, args.rounds, options)
            figures = evaluated(case, costs)
            print("\n".join([f"{name}: {case.about}", *run_rows(costs), *figure_rows(figures)]))
            print(flush=True)
            held = held and all(figure.held for figure in figures)
    except WrongRun as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if held else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument(
        "cases", nargs="*", metavar="case", help=f"{', '.join(CASES)}; default: those without Dask"
    )
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument(
        "--plugins",
        choices=["ours", "all"],
        default="ours",
        help="disable the other installed pytest plugins in every run (default), or keep them",
    )
    args = parser.parse_args()
    unknown = sorted(set(args.cases) - set(CASES))
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def without_others() -> list[str]:
    """Return options that disable the other installed plugins."""
    names = sorted({point.name for point in entry_points(group="pytest11")} - {PLUGIN})
    return [option for name in names for option in ("-p", f"no:{name}")]


def measured(case: Case, rounds: int, options: list[str]) -> dict[str, list[Cost]]:
    """Measure the runs of a case in interleaved rounds.

    The first round, which compiles the tests, is discarded. The order alternates between rounds.

    Args:
        case: The case.
        rounds: Number of measured rounds.
        options: Options of every pytest.

    Returns:
        The costs by name of the run: a list with one cost for each round.
    """
    costs: dict[str, list[Cost]] = {run.name: [] for run in case.runs}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        places = {run: Path(folder, str(number)) for number, run in enumerate(case.runs)}
        for run, place in places.items():
            place.mkdir()
            write(project(run.kind, steps=run.steps, files=run.files), place)
        for number in range(rounds + 1):
            for run in case.runs if number % 2 else reversed(case.runs):
                spent = _cost(run, places[run], options)
                if number:
                    costs[run.name].append(spent)
    return costs


def _cost(run: Run, place: Path, options: list[str]) -> Cost:
    argv = [sys.executable, "-m", "pytest", "-q", *options, *run.options]
    return cost(argv, folder=place, env=environment(), expected=run.steps * run.files)


def environment() -> dict[str, str]:
    """Return the environment of a measured pytest; it imports the package of this repository."""
    # Variables of this shell would affect the result; PYTHONDONTWRITEBYTECODE alone costs 100 ms.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[1])}


def run_rows(costs: dict[str, list[Cost]]) -> Iterable[str]:
    """Format the costs as a table.

    Args:
        costs: The return value of `measured`.

    Yields:
        A heading and a line for each run.
    """
    width = max(map(len, costs))
    yield f"  {'median (lowest to highest)':<{width}}  {'CPU s':^24}  {'wall s':>8}  {'peak MB':>8}"
    for name, rounds in costs.items():
        middle = medians(rounds)
        spread = f"({min(c.cpu for c in rounds):.3f} to {max(c.cpu for c in rounds):.3f})"
        cpu = f"{middle.cpu:8.3f} {spread:<18}"
        yield f"  {name:<{width}}  {cpu}  {middle.seconds:8.3f}  {middle.peak / 1e6:8.1f}"


class Evaluated(NamedTuple):
    """A figure over all rounds.

    Attributes:
        middle: The median figure, with its goal.
        lowest: The lowest value of all rounds.
        highest: The highest value of all rounds.
    """

    middle: Figure
    lowest: float
    highest: float

    @property
    def held(self) -> bool:
        """True if the median meets the goal, or if the figure has no goal."""
        return self.middle.goal is None or self.middle.value <= self.middle.goal


def evaluated(case: Case, costs: dict[str, list[Cost]]) -> list[Evaluated]:
    """Compute the figures of each round, so that only runs of one round are compared.

    Args:
        case: The case.
        costs: The return value of `measured`.

    Returns:
        For each figure its median, lowest and highest value.
    """
    rounds = zip(*costs.values(), strict=True)
    figures = [case.figures(dict(zip(costs, costs_of_one, strict=True))) for costs_of_one in rounds]
    evaluations = []
    for same in zip(*figures, strict=True):
        values = [figure.value for figure in same]
        middle = same[0]._replace(value=median(values))
        evaluations.append(Evaluated(middle, min(values), max(values)))
    return evaluations


def figure_rows(figures: list[Evaluated]) -> Iterable[str]:
    """Format the figures of a case.

    Args:
        figures: The return value of `evaluated`.

    Yields:
        A line for each figure, with its spread, its goal, and the verdict.
    """
    width = max(len(one.middle.name) for one in figures)
    for one in figures:
        name, value, unit, goal = one.middle
        row = f"  {name:<{width}}  {value:9.3f} {unit:<3} ({one.lowest:.3f} to {one.highest:.3f})"
        if goal is not None:
            row += f"   goal {goal:g} {unit}: {'met' if one.held else 'MISSED'}"
        yield row


if __name__ == "__main__":
    sys.exit(main())
