"""A lock has at most one owner at a time, and is free when its owner has ended in any way."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.execution.locks import lock_file, locks
from pytest_orchestrator.execution.locks.lock_file import Owner
from pytest_orchestrator.execution.locks.locks import LockSet

NEEDS_TWO_USERS = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
HEAD = """
import os, sys
from pytest_orchestrator.execution.locks.locks import acquire

def report(*words):
    print(*words, flush=True)

def take(*names):
    step, waiting = "recipes/x.yaml::flash", lambda *_: report("waits")
    return acquire(names, run="run-2", step=step, waiting=waiting)
"""


class OtherProcess:
    """A process that runs a script; its output is read line by line."""

    def __init__(self, script: str) -> None:
        command = [sys.executable, "-c", HEAD + script]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def next_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def resume(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def exit_code(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def other() -> Iterator[Callable[[str], OtherProcess]]:
    started: list[OtherProcess] = []

    def other(script: str) -> OtherProcess:
        started.append(OtherProcess(script))
        return started[-1]

    yield other
    for each in started:
        each.process.kill()
        each.process.communicate()


def take(*names: str, **more: Any) -> LockSet:
    held = locks.acquire(names, run="run-1", step="recipes/x.yaml::measure", **more)
    assert held is not None
    return held


def is_free(*names: str) -> bool:
    stop = threading.Event()
    stop.set()
    held = locks.acquire(names, run="", step="", stop=stop)
    if held is not None:
        held.release()
    return held is not None


def open_files() -> set[str]:
    """Return the open descriptors of this process; those of other tests may be closed later."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_lock_is_held_until_it_is_released() -> None:
    held = take("psu")

    assert not is_free("psu")
    assert is_free("scope")
    held.release()
    assert is_free("psu")


def test_a_free_lock_is_acquired_without_a_wait() -> None:
    with take("scope", "psu", "scope") as held:
        assert held.names == ("psu", "scope")
        assert held.waited < 10


def test_an_empty_set_of_names_is_acquired() -> None:
    assert take().names == ()


def test_releasing_twice_closes_no_other_file(tmp_path: Path) -> None:
    held = take("psu")
    (fd,) = held.filenos()
    held.release()
    with (tmp_path / "x").open("w") as file:
        os.dup2(file.fileno(), fd)
    held.release()

    os.close(fd)
    assert held.filenos() == ()


def test_no_file_descriptor_is_left_open() -> None:
    before = open_files()
    with take("psu", "scope"):
        assert not is_free("psu", "dmm")
    assert open_files() <= before


def test_processes_that_acquire_at_once_never_overlap(
    other: Callable[[str], OtherProcess], tmp_path: Path
) -> None:
    (tmp_path / "log").touch()
    script = f"""
sys.stdin.readline()
log = os.open({str(tmp_path / "log")!r}, os.O_WRONLY | os.O_APPEND)
for turn in range(50):
    with take("dmm", "psu"):
        os.write(log, b"+%d\\n" % os.getpid())
        os.write(log, b"-%d\\n" % os.getpid())
"""
    others = [other(script) for _ in range(4)]
    for process in others:
        process.resume()
    assert [process.exit_code() for process in others] == [0] * 4

    lines = (tmp_path / "log").read_text().split()
    assert len(lines) == 400
    assert [line[1:] for line in lines[::2]] == [line[1:] for line in lines[1::2]]
    assert {line[0] for line in lines[::2]} == {"+"}


def test_threads_of_one_process_never_overlap() -> None:
    barrier = threading.Barrier(8)
    inside: list[int] = []

    def work(number: int) -> None:
        barrier.wait()
        names = [*["x", "y", "z"][number % 3 :], "x"]
        for _ in range(10):
            with take(*names):
                inside.append(number)
                assert inside == [number]
                inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_a_killed_owner_releases_its_locks(other: Callable[[str], OtherProcess]) -> None:
    owner = other("held = take('psu', 'scope'); report('has'); sys.stdin.readline()")
    assert owner.next_line() == "has"
    assert not is_free("psu")

    owner.process.send_signal(signal.SIGKILL)
    owner.process.wait(20)

    assert is_free("psu", "scope")


def test_a_process_that_waits_for_a_lock_holds_no_other(
    other: Callable[[str], OtherProcess],
) -> None:
    with take("middle"):
        waiter = other("held = take('a', 'middle', 'z'); report('has', held.names)")
        assert waiter.next_line() == "waits"

        for _ in range(20):
            with take("a", "z"):
                assert not is_free("middle")
    assert waiter.next_line() == "has ('a', 'middle', 'z')"


def test_a_wait_is_reported_with_its_owner_and_measured(
    other: Callable[[str], OtherProcess],
) -> None:
    owner = other("with take('psu'): report('has'); sys.stdin.readline()\nreport('gone')")
    assert owner.next_line() == "has"
    waits: list[tuple[str, Owner | None, float]] = []

    def waiting(*wait: Any) -> None:
        waits.append(wait)
        if len(waits) == 1:
            threading.Timer(0.1, owner.resume).start()

    begun = time.monotonic()
    held = take("a", "psu", waiting=waiting)
    took = time.monotonic() - begun

    ((name, who, age),) = waits
    assert name == "psu"
    assert who is not None
    assert (who.pid, who.run, who.step) == (owner.process.pid, "run-2", "recipes/x.yaml::flash")
    assert who.host == os.uname().nodename
    assert who.user
    assert 0 <= age < 20
    assert 0.1 <= held.waited <= took
    held.release()


def test_a_wait_is_reported_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_REMINDER", 0.0)
    stop = threading.Event()
    ages: list[float] = []

    def waiting(_name: str, _owner: Owner | None, age: float) -> None:
        ages.append(age)
        if len(ages) == 3:
            stop.set()

    with take("psu"):
        assert locks.acquire(["psu"], run="", step="", waiting=waiting, stop=stop) is None
    assert len(ages) == 3
    assert ages == sorted(ages)


def test_a_wait_is_reported_when_the_owner_changes() -> None:
    stop = threading.Event()
    runs: list[str] = []

    def waiting(_name: str, owner: Owner | None, _age: float) -> None:
        assert owner is not None
        runs.append(owner.run)
        if len(runs) == 2:
            stop.set()
        lock_file.write_owner(held.filenos()[0], Owner.here("run-9", "s"))

    with take("psu") as held:
        begun = time.monotonic()
        assert locks.acquire(["psu"], run="", step="", waiting=waiting, stop=stop) is None
    assert runs == ["run-1", "run-9"]
    assert time.monotonic() - begun < locks._REMINDER  # noqa: SLF001  # it is no reminder


def test_a_waiting_process_gets_the_lock_before_its_owner_again(
    other: Callable[[str], OtherProcess],
) -> None:
    held = take("psu")
    waiter = other("with take('psu'): report('has')")
    assert waiter.next_line() == "waits"

    held.release()
    with take("psu"):
        assert waiter.process.wait(20) == 0
    assert waiter.next_line() == "has"


def test_a_wait_ends_when_stop_is_set() -> None:
    stop = threading.Event()
    before = open_files()
    with take("psu"):
        done: list[LockSet | None] = []
        thread = threading.Thread(
            target=lambda: done.append(
                locks.acquire(
                    ["a", "psu"], run="", step="", stop=stop, waiting=lambda *_: stop.set()
                )
            )
        )
        thread.start()
        thread.join(20)
        assert done == [None]
        assert is_free("a")
    assert is_free("a", "psu")
    assert open_files() <= before


def test_a_wait_is_ended_by_a_keyboard_interrupt(other: Callable[[str], OtherProcess]) -> None:
    with take("psu"):
        waiter = other(
            "try:\n    take('a', 'psu')\nexcept KeyboardInterrupt:\n    report('interrupted')\n"
            "sys.stdin.readline()"
        )
        assert waiter.next_line() == "waits"
        waiter.process.send_signal(signal.SIGINT)
        assert waiter.next_line() == "interrupted"
        assert is_free("a")
    assert is_free("psu")


def test_a_process_that_inherited_a_lock_keeps_it_after_the_release() -> None:
    held = take("psu", "scope")
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE, pass_fds=held.filenos()[:1]
    )
    held.release()

    assert is_free("scope")
    assert not is_free("psu")
    keeper.communicate(b"\n", timeout=20)
    assert is_free("psu")


def test_a_started_program_inherits_no_lock() -> None:
    held = take("psu")
    bystander = subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE)
    held.release()

    assert is_free("psu")
    bystander.communicate(b"\n", timeout=20)


def test_a_fork_holds_no_lock(other: Callable[[str], OtherProcess]) -> None:
    owner = other(
        """
held = take("psu")
if not os.fork():
    report("forked")
    sys.stdin.readline()
    os._exit(0)
sys.stdin.readline()
"""
    )
    assert owner.next_line() == "forked"
    assert not is_free("psu")
    owner.process.kill()
    owner.process.wait(20)

    assert is_free("psu")


def test_release_in_a_fork_closes_no_file_of_the_fork(other: Callable[[str], OtherProcess]) -> None:
    owner = other(
        """
held = take("psu")
if not os.fork():
    (fd,) = held.filenos()
    os.dup2(1, fd)
    held.release()
    os.write(fd, b"still open\\n")
    os._exit(0)
os.wait()
sys.stdin.readline()
"""
    )
    assert owner.next_line() == "still open"
    assert not is_free("psu")


@NEEDS_TWO_USERS
def test_two_users_exclude_each_other(
    other: Callable[[str], OtherProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o1777)
        monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", shared)
        # This user could not read the coverage file of the other user.
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        other_user = other(
            "import hashlib, pwd\n"  # before setuid: afterwards files of root are not readable
            "os.umask(0o077); os.setuid(65534)\n"
            "with take('psu'): report('has'); sys.stdin.readline()\n"
            "report('released'); sys.stdin.readline()\n"
            "take('psu'); report('waited')"
        )
        assert other_user.next_line() == "has"
        assert not is_free("psu")
        other_user.resume()
        assert other_user.next_line() == "released"
        with take("psu"):
            other_user.resume()
            assert other_user.next_line() == "waits"
        assert other_user.next_line() == "waited"


KILLED = """
from pytest_orchestrator.execution.locks import lock_file
held = take("psu")
lock_file.remote_attempt_started(*held.filenos())
{}
report("holds")
sys.stdin.readline()
"""


def killed(other: Callable[[str], OtherProcess], more: str = "") -> None:
    """Kill an owner of a lock whose attempt runs on another machine."""
    owner = other(KILLED.format(more))
    assert owner.next_line() == "holds"
    assert not is_free("psu")
    owner.process.send_signal(signal.SIGKILL)
    owner.exit_code()


def test_a_lock_is_busy_while_a_remote_attempt_of_a_killed_owner_may_run(
    other: Callable[[str], OtherProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[Owner | None] = []
    killed(other)
    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 600.0)
    assert [is_free("psu") for _ in range(3)] == [False] * 3
    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 0.5)  # has the effect of a clock set back

    held = take("psu", waiting=lambda _, owner, __: waits.append(owner))

    assert held.waited > 0.4
    assert waits[-1] is not None
    assert 0 < waits[-1].free_at <= time.time()
    held.release()
    assert is_free("psu")


def test_waiting_times_for_several_locks_of_a_killed_owner_start_together(
    other: Callable[[str], OtherProcess],
) -> None:
    killed(
        other,
        more="""held = take("load", "meter")
[*map(lock_file.remote_attempt_started, held.filenos())]""",
    )
    paths = [f"{lock_file.path_of(lock_file.default_folder(), n)}.lock" for n in ("load", "meter")]
    exit_code: list[list[float]] = []

    def waiting(*_: object) -> None:
        owners = [lock_file.owner_of(path) for path in paths]
        exit_code.append([owner.free_at for owner in owners if owner is not None])
        stop.set()

    stop = threading.Event()
    assert locks.acquire(("meter", "load"), run="r", step="s", waiting=waiting, stop=stop) is None
    assert len(exit_code[0]) == len(paths)
    assert all(exit_code[0])


def test_a_remote_attempt_that_has_ended_is_not_waited_for(
    other: Callable[[str], OtherProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 600.0)
    killed(other, "lock_file.remote_attempt_ended(*held.filenos())")

    assert is_free("psu")


def test_a_lock_is_free_when_the_last_remote_attempt_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 600.0)
    for ended, is_over in ((1, False), (2, True)):
        with take(f"psu {ended}") as held:
            (fd,) = held.filenos()
            for _ in range(2):
                lock_file.remote_attempt_started(fd)
            for _ in range(ended):
                lock_file.remote_attempt_ended(fd)
        lock_file.remote_attempt_ended(fd)  # the descriptor is closed, or another file
        assert is_free(f"psu {ended}") is is_over


def test_a_lost_attempt_ends_in_time_without_a_waiting_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    with take("psu") as held:
        for step in (lock_file.remote_attempt_started, lock_file.remote_attempt_lost):
            step(*held.filenos())
    free = []
    for late in (-1, 20):
        monkeypatch.setattr(time, "time", lambda late=late: now + lock_file.REMOTE_GRACE + late)
        free.append(is_free("psu"))

    assert free == [False, True]


def test_an_attempt_after_a_lost_one_is_waited_for(
    other: Callable[[str], OtherProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    again = """
lock_file.remote_attempt_lost(*held.filenos())
lock_file.remote_attempt_started(*held.filenos())
"""
    killed(other, again)
    monkeypatch.setattr(time, "time", lambda: now + lock_file.REMOTE_GRACE + 60)

    assert not is_free("psu")


def test_a_lock_is_free_at_once_if_its_record_cannot_be_written(
    other: Callable[[str], OtherProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(other)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)

    assert is_free("psu")
