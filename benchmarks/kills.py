"""Kill sessions at random moments of twenty writing steps, and check their journals."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from pytest_orchestrator.core.events import ContextChanged
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.lookup import load_record, run_folders

STEPS: Final = 20
WRITES: Final = 20
_TIMEOUT = 60.0

_SCRIPTLET = f"""
import os


def write(ctx, params):
    acknowledged = os.open("acknowledged.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range({WRITES}):
        ctx.append(params["key"], number)
        os.write(acknowledged, f"{{params['key']}} {{number}}\\n".encode())
    os.close(acknowledged)
    return {{"status": "ok"}}
"""
OPTIONS: Final = [
    "-q",
    "-p",
    "no:randomly",
    "-p",
    "no:hypothesispytest",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
]


def project(folder: Path) -> None:
    """Write a recipe whose steps run alternately in their own process and in that of pytest."""
    lines = ["steps:"]
    for number in range(STEPS):
        keys = "type: python, module: writes, function: write"
        keys += ", isolation: inline" if number % 2 else ""
        lines.append(f"  - {{name: s{number}, {keys}, params: {{key: k{number}}}}}")
    (folder / "recipes").mkdir()
    (folder / "recipes" / "x.yaml").write_text("\n".join(lines) + "\n")
    (folder / "writes.py").write_text(_SCRIPTLET)
    (folder / "pytest.ini").write_text("[pytest]\n")


def killed(folder: Path, share: float) -> str | None:
    """Kill a session during its writes and check the journal.

    Args:
        folder: A folder that `project` has written.
        share: Share of all writes that are acknowledged before the kill.

    Returns:
        The error of the journal; None if it is correct.
    """
    acknowledged = folder / "acknowledged.txt"
    acknowledged.unlink(missing_ok=True)
    enough = int(share * STEPS * WRITES)
    before = run_folders(folder / ".orchestrator/runs")
    argv = [sys.executable, "-m", "pytest", *OPTIONS]
    session = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)
    end = time.monotonic() + _TIMEOUT
    while session.poll() is None and time.monotonic() < end and _count(acknowledged) < enough:
        time.sleep(random.random() / 1000)
    session.send_signal(signal.SIGKILL)
    session.wait()
    return wrong(folder, before)


def wrong(folder: Path, before: list[Path]) -> str | None:
    """Return the error of the journal of a killed run; None if it is correct."""
    fresh = [run for run in run_folders(folder / ".orchestrator/runs") if run not in before]
    acknowledged = [line.split() for line in _text(folder / "acknowledged.txt").splitlines()]
    if not fresh:
        return "the run is missing" if acknowledged else None
    reading = read_journal(fresh[0] / "journal.jsonl")
    if reading.state not in ("interrupted", "finished"):
        return f"the journal is {reading.state}: {reading.damage}"
    kept = [
        [entry.event.key, str(entry.event.new)]
        for entry in reading.entries
        if isinstance(entry.event, ContextChanged)
    ]
    if kept[: len(acknowledged)] != acknowledged:
        return f"{len(acknowledged)} writes were acknowledged, {len(kept)} are kept"
    if len(kept) > len(acknowledged) + 1:
        return f"{len(kept)} writes are kept, {len(acknowledged)} were acknowledged"
    states = [step.state for step in load_record(fresh[0]).steps]
    if states.count("interrupted") > 1 or set(states) - {"passed", "not run", "interrupted"}:
        return f"the steps are {states}"
    return None


def _count(file: Path) -> int:
    try:
        return file.stat().st_size // len("k0 0\n")
    except OSError:
        return 0


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def rounds(number: int, folder: Path) -> list[str]:
    """Kill a number of sessions; return the errors."""
    project(folder)
    os.environ.pop("PYTEST_ADDOPTS", None)
    results = (killed(folder, random.random()) for _ in range(number))
    return [error for error in results if error is not None]
