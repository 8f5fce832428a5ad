"""Kills sessions at random moments, goes on from them until all is done, and compares."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from benchmarks.kills import OPTIONS
from pytest_orchestrator.runs.lookup import find_run, load_record
from pytest_orchestrator.runs.resume.plan import was_cut_off

STEPS: Final = 12
WRITES: Final = 5
_MOST_KILLS = 4
_PATIENCE = 60.0

_SCRIPTLET = f"""
import os


def write(ctx, params):
    ran = os.open("ran.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ran, (params["name"] + "\\n").encode())
    for number in range({WRITES}):
        ctx.append("all", params["name"])
        ctx.increment("count")
        ctx.set(params["name"], number)
    os.write(ran, b"-\\n")
    os.close(ran)
    return {{"status": "ok", "name": params["name"]}}
"""


def project(folder: Path) -> None:
    """Write a recipe of steps, of which every third may run twice, and every other is inline."""
    lines = ["steps:"]
    for number in range(STEPS):
        keys = "type: python, module: writes, function: write"
        keys += ", isolation: inline" if number % 2 else ""
        keys += ", idempotent: true" if number % 3 == 0 else ""
        lines.append(f"  - {{name: s{number}, {keys}, params: {{name: s{number}}}}}")
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "x.yaml").write_text("\n".join(lines) + "\n")
    (folder / "writes.py").write_text(_SCRIPTLET)
    (folder / "pytest.ini").write_text("[pytest]\n")


def wrong(folder: Path, kills: int) -> str | None:
    """Kill a session and those that go on from it; let the last one come to its end.

    Args:
        folder: One that `project` has made, and no session has run in.
        kills: So many sessions are killed.

    Returns:
        What is wrong with what they leave; None where nothing is.
    """
    asked: Counter[str] = Counter()
    args: list[str] = []
    for _ in range(kills):
        _killed(folder, args)
        args = _how_to_go_on(folder, asked)
    while args or not _runs(folder).is_dir():
        before = list(args)
        _session(folder, args).wait(_PATIENCE)
        args = _how_to_go_on(folder, asked) if _is_open(folder) else []
        if args == before == ["--recipe-resume"]:
            steps = load_record(find_run(_runs(folder))).steps
            return f"it goes on for ever: {[step.state for step in steps]}"
    return _compared(folder, asked)


def _compared(folder: Path, asked: Counter[str]) -> str | None:
    names = [f"s{number}" for number in range(STEPS)]
    values = load_record(find_run(_runs(folder))).changes.values()
    wanted = {
        "all": [name for name in names for _ in range(WRITES)],
        "count": STEPS * WRITES,
        **dict.fromkeys(names, WRITES - 1),
    }
    if values != wanted:
        return f"the Context is {values}"
    ran = Counter((folder / "ran.txt").read_text().split())
    twice = {
        name: ran[name]
        for number, name in enumerate(names)
        if number % 3 and ran[name] > 1 + asked[name]
    }
    return f"bodies ran too often: {twice}, asked for {asked}" if twice else None


def _how_to_go_on(folder: Path, asked: Counter[str]) -> list[str]:
    """Return the options of the next session: what may not run twice is asked for, and counted."""
    if not _has_begun(folder):
        return []
    cut = [step.name for step in load_record(find_run(_runs(folder))).steps if was_cut_off(step)]
    again = [name for name in cut if int(name[1:]) % 3]
    asked.update(again)
    return ["--recipe-resume", *(f"--recipe-rerun={name}" for name in again)]


def _has_begun(folder: Path) -> bool:
    return _runs(folder).is_dir() and bool(load_record(find_run(_runs(folder))).id)


def _is_open(folder: Path) -> bool:
    steps = load_record(find_run(_runs(folder))).steps
    return any(step.state not in ("passed", "restored") for step in steps)


def _runs(folder: Path) -> Path:
    return folder / ".orchestrator" / "runs"


def _killed(folder: Path, args: list[str]) -> None:
    """Kill a session once some more has run in it, or a little later."""
    told = folder / "ran.txt"
    wanted = _size(told) + random.randrange(0, 60)
    session = _session(folder, args)
    end = time.monotonic() + _PATIENCE
    while session.poll() is None and time.monotonic() < end and _size(told) < wanted:
        time.sleep(random.random() / 1000)
    time.sleep(random.random() / 20)
    session.send_signal(signal.SIGKILL)
    session.wait()


def _session(folder: Path, args: list[str]) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "pytest", *OPTIONS, *args]
    return subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def rounds(number: int, folder: Path) -> list[str]:
    """Go so many times through it, each time in a project of its own; return what went wrong."""
    os.environ.pop("PYTEST_ADDOPTS", None)
    told = []
    for each in range(number):
        own = folder / str(each)
        project(own)
        what = wrong(own, random.randint(1, _MOST_KILLS))
        told += [] if what is None else [f"{own.name}: {what}"]
    return told
