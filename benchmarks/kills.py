"""Kills sessions at random moments of twenty writing steps, and reads what they leave."""

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
_PATIENCE = 60.0

_SCRIPTLET = f"""
import os


def write(ctx, params):
    told = os.open("told.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range({WRITES}):
        ctx.append(params["key"], number)
        os.write(told, f"{{params['key']}} {{number}}\\n".encode())
    os.close(told)
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
    """Write a recipe of steps in processes of their own and in pytest's, in turn."""
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
    """Kill a session in the middle of its writes.

    Args:
        folder: One that `project` has made.
        share: Share of all writes that are acknowledged before.

    Returns:
        What is wrong with what it has left; None where nothing is.
    """
    told = folder / "told.txt"
    told.unlink(missing_ok=True)
    wanted = int(share * STEPS * WRITES)
    before = run_folders(folder / ".orchestrator/runs")
    argv = [sys.executable, "-m", "pytest", *OPTIONS]
    session = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)
    end = time.monotonic() + _PATIENCE
    while session.poll() is None and time.monotonic() < end and _number(told) < wanted:
        time.sleep(random.random() / 1000)
    session.send_signal(signal.SIGKILL)
    session.wait()
    return wrong(folder, before)


def wrong(folder: Path, before: list[Path]) -> str | None:
    """Return what is wrong with a run that was killed; None where nothing is."""
    fresh = [run for run in run_folders(folder / ".orchestrator/runs") if run not in before]
    acknowledged = [line.split() for line in _text(folder / "told.txt").splitlines()]
    if not fresh:
        return "there is no run" if acknowledged else None
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


def _number(told: Path) -> int:
    try:
        return told.stat().st_size // len("k0 0\n")
    except OSError:
        return 0


def _text(told: Path) -> str:
    return told.read_text() if told.exists() else ""


def rounds(number: int, folder: Path) -> list[str]:
    """Kill so many sessions; return what went wrong."""
    project(folder)
    os.environ.pop("PYTEST_ADDOPTS", None)
    found = (killed(folder, random.random()) for _ in range(number))
    return [one for one in found if one is not None]
