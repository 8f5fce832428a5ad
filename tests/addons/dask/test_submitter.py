"""Submitter of an attempt to workers that may die before they claim it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.addons.dask import registry, runner
from pytest_orchestrator.addons.dask.registry import WorkerRegistry, fingerprint
from pytest_orchestrator.addons.dask.runner import Submitter
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.remote.attempt import RemoteWork
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.scheduling.placement import Offer
from pytest_orchestrator.recipe.model.step import ShellStep

HERE = fingerprint("/nowhere", ())


class Future:
    """Fake of a future of Dask."""

    def __init__(self) -> None:
        self.status = "pending"
        self.is_cancelled = False
        self._callbacks: list[Callable[[Any], object]] = []

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        self._callbacks.append(callback)

    def done(self) -> bool:
        return self.status != "pending"

    def cancel(self) -> None:
        self.is_cancelled = True

    def exception(self) -> Exception:
        return RuntimeError("the worker died")

    def end(self, status: str) -> None:
        self.status = status
        for callback in self._callbacks:
            callback(self)


class FakeAttempt:
    """Fake of a remote attempt, which records how it is marked."""

    id = "t"

    def __init__(self, step: str = "x") -> None:
        self.work = RemoteWork(
            ShellStep(name=step, cmd="x"), Context(), AttemptContext(config=RunConfig(root=Path()))
        )
        self.claim: object = None
        self.marks: list[str] = []

    def lose(self, why: str) -> None:
        self.marks.append(why)

    def give_up(self) -> None:
        self.marks.append("given up")


class Dask:
    """Fake cluster whose workers join and leave."""

    def __init__(self) -> None:
        self.workers = {"a"}
        self.tasks: list[tuple[Future, dict[str, Any]]] = []

    def submit(self, _ref: object, **options: Any) -> Future:
        self.tasks.append((Future(), options))
        return self.tasks[-1][0]

    def list_workers(self) -> list[Offer]:
        return [Offer(name, name, "", {}) for name in sorted(self.workers)]


@pytest.fixture
def dask(monkeypatch: pytest.MonkeyPatch) -> Dask:
    monkeypatch.setattr(registry, "_REFRESH_SECONDS", 0.0)
    return Dask()


@pytest.fixture
def attempt() -> FakeAttempt:
    return FakeAttempt()


@pytest.fixture
def submitter(dask: Dask, attempt: FakeAttempt) -> Submitter:
    worker_registry = WorkerRegistry(
        dask.list_workers, lambda names: dict.fromkeys(names, HERE), HERE
    )
    worker_registry.refresh()
    return Submitter(dask.submit, worker_registry, attempt)  # type: ignore[arg-type]


def test_an_attempt_is_submitted_once_to_suitable_workers(dask: Dask, submitter: Submitter) -> None:
    for _ in range(3):
        submitter.ensure_submitted()

    [(_, options)] = dask.tasks
    assert options["workers"] == ["a"]
    assert options["allow_other_workers"] is False
    assert (options["pure"], options["retries"], options["resources"]) == (False, 0, None)


def test_an_attempt_is_submitted_again_if_its_worker_is_gone(
    dask: Dask, submitter: Submitter
) -> None:
    submitter.ensure_submitted()
    dask.workers = {"b"}
    submitter.ensure_submitted()

    assert [options["workers"] for _, options in dask.tasks] == [["a"], ["b"]]
    assert dask.tasks[0][0].is_cancelled
    assert dask.tasks[0][1]["key"] != dask.tasks[1][1]["key"]


def test_keys_of_all_steps_have_one_prefix(dask: Dask) -> None:
    """Dask keeps data for each prefix of keys for ever, on the scheduler and on every worker."""
    utils = pytest.importorskip("dask.utils")
    worker_registry = WorkerRegistry(
        dask.list_workers, lambda names: dict.fromkeys(names, HERE), HERE
    )
    worker_registry.refresh()

    for name in ("measure", "log-in", "setup.psu"):
        attempt = FakeAttempt(name)
        Submitter(dask.submit, worker_registry, attempt).ensure_submitted()  # type: ignore[arg-type]

    keys = [options["key"] for _, options in dask.tasks]
    assert {utils.key_split(key) for key in keys} == {"step"}
    assert [key.partition("-t-")[2] for key in keys] == ["measure", "log-in", "setup.psu"]


def test_an_attempt_is_lost_after_three_dead_workers(
    dask: Dask, submitter: Submitter, attempt: FakeAttempt
) -> None:
    for _ in range(3):
        assert attempt.marks == []
        submitter.ensure_submitted()
        dask.tasks[-1][0].end("error")

    assert attempt.marks == ["Dask gave it up before a worker had it: the worker died"]


def test_an_error_of_dask_after_the_claim_gives_the_worker_up(
    dask: Dask, submitter: Submitter, attempt: FakeAttempt
) -> None:
    submitter.ensure_submitted()
    attempt.claim = object()
    dask.tasks[-1][0].end("error")

    assert attempt.marks == ["given up"]


def test_a_task_that_ends_without_an_outcome_loses_the_attempt(
    dask: Dask, submitter: Submitter, attempt: FakeAttempt
) -> None:
    submitter.ensure_submitted()
    dask.tasks[-1][0].end("finished")

    assert attempt.marks == ["its worker ended it without a word"]


def test_an_attempt_waits_for_a_worker_for_a_limited_time(
    dask: Dask, submitter: Submitter, attempt: FakeAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitter.ensure_submitted()
    dask.workers = set()
    submitter.ensure_submitted()
    submitter.ensure_submitted()
    assert attempt.marks == []

    monkeypatch.setattr(runner, "_NO_WORKER_SECONDS", 0.0)
    submitter.ensure_submitted()
    assert attempt.marks == ["no worker is left that can take it"]


def test_withdraw_cancels_the_task(dask: Dask, submitter: Submitter) -> None:
    submitter.withdraw()
    submitter.ensure_submitted()
    submitter.withdraw()

    assert dask.tasks[0][0].is_cancelled


def test_a_worker_that_runs_the_next_attempt_keeps_its_task(
    dask: Dask, submitter: Submitter, attempt: FakeAttempt
) -> None:
    submitter.ensure_submitted()
    following = FakeAttempt()
    submitter.follow(following)  # type: ignore[arg-type]
    submitter.ensure_submitted()
    assert len(dask.tasks) == 1
    # The worker left without a claim: the attempt gets a task of its own, and is not lost.
    dask.tasks[0][0].end("finished")
    assert (attempt.marks, following.marks) == ([], [])
    submitter.ensure_submitted()
    assert len(dask.tasks) == 2
    following.claim = object()
    dask.tasks[1][0].end("finished")
    assert following.marks == ["its worker ended it without a word"]
