"""Compare the CPU of whole sessions with that of a recorded commit: `python -m benchmarks.pairs`.

The counted instructions of one process do not show what the garbage collector waits for memory, nor
what the supervisor, the lanes and the steps cost. Here the same project runs with both trees, one
directly after the other, and the median of the ratios counts: a load of the machine changes both.
"""

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.case import Run
from benchmarks.measure import Cost, WrongRun, adopt_orphans, cost
from benchmarks.projects import project, write
from benchmarks.run import environment, without_others

BUDGET = Path(__file__).with_name("pairs.json")
"""The commit to compare with, and the accepted ratios to it, as the last `--update` found them."""
TOLERANCE = 0.05
"""Part of its accepted ratio by which the CPU, or the peak of memory, of a session may rise."""

_TREE = Path(__file__).parents[1]

RUNS = (
    Run("unused plugin", "empty", 1),
    Run("two shell steps", "recipe-shell", 2),
    Run("python and shell step", "recipe-both", 2),
    Run("200 shell steps", "recipe-shell", 200),
    Run("100 python steps", "recipe-context", 100),
    Run("1,000 inline steps", "recipe-inline", 1_000),
)


class Ratios(NamedTuple):
    """The costs of a session, divided by its costs with the recorded commit.

    Attributes:
        cpu: The ratio of the CPU seconds of all processes.
        peak: The ratio of the resident memory of the largest process.
    """

    cpu: float
    peak: float


def ratios(pairs: list[tuple[Cost, Cost]]) -> Ratios:
    """Return the medians of the ratios of pairs: the cost now, and the cost with the commit."""
    return Ratios(
        median(now.cpu / then.cpu for now, then in pairs),
        median(now.peak / then.peak for now, then in pairs),
    )


def over_budget(found: Mapping[str, Ratios], accepted: Mapping[str, Any]) -> list[str]:
    """Return a line for each ratio that is above its accepted one by more than `TOLERANCE`.

    Args:
        found: The ratios by the name of the run.
        accepted: The accepted ones: `cpu` and `peak` by the name of the run.
    """
    return [
        f"{name}, {what}: {value:.3f} x, and the budget is {accepted[name][what]:.3f}"
        for name, one in found.items()
        for what, value in one._asdict().items()
        if value > accepted[name][what] * (1 + TOLERANCE)
    ]


def unpack(commit: str, folder: Path) -> None:
    """Write the package, as a commit has it, into a folder, with the files that a build makes.

    Raises:
        WrongRun: This clone does not have the commit.
    """
    argv = ["git", "archive", commit, "pytest_orchestrator", "scripts"]
    done = subprocess.run(argv, cwd=_TREE, check=False, capture_output=True)
    if done.returncode:
        cause = done.stderr.decode(errors="replace").strip()
        raise WrongRun(f"{cause}: a shallow clone lacks it (git fetch --unshallow)")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    env = environment() | {"PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-m", "scripts.generate"], cwd=folder, env=env, check=True)


def measured(run: Run, then: Path, rounds: int) -> list[tuple[Cost, Cost]]:
    """Return the costs of a session with this tree and with another one, for each round.

    The first round, which compiles the modules, is discarded. The order alternates.

    Args:
        run: The session.
        then: The folder of the other tree.
        rounds: Number of measured rounds.

    Raises:
        WrongRun: A session failed.
    """
    argv = [sys.executable, "-m", "pytest", "-q", *without_others(), *run.options]
    pairs = []
    with tempfile.TemporaryDirectory(prefix="pairs-") as folder:
        places = {tree: Path(folder, name) for tree, name in ((_TREE, "now"), (then, "then"))}
        for place in places.values():
            place.mkdir()
            write(project(run.kind, steps=run.steps, files=run.files), place)
        for number in range(rounds + 1):
            spent = {}
            for tree in (_TREE, then) if number % 2 else (then, _TREE):
                env = environment() | {"PYTHONPATH": str(tree)}
                place = places[tree]
                spent[tree] = cost(argv, folder=place, env=env, expected=run.steps * run.files)
            if number:
                pairs.append((spent[_TREE], spent[then]))
    return pairs


def main() -> int:
    """Compare, and print the ratios.

    Returns:
        0 if every ratio is within its budget, 1 if one is above it, 2 if a run failed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs")
    names = [run.name for run in RUNS]
    parser.add_argument("runs", nargs="*", metavar="run", help=f"{', '.join(names)}; default: all")
    parser.add_argument("--rounds", type=int, default=15, help="pairs of each session (default 15)")
    parser.add_argument("--update", action="store_true", help="make the ratios the new budget")
    args = parser.parse_args()
    unknown = sorted(set(args.runs) - set(names))
    if unknown:
        parser.error(f"no such run: {', '.join(unknown)}; there are {', '.join(names)}")
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    adopt_orphans()
    budget = json.loads(BUDGET.read_text(encoding="utf-8"))
    found = {}
    try:
        with tempfile.TemporaryDirectory(prefix="pairs-") as folder:
            unpack(budget["commit"], Path(folder))
            for run in RUNS:
                if run.name in (args.runs or names):
                    found[run.name] = one = ratios(measured(run, Path(folder), args.rounds))
                    accepted = budget["ratios"][run.name]
                    print(
                        f"{run.name:<22}  CPU {one.cpu:.3f} x (budget {accepted['cpu']:.3f})"
                        f"  peak {one.peak:.3f} x (budget {accepted['peak']:.3f})",
                        flush=True,
                    )
    except WrongRun as error:
        print(error, file=sys.stderr)
        return 2
    if args.update:
        for name, one in found.items():
            budget["ratios"][name] = {key: round(v, 3) for key, v in one._asdict().items()}
        BUDGET.write_text(json.dumps(budget, indent=2) + "\n", encoding="utf-8")
        return 0
    problems = over_budget(found, budget["ratios"])
    for line in problems:
        print(f"above its budget: {line}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
