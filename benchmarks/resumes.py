"""Kill sessions at random moments, resume until the run is complete, and compare the results."""

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
_MAX_KILLS = 4
_TIMEOUT = 60.0

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
    """Write a recipe in which every third step is idempotent and every second one inline."""
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
    """Kill a session and the sessions that resume it, then let the last one end by itself.

    Args:
        folder: A new folder that `project` has written.
        kills: Number of killed sessions.

    Returns:
        The error of the final result; None if it is correct.
    """
    requested: Counter[str] = Counter()
    args: list[str] = []
    for _ in range(kills):
        _killed(folder, args)
        args = _resume_options(folder, requested)
    while args or not _runs(folder).is_dir():
        before = list(args)
        _session(folder, args).wait(_TIMEOUT)
        args = _resume_options(folder, requested) if _is_open(folder) else []
        if args == before == ["--recipe-resume"]:
            steps = load_record(find_run(_runs(folder))).steps
            return f"it is resumed for ever: {[step.state for step in steps]}"
    return _compared(folder, requested)


def _compared(folder: Path, requested: Counter[str]) -> str | None:
    names = [f"s{number}" for number in range(STEPS)]
    values = load_record(find_run(_runs(folder))).changes.values()
    expected = {
        "all": [name for name in names for _ in range(WRITES)],
        "count": STEPS * WRITES,
        **dict.fromkeys(names, WRITES - 1),
    }
    if values != expected:
        return f"the Context is {values}"
    ran = Counter((folder / "ran.txt").read_text().split())
    twice = {
        name: ran[name]
        for number, name in enumerate(names)
        if number % 3 and ran[name] > 1 + requested[name]
    }
    return f"steps ran too often: {twice}, requested {requested}" if twice else None


def _resume_options(folder: Path, requested: Counter[str]) -> list[str]:
    """Return the options of the next session; count the steps that `--recipe-rerun` names."""
    if not _has_begun(folder):
        return []
    cut = [step.name for step in load_record(find_run(_runs(folder))).steps if was_cut_off(step)]
    again = [name for name in cut if int(name[1:]) % 3]
    requested.update(again)
    return ["--recipe-resume", *(f"--recipe-rerun={name}" for name in again)]


def _has_begun(folder: Path) -> bool:
    return _runs(folder).is_dir() and bool(load_record(find_run(_runs(folder))).id)


def _is_open(folder: Path) -> bool:
    steps = load_record(find_run(_runs(folder))).steps
    return any(step.state not in ("passed", "restored") for step in steps)


def _runs(folder: Path) -> Path:
    return folder / ".orchestrator" / "runs"


def _killed(folder: Path, args: list[str]) -> None:
    """Kill a session up to 50 ms after `ran.txt` has grown by a random size below 60 bytes."""
    log = folder / "ran.txt"
    enough = _size(log) + random.randrange(0, 60)
    session = _session(folder, args)
    end = time.monotonic() + _TIMEOUT
    while session.poll() is None and time.monotonic() < end and _size(log) < enough:
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
    """Repeat the test, each time in a project of its own; return the errors."""
    os.environ.pop("PYTEST_ADDOPTS", None)
    errors = []
    for each in range(number):
        own = folder / str(each)
        project(own)
        error = wrong(own, random.randint(1, _MAX_KILLS))
        errors += [] if error is None else [f"{own.name}: {error}"]
    return errors
