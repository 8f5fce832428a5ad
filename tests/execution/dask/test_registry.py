"""Which workers a session uses, as they come and go."""

from collections.abc import Collection

import msgspec
import pytest

from pytest_orchestrator.execution.dask import registry
from pytest_orchestrator.execution.dask.registry import Fingerprint, WorkerRegistry, fingerprint
from pytest_orchestrator.execution.scheduling.placement import Offer
from pytest_orchestrator.recipe.model.step import ShellStep

HERE = fingerprint("/nowhere", ())
STEP = ShellStep(name="x", cmd="x", resources={"scope": 2, "psu": 1})


class Cluster:
    """Workers by their names, each with what it has."""

    def __init__(self) -> None:
        self.workers: dict[str, Fingerprint | str] = {}
        self.scopes = 2
        self.probed: list[str] = []
        self.is_silent = False

    def seen(self) -> list[Offer]:
        if self.is_silent:
            raise TimeoutError("nobody answers")
        return [Offer(f"tcp://{name}", name, "", {"scope": self.scopes}) for name in self.workers]

    def probe(self, addresses: Collection[str]) -> dict[str, Fingerprint | str]:
        self.probed += addresses
        return {one: self.workers[one.removeprefix("tcp://")] for one in addresses}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def force(cluster: Cluster, said: list[str]) -> WorkerRegistry:
    return WorkerRegistry(cluster.seen, cluster.probe, HERE, {"psu"}, said.append)


@pytest.fixture
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FRESH", 0.0)


def test_workers_that_are_unlike_are_not_used_and_told_of(
    cluster: Cluster, force: WorkerRegistry, said: list[str]
) -> None:
    cluster.workers = {
        "good": HERE,
        "old": msgspec.structs.replace(HERE, python="3.9"),
        "bare": "package pytest_orchestrator is missing",
    }
    force.look(at_once=True)

    assert force.able(STEP) == ["tcp://good"]
    assert list(registry.unused_workers(force.unlike)) == [
        "worker bare would not run the same:",
        "  package pytest_orchestrator is missing",
        "worker old would not run the same:",
        f"  Python 3.9, here {HERE.python}",
    ]
    assert said == []  # whoever begins a session tells it at once


@pytest.mark.usefixtures("always_fresh")
def test_a_worker_that_comes_later_is_asked_once_and_told_of(
    cluster: Cluster, force: WorkerRegistry, said: list[str]
) -> None:
    cluster.workers = {"first": HERE}
    force.look(at_once=True)
    cluster.workers = {"second": HERE, "odd": msgspec.structs.replace(HERE, python="3.9")}
    force.look()
    force.look()

    assert force.able(STEP) == ["tcp://second"]
    assert sorted(cluster.probed) == ["tcp://first", "tcp://odd", "tcp://second"]
    assert said == [f"worker odd is not used: Python 3.9, here {HERE.python}"]


@pytest.mark.usefixtures("always_fresh")
def test_a_scheduler_that_does_not_answer_takes_no_worker_away(
    cluster: Cluster, force: WorkerRegistry
) -> None:
    cluster.is_silent = True
    with pytest.raises(TimeoutError):
        force.look(at_once=True)
    cluster.workers, cluster.is_silent = {"first": HERE}, False
    force.look(at_once=True)

    cluster.is_silent = True
    force.look()

    assert force.able(STEP) == ["tcp://first"]


def test_who_is_there_is_not_asked_anew_for_each_step(
    cluster: Cluster, force: WorkerRegistry
) -> None:
    cluster.workers = {"first": HERE}
    force.look()
    cluster.workers["second"] = HERE
    force.look()

    assert force.able(STEP) == ["tcp://first"]


def test_what_the_session_counts_is_asked_of_no_worker(
    cluster: Cluster, force: WorkerRegistry
) -> None:
    cluster.workers = {"good": HERE}
    cluster.scopes = 1
    force.look()

    assert force.able(STEP) == []
    assert force.wanted(STEP) == {"scope": 2.0}
