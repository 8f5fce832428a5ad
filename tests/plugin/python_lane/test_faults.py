"""Faults of the process of a Python step: it fails with the cause, and the next recipe passes."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.faults import new_token
from pytest_orchestrator.core.files import is_readable
from pytest_orchestrator.plugin.python_lane import launch
from tests.tiers import kept_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Project

_BODIES = """
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time


def exits(ctx, params):
    os._exit(0)

def exits_with_three(ctx, params):
    os._exit(3)

def leaves(ctx, params):
    sys.exit(0)

def crashes(ctx, params):
    ctypes.string_at(0)

def kills_itself(ctx, params):
    os.kill(os.getpid(), signal.SIGKILL)

def interrupts_itself(ctx, params):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

def closes_stdout(ctx, params):
    print("last words", flush=True)
    os.close(1)
    sys.stdout.close()
    return {"status": "ok"}

def leaves_a_thread(ctx, params):
    threading.Thread(target=time.sleep, args=(600,), name="pump").start()
    return {"status": "ok"}

def leaves_a_process(ctx, params):
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()
    return {"status": "ok"}

def swallows(ctx, params):
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def hangs(ctx, params):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def bombs(ctx, params):
    for _ in range(200):
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
    return {"status": "ok"}
"""
_CUT = "before it returned"
_EXITED = f"its process ended with exit code 0 {_CUT} (os._exit or the like)"
_TIMEOUT = "timeout: still running after 0.5 s; its whole process tree was ended"
_REASONS = {
    "exits": _EXITED,
    "exits_with_three": f"its process ended with exit code 3 {_CUT} "
    "(a crash, os._exit or the like)",
    "leaves": "SystemExit: 0",
    "crashes": "ended by SIGSEGV",
    "kills_itself": "ended by SIGKILL",
    "interrupts_itself": "KeyboardInterrupt",
    "swallows": _TIMEOUT,
    "hangs": _TIMEOUT,
}
_HANDLED = ("closes_stdout", "leaves_a_thread", "leaves_a_process", "bombs")
_IMPORTS = {
    "gone": ("import os\nos._exit(0)\n", "ended with exit code 0"),
    "killed": ("import os\nos.kill(os.getpid(), 9)\n", "was ended by SIGKILL"),
    "wedged": (
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, {14, 15})\ntime.sleep(99)\n",
        "did not answer",
    ),
}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Put a token into the environment of all processes of the run; kill them afterwards."""
    token = new_token()
    monkeypatch.setenv("RECIPE_FAULT", token)
    yield token
    for pid in _pids_with(token):
        os.kill(pid, 9)


def _pids_with(token: str) -> list[int]:
    """Return the processes that were started with a token in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if token.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _alive(token: str) -> list[int]:
    """Wait for the processes with a token; return those that are still alive after 60 s."""
    for pid in _pids_with(token):
        with contextlib.suppress(ProcessLookupError):
            gone = os.pidfd_open(pid)
            is_readable(gone, 60.0)
            os.close(gone)
    return _pids_with(token)


def _run(project: Project, names: list[str], *args: str) -> dict[str, str]:
    """Run each function as a recipe, followed by one that passes; return the reasons."""
    project.write("bodies.py", _BODIES)
    for number, name in enumerate(names):
        timeout = ", timeout: 0.5s" if name in ("swallows", "hangs", "wedged") else ""
        module = name if name in _IMPORTS else "bodies"
        step = f"type: python, module: {module}, function: {name}{timeout}"
        project.recipe(f"r{number:02}a", {name: step})
        project.recipe(f"r{number:02}b", {f"after_{name}": ""})
    return project.reasons(*args)


@pytest.mark.own_interpreters
def test_each_fault_fails_with_its_cause_and_the_next_recipe_passes(
    project: Project, token: str
) -> None:
    assert _run(project, [*_REASONS, *_HANDLED]) == _REASONS
    assert project.ran == [f"after_{name}" for name in (*_REASONS, *_HANDLED)]
    assert _alive(token) == []


def test_leftover_processes_are_named(project: Project) -> None:
    project.write("bodies.py", _BODIES)
    step = "type: python, module: bodies, function"
    project.recipe("x", {name: f"{step}: {name}" for name in _HANDLED[1:3]})

    shown = project.run().stdout.str()

    assert "step 'leaves_a_thread' left running: thread pump; ended" in shown
    assert re.search(r"step 'leaves_a_process' left running: \S+ \(pid \d+\); ended", shown)


def test_the_report_of_a_crash_shows_the_line_of_the_step_code(project: Project) -> None:
    project.write("bodies.py", _BODIES)
    project.recipe("x", {"s": "type: python, module: bodies, function: crashes"})

    project.run().stdout.fnmatch_lines(["E   ended by SIGSEGV", '*bodies.py", line * in crashes'])


@pytest.mark.nightly
@pytest.mark.own_interpreters
def test_each_fault_fails_with_its_cause_in_fresh_interpreters_too(
    project: Project, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "FORKS", False)
    reasons = {name: _REASONS[name] for name in ("exits", "crashes", "leaves", "interrupts_itself")}

    assert _run(project, [*reasons, "leaves_a_process"]) == reasons
    assert project.ran == [f"after_{name}" for name in (*reasons, "leaves_a_process")]
    assert _alive(token) == []


@pytest.mark.own_interpreters
@pytest.mark.parametrize("names", kept_first([("wedged",)], ("gone", "killed")))
def test_an_import_that_ends_the_lane_is_reported(
    project: Project, token: str, names: tuple[str, ...]
) -> None:
    for name in names:
        project.write(f"{name}.py", _IMPORTS[name][0])

    reasons = _run(project, list(names))

    for name in names:
        reason = re.sub(r"pid \d+", "pid", reasons[name])
        assert f"the process that runs this step (pid) {_IMPORTS[name][1]}" in reason
        assert reason.endswith(f", while module '{name}' was imported")
    assert project.ran == [f"after_{name}" for name in names]
    assert _alive(token) == []


@pytest.mark.nightly
@pytest.mark.own_interpreters
def test_a_lane_that_does_not_answer_in_time_is_a_timeout(project: Project, token: str) -> None:
    body = "signal.signal(15, signal.SIG_IGN); os.kill(os.getppid(), 19); time.sleep(600)"
    project.write("late.py", f"import os, signal, time\n\ndef x(ctx, params):\n    {body}\n")
    project.recipe(
        "x", {"one": "type: python, module: late, function: x, timeout: 0.5s", "two": "needs: []"}
    )

    reasons = {name: re.sub(r"pid \d+", "pid", how) for name, how in project.reasons().items()}
    assert reasons == {
        "one": "timeout: still running after 0.5 s; "
        "the process that runs this step (pid) did not answer"
    }
    assert project.ran == ["two"]
    assert _alive(token) == []


def test_an_import_that_hangs_is_a_timeout(project: Project, token: str) -> None:
    project.write("slow.py", "import time\ntime.sleep(600)\n")
    project.recipe(
        "x", {"one": "type: python, module: slow, function: x, timeout: 0.5s", "two": "needs: []"}
    )

    assert project.reasons() == {"one": _TIMEOUT}
    assert project.ran == ["two"]
    assert _alive(token) == []


@pytest.mark.own_interpreters
def test_steps_of_a_module_that_starts_a_thread_run_in_fresh_interpreters(project: Project) -> None:
    project.write(
        "pumping.py",
        """
        import os, queue, threading

        asked, told = queue.Queue(), queue.Queue()
        threading.Thread(target=lambda: told.put(asked.get()), daemon=True).start()

        def ask(ctx, params):
            asked.put(params["name"])
            ctx.append("parents", os.getppid())
            return {"status": "ok", "value": told.get(timeout=60)}
        """,
    )
    keys = "type: python, module: pumping, function: ask, params: {name: x}"
    project.recipe("x", {"one": keys, "two": keys, "three": ""})

    assert project.outcomes() == dict.fromkeys(
        [f"recipes/x.yaml::{name}" for name in ("one", "two", "three")], "passed"
    )


@pytest.mark.own_interpreters
def test_a_killed_supervisor_fails_its_step_and_is_replaced(project: Project, token: str) -> None:
    project.write(
        "bodies.py",
        """
        import os, time
        from pathlib import Path

        def kill(ctx, params):
            lane = os.getppid()
            supervisor = int(Path(f"/proc/{lane}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(supervisor, 9)
            time.sleep(600)
        """,
    )
    project.recipe("x", {"one": "type: python, module: bodies, function: kill", "two": "needs: []"})

    reasons = re.sub(r"\d+", "N", project.reasons()["one"])

    assert reasons == ("its process was lost: the supervisor (pid N) was ended by SIGKILL")
    assert project.ran == ["two"]
    assert _alive(token) == []


_FORKING = """
import os

CHILD = os.fork() == 0
{then}

def good(ctx, params):
    ctx.set("is_a_copy", CHILD)
    return {{"status": "ok"}}
"""


@pytest.mark.parametrize("then", ["", "if CHILD:\n    raise SystemExit(3)"])
def test_only_one_process_replies_after_an_import_that_forks(project: Project, then: str) -> None:
    project.write("forking.py", _FORKING.format(then=then))
    call = "type: python, module: forking, function: good"
    after = "success: {assert: [not ctx.is_a_copy]}"
    names = [f"s{number}" for number in range(6)]
    steps = {name: call if number % 2 == 0 else after for number, name in enumerate(names)}
    project.recipe("x", steps)

    project.run().assert_outcomes(passed=6)

    assert project.ran == names[1::2]


def test_the_logs_of_steps_that_are_cut_off_have_only_frames_of_the_user(project: Project) -> None:
    project.write(
        "ends.py",
        """
        import ctypes
        import time

        def hang(ctx, params):
            time.sleep(600)

        def crash(ctx, params):
            ctypes.string_at(0)
        """,
    )
    project.recipe(
        "x",
        {
            "hang": "type: python, module: ends, function: hang, timeout: 300ms",
            "crash": "type: python, module: ends, function: crash, needs: []",
        },
    )

    project.run()

    frames = {
        log.name: re.findall(r'File ".*/(.*)", line', log.read_text())
        for log in project.path.glob(".orchestrator/runs/*/logs/x/*.stderr")
    }
    assert {
        name: [
            one for one in found if one != "fork_server.py"
        ]  # it starts the lanes of these tests
        for name, found in frames.items()
    } == {
        "hang.1.stderr": ["ends.py", "x.yaml"],
        "crash.1.stderr": ["__init__.py", "ends.py", "x.yaml"],
    }
