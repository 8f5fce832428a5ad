"""Counted resources: never more at once than there are, and never some without the others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.execution.locks.lock_file import LockError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.execution.locks.locks import LockSet

THERE = {"scope": 2, "licence": 3}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of locks of one's own."""
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(tmp_path))
    return tmp_path


def now(**wanted: int) -> LockSet | None:
    """Take what is free now."""
    stop = threading.Event()
    stop.set()
    return locks.acquire_resources(wanted, THERE, run="r", step="x.yaml::a", stop=stop)


def test_as_many_as_there_are_can_be_held() -> None:
    held = [now(scope=1), now(scope=1)]

    assert None not in held
    assert now(scope=1) is None
    for one in held:
        assert one is not None
        one.release()
    assert now(scope=2) is not None


def test_all_is_taken_at_once_or_nothing() -> None:
    first = now(scope=1, licence=2)

    assert first is not None
    assert now(scope=1, licence=2) is None
    assert now(scope=1) is not None  # which the try before has let go


def test_who_waits_is_told_of_it_and_gets_it_in_the_end() -> None:
    first, told, waits = now(scope=2), [], threading.Event()
    assert first is not None

    def waiting(name: str, owner: object, _: float) -> None:
        told.append((name, getattr(owner, "step", None)))
        waits.set()

    found: list[LockSet | None] = []

    def take() -> None:
        found.append(
            locks.acquire_resources({"scope": 1}, THERE, run="r", step="x.yaml::b", waiting=waiting)
        )

    thread = threading.Thread(target=take)
    thread.start()
    assert waits.wait(30)
    first.release()
    thread.join(30)

    assert told == [("scope (resource)", "x.yaml::a")]
    assert found[0] is not None
    assert found[0].waited > 0


def test_never_more_than_there_are_at_the_same_time() -> None:
    gate, lock = threading.Barrier(12), threading.Lock()
    pair = threading.Barrier(2)  # nobody lets go before there are two
    running = most = 0

    def step() -> None:
        nonlocal running, most
        gate.wait()
        held = locks.acquire_resources({"scope": 1}, THERE, run="r", step="x.yaml::a")
        assert held is not None
        with held:
            with lock:
                running += 1
                most = max(most, running)
            pair.wait(60)
            threading.Event().wait(0.02)
            with lock:
                running -= 1

    threads = [threading.Thread(target=step) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 2


def test_a_folder_that_cannot_be_used_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "x").write_text("")
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(folder / "x"))

    with pytest.raises(LockError):
        now(scope=1)
