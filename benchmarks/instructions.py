"""Count the instructions of pytest's own process: `python -m benchmarks.instructions`.

CPU seconds of one run differ by up to 30 %, the number of instructions by less than 1 %. So a
change of a few per cent is visible in one run, on a busy machine too. Cachegrind counts them; it
does not follow the programs that pytest starts, such as the supervisor and the steps.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks import results
from benchmarks.cases import COLLECT, WITHOUT
from benchmarks.growth.tables import Table
from benchmarks.measure import COUNTED, WrongRun
from benchmarks.projects import project, write
from benchmarks.run import environment, without_others

PART = "instructions"
"""The name of this part in the file of results."""

BUDGET = Path(__file__).with_name("budget.json")
"""The accepted value of each figure that has one, as the last `--update` measured it."""
TOLERANCE = 0.03
"""Part of its accepted value by which a figure may rise."""

_UNITS = {"x": "times", "M": "million"}
_TREE = Path(__file__).parents[1]
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
_REFS = re.compile(rb"I\s+refs:\s+([\d,]+)")


class Count(NamedTuple):
    """One counted pytest process on a generated project.

    Attributes:
        kind: One of `projects.KINDS`.
        steps: Number of steps, items or tests in each file.
        files: Number of files.
        options: Options of pytest.
        is_cached: False for a tree without bytecode files in which none may be written, as in most
            container images.
        is_installed: True if pip has installed the package. pytest reads the list of the files of
            each installed plugin at its start; a tree of sources has none.
    """

    kind: str
    steps: int
    files: int = 1
    options: tuple[str, ...] = ()
    is_cached: bool = True
    is_installed: bool = False


COUNTS = {
    "empty test": Count("empty", 1, options=WITHOUT),
    "unused plugin": Count("empty", 1),
    "unused plugin, no bytecode": Count("empty", 1, is_cached=False),
    "unused plugin, installed": Count("empty", 1, is_installed=True),
    "two shell steps": Count("recipe-shell", 2),
    "python and shell step": Count("recipe-both", 2),
    "20 shell steps": Count("recipe-shell", 20),
    "120 shell steps": Count("recipe-shell", 120),
    "20 python steps": Count("recipe-context", 20),
    "120 python steps": Count("recipe-context", 120),
    "20 inline steps": Count("recipe-inline", 20),
    "220 inline steps": Count("recipe-inline", 220),
    "20 subprocess tests": Count("subprocess", 20, options=WITHOUT),
    "120 subprocess tests": Count("subprocess", 120, options=WITHOUT),
    "20 bare items": Count("bare-item", 20, options=WITHOUT),
    "220 bare items": Count("bare-item", 220, options=WITHOUT),
    "collection of 1,000 files": Count("function", 10, 1_000, (*WITHOUT, *COLLECT)),
    "collection of 1,000 recipes": Count("recipe-python", 10, 1_000, COLLECT),
}


class Ratio(NamedTuple):
    """A figure of the table.

    Attributes:
        value: The value, in `unit`.
        unit: `x` for a ratio, `M` for millions of instructions.
        has_budget: True if the figure does not depend on the versions of Python and pytest.
    """

    value: float
    unit: str = "x"
    has_budget: bool = True


def figures(counts: Mapping[str, float]) -> dict[str, Ratio]:
    """Return the figures by their names.

    Args:
        counts: Millions of instructions by the names of `COUNTS`.
    """

    def each(few: int, many: int, kind: str) -> float:
        return (counts[f"{many} {kind}"] - counts[f"{few} {kind}"]) / (many - few)

    empty = counts["empty test"]
    shell, test = each(20, 120, "shell steps"), each(20, 120, "subprocess tests")
    inline, bare = each(20, 220, "inline steps"), each(20, 220, "bare items")
    python = each(20, 120, "python steps")
    files = counts["collection of 1,000 files"] - empty
    return {
        "an empty test without the plugin": Ratio(empty, "M", has_budget=False),
        "the unused plugin adds": Ratio(counts["unused plugin"] - empty, "M"),
        "the unused plugin adds without bytecode": Ratio(
            counts["unused plugin, no bytecode"] - empty, "M"
        ),
        "the unused plugin adds as an installed package": Ratio(
            counts["unused plugin, installed"] - empty, "M"
        ),
        "two shell steps / an empty test": Ratio(counts["two shell steps"] / empty),
        "a python and a shell step / an empty test": Ratio(counts["python and shell step"] / empty),
        "a shell step": Ratio(shell, "M", has_budget=False),
        "a shell step / a test with subprocess.run": Ratio(shell / test),
        "a python step / a shell step": Ratio(python / shell),
        "an inline step / a bare item": Ratio(inline / bare),
        "collection, recipes / files of tests": Ratio(
            (counts["collection of 1,000 recipes"] - empty) / files
        ),
    }


def counted(count: Count, folder: Path) -> float:
    """Run pytest on a project and return the millions of instructions of its own process.

    Args:
        count: The project and the options.
        folder: An empty folder.

    Raises:
        WrongRun: pytest failed, or ran another number of tests.
    """
    place, tree = folder / "project", _TREE
    place.mkdir()
    write(project(count.kind, steps=count.steps, files=count.files), place)
    env = environment() | {"PYTHONHASHSEED": "0"}
    if not count.is_cached:
        tree = folder / "tree"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_TREE / "pytest_orchestrator", tree / "pytest_orchestrator", ignore=ignored)
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    if count.is_installed:
        tree = folder / "site"
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(tree),
        ]
        subprocess.run([*pip, str(_TREE)], check=True)
    env["PYTHONPATH"] = str(tree)
    argv = [sys.executable, "-m", "pytest", "-q", *without_others(), *count.options]
    # Compiles the modules and rewrites the asserts, which is not counted. The second run compiles
    # those of the history, in which it finds the first one.
    for _ in range(2 if count.is_cached else 0):
        subprocess.run(argv, cwd=place, env=env, check=False, capture_output=True)
    done = subprocess.run([*_VALGRIND, *argv], cwd=place, env=env, check=False, capture_output=True)
    passed = COUNTED.findall(done.stdout.decode(errors="replace"))
    found = _REFS.search(done.stderr)
    if done.returncode or found is None or passed != [str(count.steps * count.files)]:
        tail = (done.stdout + done.stderr)[-3_000:].decode(errors="replace")
        raise WrongRun(f"{' '.join(argv)}: exit {done.returncode}\n{tail}")
    return int(found[1].replace(b",", b"")) / 1e6


def over_budget(measured: Mapping[str, Ratio], budget: Mapping[str, float]) -> list[str]:
    """Return a line for each figure that is above its budget by more than `TOLERANCE`.

    Args:
        measured: The figures, with all that have a budget.
        budget: The accepted values by name.
    """
    lines = []
    for name, accepted in budget.items():
        value, unit, _ = measured[name]
        if value > accepted * (1 + TOLERANCE):
            lines.append(f"{name}: {value:.3f} {unit}, and the budget is {accepted:.3f}")
    return lines


def main() -> int:
    """Count, and print the figures.

    Returns:
        0 if every figure is within its budget, 1 if one is above it, 2 if a run failed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each project (default 1)")
    parser.add_argument("--update", action="store_true", help="make the figures the new budget")
    args = parser.parse_args()
    if shutil.which(_VALGRIND[0]) is None:
        print("valgrind is missing: bash scripts/debian valgrind", file=sys.stderr)
        return 2
    try:
        counts = _counts(args.rounds)
    except WrongRun as error:
        print(error, file=sys.stderr)
        return 2
    measured = figures(counts)
    budget = json.loads(BUDGET.read_text(encoding="utf-8")) if BUDGET.exists() else {}
    width = max(map(len, measured))
    for name, one in measured.items():
        accepted = f"   budget {budget[name]:.3f}" if name in budget else ""
        print(f"{name:<{width}}  {one.value:9.3f} {one.unit}{accepted}")
    if args.update:
        rows = [(name, round(one.value, 3), _UNITS[one.unit]) for name, one in measured.items()]
        table = Table("Instructions of pytest's own process", ("figure", "value", "unit"), rows)
        results.record(PART, table, f"Lowest counts of {args.rounds} rounds, {results.machine()}")
        kept = {name: round(one.value, 3) for name, one in measured.items() if one.has_budget}
        BUDGET.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        return 0
    problems = over_budget(measured, budget)
    for line in problems:
        print(f"above its budget: {line}", file=sys.stderr)
    return 1 if problems else 0


def _counts(rounds: int) -> dict[str, float]:
    """Return the lowest count of each project, in millions of instructions."""
    found: dict[str, float] = {}
    for name, count in COUNTS.items():
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="instructions-") as folder:
                found[name] = min(counted(count, Path(folder)), found.get(name, float("inf")))
        print(f"{name}: {found[name]:,.1f} M", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
