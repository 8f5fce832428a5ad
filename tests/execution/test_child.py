"""A child process is read, timed and ended with all that descends from it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.result import Stream
from pytest_orchestrator.execution import child
from pytest_orchestrator.execution.child import Captured, Exited
from pytest_orchestrator.execution.deadline import deadline
from pytest_orchestrator.execution.family import Family
from pytest_orchestrator.execution.usage import resident

IsGone = Callable[[int], bool]
EDGE = 1 << 15


def run(
    script: str,
    *,
    timeout: float | None = 20,
    capacity: int = 1 << 20,
    stdin: IO[bytes] | None = None,
) -> Exited:
    return child.run(
        ("/bin/sh", "-c", script),
        env=dict(os.environ),
        cwd="/",
        stdin=stdin,
        timeout=timeout,
        capacity=capacity,
    )


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE", 0.2)


def test_a_child_is_told_by_its_code_and_both_streams() -> None:
    exited = run("echo out; echo err >&2; exit 3")
    assert (exited.code, exited.signal, exited.timed_out, exited.leftovers) == (3, None, False, ())
    assert (exited.stdout.stream(), exited.stderr.stream()) == (
        Stream("out\n", 4),
        Stream("err\n", 4),
    )


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGTERM, "SIGTERM"),
        (signal.SIGSEGV, "SIGSEGV"),
        (signal.SIGRTMIN, "SIGRTMIN"),
        (signal.SIGRTMIN + 6, "SIGRTMIN+6"),
    ],
)
def test_the_signal_that_ended_a_child_has_its_name(number: int, name: str) -> None:
    exited = run(f"kill -{int(number)} $$")
    assert (exited.code, exited.signal) == (None, name)


def test_a_child_without_stdin_reads_an_empty_one(tmp_path: Path) -> None:
    own, typed = os.dup(0), os.open(tmp_path / "typed", os.O_RDWR | os.O_CREAT)
    os.write(typed, b"what a person types\n")
    os.lseek(typed, 0, os.SEEK_SET)
    os.dup2(typed, 0)
    try:
        assert run("cat; echo read").stdout.stream() == Stream("read\n", 5)
    finally:
        os.dup2(own, 0)
        os.close(own)
        os.close(typed)


def test_a_child_reads_the_file_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"\x00\xff" * 100_000)
    with path.open("rb") as file:
        assert run("wc -c", stdin=file).stdout.head == b"200000\n"


def test_a_program_that_is_not_there_raises_what_the_system_says() -> None:
    with pytest.raises(FileNotFoundError):
        child.run(("/no/such",), env={}, cwd="/", stdin=None, timeout=1, capacity=1)


def test_a_child_that_closes_its_streams_is_waited_for() -> None:
    assert run("exec >&- 2>&-; sleep 0.05; exit 4").code == 4


def test_a_stream_of_a_hundred_megabytes_leaves_the_memory_flat() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident()
    exited = run("head -c 100000000 /dev/zero; echo end")
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    assert (exited.stdout.size, exited.stdout.whole) == (100_000_004, False)
    assert exited.stdout.stream().text.endswith("\\x00end\n")
    assert peak - before < 8_000_000


def test_what_a_child_writes_last_is_read_whole() -> None:
    sizes = {run("head -c 200000 /dev/zero").stdout.size for _ in range(30)}
    assert sizes == {200_000}


@pytest.mark.parametrize("capacity", [100, EDGE, 2 * EDGE, 1 << 20])
@pytest.mark.parametrize("size", [0, 99, 101, 250, 2 * EDGE, 2 * EDGE + 1, 4 * EDGE])
def test_a_long_stream_is_shown_by_its_head_and_tail(capacity: int, size: int) -> None:
    captured = Captured(capacity)
    text = "".join(chr(97 + number % 26) for number in range(size))
    for start in range(0, size, 1000):
        captured.feed(text[start : start + 1000].encode())
    head = text[: min(EDGE, capacity)]
    tail = text[len(head) :][-EDGE:]
    cut = size - len(head) - len(tail)
    shown = f"{head}\n… {cut} bytes are left out here …\n{tail}" if cut else text
    assert captured.stream() == Stream(shown, size)


@given(st.lists(st.binary(max_size=20)), st.integers(0, 40))
def test_what_fits_is_kept_whole(chunks: list[bytes], capacity: int) -> None:
    captured = Captured(capacity)
    for chunk in chunks:
        captured.feed(chunk)
    whole = b"".join(chunks)
    assert captured.head == whole[:capacity]
    assert captured.whole == (len(whole) <= capacity)


def test_a_tree_that_ignores_term_is_killed_at_its_timeout(
    short_grace: None, is_gone: IsGone
) -> None:
    exited = run("trap '' TERM; sleep 30 & echo $! $$; wait", timeout=0.1)
    assert (exited.timed_out, exited.signal, exited.leftovers) == (True, "SIGKILL", ())
    assert all(is_gone(int(pid)) for pid in exited.stdout.head.split())
    assert 0.3 <= exited.usage.seconds < 1


def test_a_child_has_time_to_clean_up_though_its_parent_is_gone(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    trap = f"trap 'sleep 0.1; touch {cleaned}; exit' TERM; echo ready; while :; do sleep 0.01; done"
    exited = run(f'sh -c "{trap}"; true', timeout=0.2)
    assert (exited.timed_out, exited.signal) == (True, "SIGTERM")
    assert cleaned.exists()
    assert exited.usage.seconds < 1


def test_a_child_that_ends_well_at_term_has_timed_out_all_the_same() -> None:
    exited = run("trap 'exit 0' TERM; while :; do sleep 0.01; done", timeout=0.1)
    assert (exited.timed_out, exited.code) == (True, 0)


def test_a_grandchild_that_holds_the_pipe_is_ended_and_named(is_gone: IsGone) -> None:
    exited = run('sleep 30 & while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done; echo $!')
    pid = int(exited.stdout.head)
    assert (exited.code, exited.leftovers) == (0, (f"sleep (pid {pid})",))
    assert is_gone(pid)


def test_what_ends_right_after_the_leader_was_not_left_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "_MOMENT", 5.0)
    exited = run("(sleep 0.01; echo last) &")
    assert (exited.leftovers, exited.stdout.stream().text) == ((), "last\n")


def test_a_leftover_that_ignores_term_is_killed(short_grace: None, is_gone: IsGone) -> None:
    exited = run("trap '' TERM; sleep 30 & echo $!")
    assert is_gone(int(exited.stdout.head))


def test_a_child_in_a_session_of_its_own_is_ended_once_it_was_seen(is_gone: IsGone) -> None:
    exited = run("setsid sleep 30 & sleep 0.1; echo $!")
    pid = int(exited.stdout.head)
    assert exited.leftovers == (f"sleep (pid {pid})",)
    assert is_gone(pid)


def test_at_a_timeout_a_session_of_its_own_is_ended_too(short_grace: None, is_gone: IsGone) -> None:
    exited = run("setsid sleep 30 & echo $!; wait", timeout=0.1)
    assert is_gone(int(exited.stdout.head))


def test_an_interrupt_ends_the_tree_first(tmp_path: Path, is_gone: IsGone) -> None:
    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(f"sleep 30 & echo $! $$ > {tmp_path}/pids; sleep 0.05; kill -USR1 $PPID; wait")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert all(is_gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_an_interrupt_right_at_the_start_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, is_gone: IsGone
) -> None:
    started: list[int] = []

    def interrupted(leader: int) -> NoReturn:
        started.append(leader)
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "Family", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("sleep 30")
    assert is_gone(started[0])


def test_a_pipe_that_never_runs_dry_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fed(watch: Any, fd: int) -> bool:
        watch.stdout.feed(b"x")
        return True

    monkeypatch.setattr("pytest_orchestrator.execution.child._Watch._take", fed)
    with deadline(5):
        assert run("exit 3").code == 3


def test_a_stranger_with_the_number_of_a_dead_child_is_let_alone() -> None:
    with subprocess.Popen(("sleep", "30"), start_new_session=True) as stranger:
        family = Family(os.getpid())
        family.seen[stranger.pid] = family.seen[os.getpid()]
        survivors = family.survivors()
        stranger.kill()
    assert stranger.pid not in survivors


def test_processes_that_may_not_be_signalled_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_group: int, _number: int) -> NoReturn:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    assert run("exit 5").code == 5
