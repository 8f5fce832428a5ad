"""A ticket on its way to a worker that may die before it claims it."""

from collections.abc import Callable
from typing import Any

import pytest

from pytest_orchestrator.execution.dask import registry, runner
from pytest_orchestrator.execution.dask.registry import WorkerRegistry, fingerprint
from pytest_orchestrator.execution.dask.runner import Submitter
from pytest_orchestrator.execution.scheduling.placement import Offer
from pytest_orchestrator.recipe.model.step import ShellStep

HERE = fingerprint("/nowhere", ())


class Future:
    """What Dask does with a task, as far as it is asked."""

    def __init__(self) -> None:
        self.status = "pending"
        self.is_cancelled = False
        self._callbacks: list[Callable[[Any], object]] = []

    def add_done_callback(self, then: Callable[[Any], object]) -> None:
        self._callbacks.append(then)

    def done(self) -> bool:
        return self.status != "pending"

    def cancel(self) -> None:
        self.is_cancelled = True

    def exception(self) -> Exception:
        return RuntimeError("the worker died")

    def end(self, status: str) -> None:
        self.status = status
        for one in self._callbacks:
            one(self)


class Ticket:
    """A ticket, as far as it is told."""

    id, work = "t", "work"

    def __init__(self) -> None:
        self.claim: object = None
        self.said: list[str] = []

    def lose(self, why: str) -> None:
        self.said.append(why)

    def give_up(self) -> None:
        self.said.append("given up")


class Dask:
    """A cluster whose workers come and go."""

    def __init__(self) -> None:
        self.workers = {"a"}
        self.tasks: list[tuple[Future, dict[str, Any]]] = []

    def submit(self, _work: object, **how: Any) -> Future:
        self.tasks.append((Future(), how))
        return self.tasks[-1][0]

    def seen(self) -> list[Offer]:
        return [Offer(name, name, "", {}) for name in sorted(self.workers)]


@pytest.fixture
def dask(monkeypatch: pytest.MonkeyPatch) -> Dask:
    monkeypatch.setattr(registry, "_FRESH", 0.0)
    return Dask()


@pytest.fixture
def ticket() -> Ticket:
    return Ticket()


@pytest.fixture
def handed(dask: Dask, ticket: Ticket) -> Submitter:
    force = WorkerRegistry(dask.seen, lambda names: dict.fromkeys(names, HERE), HERE)
    force.look()
    step = ShellStep(name="x", cmd="x")
    return Submitter(dask.submit, force, step, ticket)  # type: ignore[arg-type]


def test_a_try_is_handed_out_once_to_workers_that_may_have_it(
    dask: Dask, handed: Submitter
) -> None:
    for _ in range(3):
        handed.tend()

    [(_, how)] = dask.tasks
    assert how["workers"] == ["a"]
    assert how["allow_other_workers"] is False
    assert (how["pure"], how["retries"], how["resources"]) == (False, 0, None)


def test_it_is_handed_out_again_where_its_worker_is_gone(dask: Dask, handed: Submitter) -> None:
    handed.tend()
    dask.workers = {"b"}
    handed.tend()

    assert [how["workers"] for _, how in dask.tasks] == [["a"], ["b"]]
    assert dask.tasks[0][0].is_cancelled
    assert dask.tasks[0][1]["key"] != dask.tasks[1][1]["key"]


def test_dask_takes_all_steps_for_tasks_of_one_kind(dask: Dask, ticket: Ticket) -> None:
    """It keeps something of each kind for ever, on the scheduler and on every worker."""
    utils = pytest.importorskip("dask.utils")
    force = WorkerRegistry(dask.seen, lambda names: dict.fromkeys(names, HERE), HERE)
    force.look()

    for name in ("measure", "log-in", "setup.psu"):
        step = ShellStep(name=name, cmd="x")
        Submitter(dask.submit, force, step, ticket).tend()  # type: ignore[arg-type]

    keys = [how["key"] for _, how in dask.tasks]
    assert {utils.key_split(key) for key in keys} == {"step"}
    assert [key.partition("-t-")[2] for key in keys] == ["measure", "log-in", "setup.psu"]


def test_three_workers_may_die_with_it_and_no_more(
    dask: Dask, handed: Submitter, ticket: Ticket
) -> None:
    for _ in range(3):
        assert ticket.said == []
        handed.tend()
        dask.tasks[-1][0].end("error")

    assert ticket.said == ["Dask gave it up before a worker had it: the worker died"]


def test_of_a_claimed_try_the_worker_is_heard_and_not_dask(
    dask: Dask, handed: Submitter, ticket: Ticket
) -> None:
    handed.tend()
    ticket.claim = object()
    dask.tasks[-1][0].end("error")

    assert ticket.said == ["given up"]


def test_a_worker_that_ends_without_a_word_has_lost_it(
    dask: Dask, handed: Submitter, ticket: Ticket
) -> None:
    handed.tend()
    dask.tasks[-1][0].end("finished")

    assert ticket.said == ["its worker ended it without a word"]


def test_it_waits_for_a_worker_and_not_for_ever(
    dask: Dask, handed: Submitter, ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed.tend()
    dask.workers = set()
    handed.tend()
    handed.tend()
    assert ticket.said == []

    monkeypatch.setattr(runner, "_NOBODY", 0.0)
    handed.tend()
    assert ticket.said == ["no worker is left that can take it"]


def test_what_is_withdrawn_is_taken_back(dask: Dask, handed: Submitter) -> None:
    handed.withdraw()
    handed.tend()
    handed.withdraw()

    assert dask.tasks[0][0].is_cancelled
