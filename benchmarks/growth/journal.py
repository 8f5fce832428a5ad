"""Disk usage per step in the run folder, and the cost per step of reading the run back."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.context import memory
from benchmarks.growth.steps import EACH
from benchmarks.growth.tables import Goal, Table
from benchmarks.measure import cost
from benchmarks.projects import project, write
from benchmarks.run import environment, without_others

_READ = """
import resource, sys, time
from pathlib import Path
from pytest_orchestrator.runs import lookup
begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run = lookup.load_record(Path(sys.argv[1]))
assert len(run.steps) == int(sys.argv[2]), len(run.steps)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(time.process_time() - begun, grown)
"""


def measured(sizes: Sequence[int], rounds: int) -> Table:
    """Return the table for runs with the given numbers of steps, each of which sets two keys."""
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="growth-") as folder:
            place = Path(folder)
            files = max(1, size // EACH)
            write(project("recipe-setting", steps=min(size, EACH), files=files), place)
            argv = [sys.executable, "-m", "pytest", "-q", *without_others()]
            cost(argv, folder=place, env=environment(), expected=size)
            run = place / ".orchestrator/runs/latest"
            read = [_read(run, size) for _ in range(rounds)]
            journal = (run / "journal.jsonl").stat().st_size
            page = sum(path.stat().st_size for path in run.glob("report.html"))
            context = (run / "context.json").stat().st_size
            rows.append(
                (
                    size,
                    *(part / 1e3 / size for part in (journal, context)),
                    page / 1e6,
                    *(median(one) / size for one in zip(*read, strict=True)),
                )
            )
    growth = rows[-1][4] / rows[0][4]
    name = f"CPU to read a step back, at {rows[-1][0]:,} / at {rows[0][0]:,}"
    return Table(
        "The folder of a run whose steps set two keys each; "
        f"history in memory: {memory():.2f} bytes for each byte of a change",
        (
            "steps",
            "journal kB a step",
            "context.json kB a step",
            "report.html MB",
            "read back us a step",
            "memory kB a step",
        ),
        rows,
        [Goal(name, growth, "x", 1.15)],
    )


def _read(run: Path, steps: int) -> tuple[float, float]:
    """Load a run in a process of its own; return microseconds of CPU and kilobytes of memory."""
    argv = [sys.executable, "-c", _READ, str(run.resolve()), str(steps)]
    cpu, grown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    return float(cpu) * 1e6, float(grown) * (1.024 if sys.platform != "darwin" else 1e-3)
