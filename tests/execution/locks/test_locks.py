"""A lock is held by one at a time, whoever asks, and however the one before has ended."""

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

def told(*words):
    print(*words, flush=True)

def take(*names):
    step, waiting = "recipes/x.yaml::flash", lambda *_: told("waits")
    return acquire(names, run="run-2", step=step, waiting=waiting)
"""


class Other:
    """A process that runs a script; what it prints is read line by line."""

    def __init__(self, script: str) -> None:
        command = [sys.executable, "-c", HEAD + script]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def goes_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ends(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def other() -> Iterator[Callable[[str], Other]]:
    started: list[Other] = []

    def other(script: str) -> Other:
        started.append(Other(script))
        return started[-1]

    yield other
    for one in started:
        one.process.kill()
        one.process.communicate()


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
    """Return the descriptors of this process; what other tests left may be closed meanwhile."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_lock_is_held_until_it_is_released() -> None:
    held = take("psu")

    assert not is_free("psu")
    assert is_free("scope")
    held.release()
    assert is_free("psu")


def test_what_is_free_is_not_waited_for() -> None:
    with take("scope", "psu", "scope") as held:
        assert held.names == ("psu", "scope")
        assert held.waited < 10


def test_no_names_are_held_at_once() -> None:
    assert take().names == ()


def test_to_release_twice_closes_no_file_of_others(tmp_path: Path) -> None:
    held = take("psu")
    (fd,) = held.filenos()
    held.release()
    with (tmp_path / "x").open("w") as file:
        os.dup2(file.fileno(), fd)
    held.release()

    os.close(fd)
    assert held.filenos() == ()


def test_nothing_is_left_open() -> None:
    before = open_files()
    with take("psu", "scope"):
        assert not is_free("psu", "dmm")
    assert open_files() <= before


def test_processes_that_ask_at_once_never_overlap(
    other: Callable[[str], Other], tmp_path: Path
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
    for one in others:
        one.goes_on()
    assert [one.ends() for one in others] == [0] * 4

    lines = (tmp_path / "log").read_text().split()
    assert len(lines) == 400
    assert [line[1:] for line in lines[::2]] == [line[1:] for line in lines[1::2]]
    assert {line[0] for line in lines[::2]} == {"+"}


def test_threads_of_one_process_never_overlap_either() -> None:
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


def test_an_owner_that_is_killed_frees_its_lock(other: Callable[[str], Other]) -> None:
    owner = other("held = take('psu', 'scope'); told('has'); sys.stdin.readline()")
    assert owner.says() == "has"
    assert not is_free("psu")

    owner.process.send_signal(signal.SIGKILL)
    owner.process.wait(20)

    assert is_free("psu", "scope")


def test_who_waits_for_one_lock_holds_no_other(other: Callable[[str], Other]) -> None:
    with take("middle"):
        waiter = other("held = take('a', 'middle', 'z'); told('has', held.names)")
        assert waiter.says() == "waits"

        for _ in range(20):
            with take("a", "z"):
                assert not is_free("middle")
    assert waiter.says() == "has ('a', 'middle', 'z')"


def test_a_wait_is_told_with_its_owner_and_measured(other: Callable[[str], Other]) -> None:
    owner = other("with take('psu'): told('has'); sys.stdin.readline()\ntold('gone')")
    assert owner.says() == "has"
    told: list[tuple[str, Owner | None, float]] = []

    def waiting(*what: Any) -> None:
        told.append(what)
        if len(told) == 1:
            threading.Timer(0.1, owner.goes_on).start()

    begun = time.monotonic()
    held = take("a", "psu", waiting=waiting)
    took = time.monotonic() - begun

    ((name, who, age),) = told
    assert name == "psu"
    assert who is not None
    assert (who.pid, who.run, who.step) == (owner.process.pid, "run-2", "recipes/x.yaml::flash")
    assert who.host == os.uname().nodename
    assert who.user
    assert 0 <= age < 20
    assert 0.1 <= held.waited <= took
    held.release()


def test_a_wait_is_told_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_wait_is_told_again_when_the_owner_is_another() -> None:
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
    assert time.monotonic() - begun < locks._REMINDER  # noqa: SLF001  # not told as a reminder


def test_who_waits_has_its_turn_before_the_owner_takes_the_lock_again(
    other: Callable[[str], Other],
) -> None:
    held = take("psu")
    waiter = other("with take('psu'): told('has')")
    assert waiter.says() == "waits"

    held.release()
    with take("psu"):
        assert waiter.process.wait(20) == 0
    assert waiter.says() == "has"


def test_a_wait_ends_when_it_is_stopped() -> None:
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


def test_a_wait_is_ended_by_what_a_signal_raises(other: Callable[[str], Other]) -> None:
    with take("psu"):
        waiter = other(
            "try:\n    take('a', 'psu')\nexcept KeyboardInterrupt:\n    told('interrupted')\n"
            "sys.stdin.readline()"
        )
        assert waiter.says() == "waits"
        waiter.process.send_signal(signal.SIGINT)
        assert waiter.says() == "interrupted"
        assert is_free("a")
    assert is_free("psu")


def test_who_was_handed_a_lock_keeps_it_when_its_owner_lets_go() -> None:
    held = take("psu", "scope")
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE, pass_fds=held.filenos()[:1]
    )
    held.release()

    assert is_free("scope")
    assert not is_free("psu")
    keeper.communicate(b"\n", timeout=20)
    assert is_free("psu")


def test_a_program_that_is_started_holds_nothing() -> None:
    held = take("psu")
    bystander = subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE)
    held.release()

    assert is_free("psu")
    bystander.communicate(b"\n", timeout=20)


def test_a_fork_holds_nothing(other: Callable[[str], Other]) -> None:
    owner = other(
        """
held = take("psu")
if not os.fork():
    told("forked")
    sys.stdin.readline()
    os._exit(0)
sys.stdin.readline()
"""
    )
    assert owner.says() == "forked"
    assert not is_free("psu")
    owner.process.kill()
    owner.process.wait(20)

    assert is_free("psu")


def test_a_fork_that_releases_closes_nothing_of_its_own(other: Callable[[str], Other]) -> None:
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
    assert owner.says() == "still open"
    assert not is_free("psu")


@NEEDS_TWO_USERS
def test_two_users_exclude_each_other(
    other: Callable[[str], Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o1777)
        monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", shared)
        # Nobody's coverage could not be read by us.
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        nobody = other(
            "import hashlib, pwd\n"  # a home of root's cannot be read later
            "os.umask(0o077); os.setuid(65534)\n"
            "with take('psu'): told('has'); sys.stdin.readline()\n"
            "told('released'); sys.stdin.readline()\n"
            "take('psu'); told('waited')"
        )
        assert nobody.says() == "has"
        assert not is_free("psu")
        nobody.goes_on()
        assert nobody.says() == "released"
        with take("psu"):
            nobody.goes_on()
            assert nobody.says() == "waits"
        assert nobody.says() == "waited"


KILLED = """
from pytest_orchestrator.execution.locks import lock_file
held = take("psu")
lock_file.goes_away(*held.filenos())
{}
told("holds")
sys.stdin.readline()
"""


def killed(other: Callable[[str], Other], more: str = "") -> None:
    """Let an owner be killed that has let something run on another machine."""
    owner = other(KILLED.format(more))
    assert owner.says() == "holds"
    assert not is_free("psu")
    owner.process.send_signal(signal.SIGKILL)
    owner.ends()


def test_a_lock_outlasts_its_owner_as_long_as_something_of_it_may_run_elsewhere(
    other: Callable[[str], Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[Owner | None] = []
    killed(other)
    monkeypatch.setattr(lock_file, "GONE", 600.0)
    assert [is_free("psu") for _ in range(3)] == [False] * 3
    monkeypatch.setattr(lock_file, "GONE", 0.5)  # as if the clock had been set back

    held = take("psu", waiting=lambda _, owner, __: waits.append(owner))

    assert held.waited > 0.4
    assert waits[-1] is not None
    assert 0 < waits[-1].free_at <= time.time()
    held.release()
    assert is_free("psu")


def test_all_locks_of_an_owner_that_was_killed_are_waited_for_at_the_same_time(
    other: Callable[[str], Other],
) -> None:
    killed(other, more='held = take("load", "meter"); [*map(lock_file.goes_away, held.filenos())]')
    paths = [f"{lock_file.path_of(lock_file.default_folder(), n)}.lock" for n in ("load", "meter")]
    ends: list[list[float]] = []

    def waiting(*_: object) -> None:
        owners = [lock_file.owner_of(path) for path in paths]
        ends.append([owner.free_at for owner in owners if owner is not None])
        stop.set()

    stop = threading.Event()
    assert locks.acquire(("meter", "load"), run="r", step="s", waiting=waiting, stop=stop) is None
    assert len(ends[0]) == len(paths)
    assert all(ends[0])


def test_what_is_over_elsewhere_is_waited_for_by_nobody(
    other: Callable[[str], Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_file, "GONE", 600.0)
    killed(other, "lock_file.is_back(*held.filenos())")

    assert is_free("psu")


def test_of_two_that_run_elsewhere_the_last_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_file, "GONE", 600.0)
    for ended, is_over in ((1, False), (2, True)):
        with take(f"psu {ended}") as held:
            (fd,) = held.filenos()
            for _ in range(2):
                lock_file.goes_away(fd)
            for _ in range(ended):
                lock_file.is_back(fd)
        lock_file.is_back(fd)  # which is another file by now, or none
        assert is_free(f"psu {ended}") is is_over


def test_what_was_lost_elsewhere_is_over_in_time_though_nobody_has_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    with take("psu") as held:
        for step in (lock_file.goes_away, lock_file.is_lost):
            step(*held.filenos())
    free = []
    for late in (-1, 20):
        monkeypatch.setattr(time, "time", lambda late=late: now + lock_file.GONE + late)
        free.append(is_free("psu"))

    assert free == [False, True]


def test_a_try_after_one_that_was_lost_is_waited_for_as_any(
    other: Callable[[str], Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    again = "lock_file.is_lost(*held.filenos()); lock_file.goes_away(*held.filenos())"
    killed(other, again)
    monkeypatch.setattr(time, "time", lambda: now + lock_file.GONE + 60)

    assert not is_free("psu")


def test_where_nothing_can_be_noted_a_lock_is_free_at_once(
    other: Callable[[str], Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(other)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)

    assert is_free("psu")
