"""Counted resources: at most the total is held at once, and a request gets all units or none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.execution.locks import locks

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.execution.locks.locks import LockSet

TOTAL = {"scope": 2, "licence": 3}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the locks of the test."""
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(tmp_path))
    return tmp_path


def acquire_now(**wanted: int) -> LockSet | None:
    """Acquire units without waiting."""
    stop = threading.Event()
    stop.set()
    return locks.acquire_resources(wanted, TOTAL, run="r", step="x.yaml::a", stop=stop)


def test_all_units_of_a_resource_can_be_held() -> None:
    held = [acquire_now(scope=1), acquire_now(scope=1)]

    assert None not in held
    assert acquire_now(scope=1) is None
    for units in held:
        assert units is not None
        units.release()
    assert acquire_now(scope=2) is not None


def test_units_are_acquired_all_or_none() -> None:
    first = acquire_now(scope=1, licence=2)

    assert first is not None
    assert acquire_now(scope=1, licence=2) is None
    assert acquire_now(scope=1) is not None  # the failed request before has released it


def test_a_wait_for_units_is_reported_and_ends_with_them() -> None:
    first, reported, waits = acquire_now(scope=2), [], threading.Event()
    assert first is not None

    def waiting(name: str, owner: object, _: float) -> None:
        reported.append((name, getattr(owner, "step", None)))
        waits.set()

    held: list[LockSet | None] = []

    def acquire() -> None:
        held.append(
            locks.acquire_resources({"scope": 1}, TOTAL, run="r", step="x.yaml::b", waiting=waiting)
        )

    thread = threading.Thread(target=acquire)
    thread.start()
    assert waits.wait(30)
    first.release()
    thread.join(30)

    assert reported == [("scope (resource)", "x.yaml::a")]
    assert held[0] is not None
    assert held[0].waited > 0


def test_no_more_units_than_the_total_are_held_at_once() -> None:
    gate, lock = threading.Barrier(12), threading.Lock()
    pair = threading.Barrier(2)  # a thread releases its unit only when two units are held
    running = most = 0

    def step() -> None:
        nonlocal running, most
        gate.wait()
        held = locks.acquire_resources({"scope": 1}, TOTAL, run="r", step="x.yaml::a")
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


def test_an_unusable_folder_raises_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "x").write_text("")
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(folder / "x"))

    with pytest.raises(LockError):
        acquire_now(scope=1)
