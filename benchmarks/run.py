"""Runs benchmark cases and prints their tables: `python -m benchmarks.run startup --rounds 9`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from benchmarks.cases import CASES, Case, Figure, Run
from benchmarks.measure import Cost, WrongRun, adopt_orphans, cost, medians
from benchmarks.projects import project, write

PLUGIN = "orchestrator"


def main() -> int:
    """Run what the command line asks for.

    Returns:
        0 if every goal was held, 1 if one was missed, 2 if nothing could be measured.
    """
    chosen = _arguments()
    if not any(point.name == PLUGIN for point in entry_points(group="pytest11")):
        print("the plugin is not installed here: python -m pip install -e .", file=sys.stderr)
        return 2
    adopt_orphans()
    options = _without_others() if chosen.plugins == "ours" else []
    held = True
    try:
        for name in chosen.cases or CASES:
            case = CASES[name]
            costs = measured(case, chosen.rounds, options)
            figures = case.figures({run: medians(rounds) for run, rounds in costs.items()})
            print("\n".join([f"{name}: {case.about}", *run_rows(costs), *figure_rows(figures)]))
            print(flush=True)
            held = held and all(f.goal is None or f.value <= f.goal for f in figures)
    except WrongRun as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if held else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("cases", nargs="*", metavar="case", help=f"{', '.join(CASES)}; default all")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument(
        "--plugins",
        choices=["ours", "all"],
        default="ours",
        help="switch the other installed pytest plugins off in every run (default), or leave them",
    )
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.cases) - set(CASES))
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    return chosen


def _without_others() -> list[str]:
    names = sorted({point.name for point in entry_points(group="pytest11")} - {PLUGIN})
    return [option for name in names for option in ("-p", f"no:{name}")]


def measured(case: Case, rounds: int, options: list[str]) -> dict[str, list[Cost]]:
    """Measure the runs of a case side by side.

    A first round, which compiles the tests, is thrown away; every second one goes backwards.

    Args:
        case: What to measure.
        rounds: How often.
        options: What every pytest is given.

    Returns:
        The costs by name of the run, one for each round.
    """
    costs: dict[str, list[Cost]] = {run.name: [] for run in case.runs}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        places = {run: Path(folder, str(number)) for number, run in enumerate(case.runs)}
        for run, place in places.items():
            place.mkdir()
            write(project(run.kind, steps=run.steps, files=run.files), place)
        for number in range(rounds + 1):
            for run in case.runs if number % 2 else reversed(case.runs):
                found = _cost(run, places[run], options)
                if number:
                    costs[run.name].append(found)
    return costs


def _cost(run: Run, place: Path, options: list[str]) -> Cost:
    argv = [sys.executable, "-m", "pytest", "-q", *options, *run.options]
    # Options of this shell would be measured too; PYTHONDONTWRITEBYTECODE alone costs 100 ms.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    return cost(argv, folder=place, env=env, expected=run.steps * run.files)


def run_rows(costs: dict[str, list[Cost]]) -> Iterable[str]:
    """Lay out what was measured.

    Args:
        costs: As `measured` gives them.

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


def figure_rows(figures: list[Figure]) -> Iterable[str]:
    """Lay out what a case was run for.

    Args:
        figures: As the case gives them.

    Yields:
        A line for each figure, with its goal and whether it was held.
    """
    width = max(len(figure.name) for figure in figures)
    for name, value, unit, goal in figures:
        row = f"  {name:<{width}}  {value:9.3f} {unit}"
        if goal is not None:
            row += f"   goal {goal:g} {unit}: {'held' if value <= goal else 'MISSED'}"
        yield row


if __name__ == "__main__":
    sys.exit(main())
