"""Comparison with other systems for benches: one unit with a ripple that is too large.

Each tool runs the same work in a folder of `systems`: a command switches the output on, a value of
61.4 mV is compared with a limit of 50 mV, a command switches the output off. Each has a virtual
environment of its own.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from benchmarks import results
from benchmarks.growth.tables import Table

_HERE = Path(__file__).with_name("systems")
_TREE = Path(__file__).parent.parent
_SLEEP = "4711"
_WAIT = 3.0
"""Seconds after SIGKILL at which what is left is listed: supervised steps have 2 s after TERM."""


class Bench(NamedTuple):
    """One system.

    Attributes:
        name: Its name, that of its folder too.
        packages: What pip installs.
        command: The command in the folder of the project; the first word is a program of the
            virtual environment.
        says: The beginning of the line that explains the failure.
    """

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    says: str


BENCHES = (
    Bench("recipe", ("-e", str(_TREE)), ("pytest", "recipes"), "E   ripple_mv"),
    Bench("openhtf", ("openhtf==1.6.3",), ("python", "unit.py"), "    measured_value"),
    Bench("hardpy", ("hardpy==0.25.2",), ("pytest", "tests"), "E       AssertionError"),
    # TesterKit 0.6.0 imports a module that filelock 4 no longer has.
    Bench("testerkit", ("testerkit==0.6.0", "filelock<4"), ("pytest",), "E           testerkit"),
    Bench("testium", ("testium-hil==0.6.1",), ("testium", "-b", "-o", "unit.tum"), "Expected res"),
    Bench(
        "crucihil",
        ("crucihil==0.16.0",),
        ("crucihil", "run", "--suite", "suites/unit.yaml", "--rig", "rigs/virtual.toml"),
        "           ripple",
    ),
)


def installed(bench: Bench, folder: Path) -> Path:
    """Create the virtual environment of a tool unless it exists; return its folder of programs."""
    place = folder / bench.name
    if not (place / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        python = str(place / "bin/python")
        subprocess.run([python, "-m", "pip", "install", "-q", *bench.packages], check=True)
    return place / "bin"


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a tool."""
    return {**os.environ, "QT_QPA_PLATFORM": "offscreen", "COLUMNS": "100", **more}


def ran(bench: Bench, programs: Path, folder: Path) -> tuple[float, float, str]:
    """Run the unit once.

    Returns:
        CPU seconds of the process and of the children that it waited for, wall seconds, and the
        line that explains the failure.

    Raises:
        RuntimeError: The tool did not report the failure, or did not switch the output off.
    """
    argv = [str(programs / bench.command[0]), *bench.command[1:]]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # A file and no pipe: daemons that a tool leaves running would hold a pipe open.
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(argv, cwd=folder, env=environment(), stdout=output, stderr=output)
        child.wait()
        seconds = time.perf_counter() - begun
        output.seek(0)
        text = output.read()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    line = next((line for line in text.splitlines() if line.startswith(bench.says)), None)
    if line is None:
        raise RuntimeError(f"{bench.name} does not say what failed:\n{text[-3000:]}")
    return cpu, seconds, line.removeprefix("E ").strip()


def left(bench: Bench, programs: Path, folder: Path) -> list[str]:
    """Kill the tool by SIGKILL while its step runs `sleep`; return the processes that are left.

    The processes are ended then.
    """
    argv = [str(programs / bench.command[0]), *bench.command[1:]]
    child = psutil.Popen(
        argv,
        cwd=folder,
        env=environment(LONG=_SLEEP),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (tree := child.children(recursive=True)) or not any(map(_sleeps, tree)):
        if child.poll() is not None:
            raise RuntimeError(f"{bench.name} ended before its step slept")
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    _, alive = psutil.wait_procs(tree, timeout=_WAIT)
    names = [each.name() for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    for each in alive:
        each.kill()
    return names


def _sleeps(process: psutil.Process) -> bool:
    try:
        return process.cmdline() == ["sleep", _SLEEP]
    except psutil.Error:
        return False


def main() -> int:
    """Measure all tools in interleaved rounds and print the table.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.benches")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument("--venv", type=Path, metavar="DIR", help="keep the environments here")
    parser.add_argument("--update", action="store_true", help="record the table in README.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benches-") as folder:
        programs = {one.name: installed(one, args.venv or Path(folder, "venv")) for one in BENCHES}
        places = {one.name: Path(folder, one.name) for one in BENCHES}
        costs: dict[str, list[tuple[float, float, str]]] = {one.name: [] for one in BENCHES}
        for one in BENCHES:
            shutil.copytree(_HERE / one.name, places[one.name])
        for number in range(args.rounds + 1):
            for one in BENCHES if number % 2 else reversed(BENCHES):
                cost = ran(one, programs[one.name], places[one.name])
                if number:
                    costs[one.name].append(cost)
        alive = {one.name: left(one, programs[one.name], places[one.name]) for one in BENCHES}
    rows = [
        (
            " ".join((name, *(one.packages[0].partition("==")[2:] if name != "recipe" else ()))),
            round(median(cost[0] for cost in costs[name]), 2),
            round(median(cost[1] for cost in costs[name]), 2),
            ", ".join(alive[name]) or "nothing",
            f"`{costs[name][-1][2]}`",
        )
        for one in BENCHES
        for name in [one.name]
    ]
    columns = ("tool", "CPU s", "wall s", "left 3 s after SIGKILL", "line of the failure")
    found = Table("One unit that fails, in systems for benches", columns, rows)
    conditions = f"Medians of {args.rounds} interleaved rounds, {results.machine()}"
    print(found.text(), conditions, sep="\n")
    if args.update:
        results.record("benches", found, conditions)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
