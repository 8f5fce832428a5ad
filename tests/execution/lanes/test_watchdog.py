"""Watchdog: the supervisor ends a pytest process that is stuck, with its process tree."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from marshal import dumps, loads
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.execution.lanes import lane, watchdog
from pytest_orchestrator.execution.supervision import deadlines, os_support
from pytest_orchestrator.execution.supervision.deadlines import DEADLINE_CELL, WatchdogKiller

STUBBORN = """
import ctypes, os, signal, subprocess, sys, time
from pytest_orchestrator.execution.steps import python_inline
from pytest_orchestrator.execution.lanes import lane, watchdog

def swallows():
    try:
        signal.raise_signal(signal.SIGALRM)  # as the timer does
    except BaseException:
        time.sleep(60)

def blocks():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.raise_signal(signal.SIGALRM)
    time.sleep(60)

def hangs():
    lock = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(lock)

def obeys():
    time.sleep(60)

obedient = sys.argv[1] == "obeys"
watchdog.GRACE, limit = (60.0, 0.1) if obedient else (0.2, 60.0)
note = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
print(subprocess.Popen(["sleep", "60"], stdout=-3, stderr=-3).pid, flush=True)
with lane.Lanes() as all_lanes:
    guarded = watchdog.Watchdog(all_lanes, (sys.executable, "-c", note), lambda: os.dup(2))
    try:
        with guarded.over(60, "never", ()):
            pass
        with guarded.over(0.1, "it hung", (sys.argv[2], "recorded")), python_inline.deadline(limit):
            globals()[sys.argv[1]]()
    except python_inline.TimeLimitReached:
        print("interrupted", file=sys.stderr)
"""


def run(function: str, note: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-c", STUBBORN, function, str(note)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("function", ["swallows", "blocks", "hangs"])
def test_a_step_that_cannot_be_interrupted_is_ended_with_its_process_tree(
    function: str, tmp_path: Path, is_gone: Callable[[int], bool]
) -> None:
    note = tmp_path / "note"
    ended = run(function, note)

    assert ended.returncode == -signal.SIGKILL
    assert ended.stderr.endswith("\nit hung\n")
    assert is_gone(int(ended.stdout))
    until = time.monotonic() + 60
    while not (note.exists() and note.read_text()):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert note.read_text() == "recorded"


def test_a_step_that_ends_in_time_is_not_killed(tmp_path: Path) -> None:
    ended = run("obeys", tmp_path / "note")
    os.kill(int(ended.stdout), signal.SIGKILL)

    assert ended.stderr.endswith("\ninterrupted\n")
    assert ended.returncode == 0
    assert not (tmp_path / "note").exists()


def test_the_supervisor_reads_the_earliest_deadline_of_all_blocks(tmp_path: Path) -> None:
    path = tmp_path / "deadline"
    with lane.Lanes() as lanes:
        guard = watchdog.Watchdog(lanes, ("record",), lambda: os.dup(2), path)

        def written() -> list[Any]:
            data = path.read_bytes()
            (until,) = DEADLINE_CELL.unpack(data[: DEADLINE_CELL.size])
            return [until - time.monotonic(), loads(data[DEADLINE_CELL.size :])[0]]

        with guard.over(900, "late", ()):
            assert written() == [pytest.approx(900, abs=60), "late"]
            early = guard.over(300, "early", ())
            with early, guard.over(600, "between", ()):
                assert written() == [pytest.approx(300, abs=60), "early"]
            assert written() == [pytest.approx(900, abs=60), "late"]
        assert written()[0] < 0
        guard.close()


def test_a_stopped_pytest_is_not_late() -> None:
    program = subprocess.Popen(("sleep", "60"))
    with tempfile.TemporaryFile() as file, Path(os.devnull).open("w") as terminal:
        file.write(DEADLINE_CELL.pack(1e-9) + dumps(("message", [], [])))
        file.flush()
        killer = WatchdogKiller(program.pid, file.fileno(), terminal.fileno(), 0.0)
        os.kill(program.pid, signal.SIGSTOP)
        while not os_support.is_stopped(program.pid):
            time.sleep(0.001)
        assert not any(killer.ends() for _ in range(50))

        os.kill(program.pid, signal.SIGCONT)
        while not killer.ends():
            pass
        assert program.wait() == -signal.SIGKILL


Late = tuple[subprocess.Popen[bytes], int, tuple[int, int]]


@pytest.fixture
def late() -> Iterator[Late]:
    """A program, a file with a deadline that has passed, and a pipe for the message."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with tempfile.TemporaryFile() as file, subprocess.Popen(("sleep", "60")) as program:
        file.write(DEADLINE_CELL.pack(1e-9) + dumps(("message", [], [])))
        file.flush()
        yield program, file.fileno(), (reader, writer)
        program.kill()
    for one in (reader, writer):
        os.close(one)


def test_the_message_is_printed_before_pytest_is_killed(
    late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, file, (reader, writer) = late
    kill, messages = os_support.kill, []

    def killed(pid: int, number: int) -> None:
        if number == signal.SIGKILL:
            messages.append(os.read(reader, 99))
        kill(pid, number)

    monkeypatch.setattr(os_support, "kill", killed)
    killer = WatchdogKiller(program.pid, file, writer, 0.0)
    while not killer.ends():
        pass

    assert messages == [b"\nmessage\n"]
    assert program.wait() == -signal.SIGKILL


def test_a_full_pipe_does_not_prevent_the_kill(late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    program, file, (_, writer) = late
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    monkeypatch.setattr(deadlines, "_TERMINAL_WAIT", 0.01)
    killer = WatchdogKiller(program.pid, file, writer, 0.0)
    while not killer.ends():
        pass

    assert program.wait() == -signal.SIGKILL
