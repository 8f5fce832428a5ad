"""Registry of the workers that a session uses, while workers join and leave."""

from collections.abc import Collection

import msgspec
import pytest

from pytest_orchestrator.addons.dask import registry
from pytest_orchestrator.addons.dask.registry import Fingerprint, WorkerRegistry, fingerprint
from pytest_orchestrator.execution.scheduling.placement import Offer
from pytest_orchestrator.recipe.model.step import ShellStep

HERE = fingerprint("/nowhere", ())
STEP = ShellStep(name="x", cmd="x", resources={"scope": 2, "psu": 1})


class Cluster:
    """Fake cluster: workers by name, each with its fingerprint."""

    def __init__(self) -> None:
        self.workers: dict[str, Fingerprint | str] = {}
        self.scopes = 2
        self.probed: list[str] = []
        self.is_silent = False

    def list_workers(self) -> list[Offer]:
        if self.is_silent:
            raise TimeoutError("the scheduler does not answer")
        return [Offer(f"tcp://{name}", name, "", {"scope": self.scopes}) for name in self.workers]

    def probe(self, addresses: Collection[str]) -> dict[str, Fingerprint | str]:
        self.probed += addresses
        return {address: self.workers[address.removeprefix("tcp://")] for address in addresses}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def worker_registry(cluster: Cluster, notices: list[str]) -> WorkerRegistry:
    return WorkerRegistry(cluster.list_workers, cluster.probe, HERE, {"psu"}, notices.append)


@pytest.fixture
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REFRESH_SECONDS", 0.0)


def test_workers_that_differ_are_not_used_and_reported(
    cluster: Cluster, worker_registry: WorkerRegistry, notices: list[str]
) -> None:
    cluster.workers = {
        "good": HERE,
        "old": msgspec.structs.replace(HERE, python="3.9"),
        "bare": "package pytest_orchestrator is missing",
    }
    worker_registry.refresh(at_start=True)

    assert worker_registry.addresses_for(STEP) == ["tcp://good"]
    assert list(registry.unused_workers(worker_registry.mismatches)) == [
        "worker bare would not run the same:",
        "  package pytest_orchestrator is missing",
        "worker old would not run the same:",
        f"  Python 3.9, here {HERE.python}",
    ]
    assert notices == []  # at the start of a session the caller reports them


@pytest.mark.usefixtures("always_fresh")
def test_a_worker_that_joins_later_is_probed_once_and_reported(
    cluster: Cluster, worker_registry: WorkerRegistry, notices: list[str]
) -> None:
    cluster.workers = {"first": HERE}
    worker_registry.refresh(at_start=True)
    cluster.workers = {"second": HERE, "odd": msgspec.structs.replace(HERE, python="3.9")}
    worker_registry.refresh()
    worker_registry.refresh()

    assert worker_registry.addresses_for(STEP) == ["tcp://second"]
    assert sorted(cluster.probed) == ["tcp://first", "tcp://odd", "tcp://second"]
    assert notices == [f"worker odd is not used: Python 3.9, here {HERE.python}"]


@pytest.mark.usefixtures("always_fresh")
def test_a_scheduler_that_does_not_answer_removes_no_worker(
    cluster: Cluster, worker_registry: WorkerRegistry
) -> None:
    cluster.is_silent = True
    with pytest.raises(TimeoutError):
        worker_registry.refresh(at_start=True)
    cluster.workers, cluster.is_silent = {"first": HERE}, False
    worker_registry.refresh(at_start=True)

    cluster.is_silent = True
    worker_registry.refresh()

    assert worker_registry.addresses_for(STEP) == ["tcp://first"]


def test_the_list_of_workers_is_cached(cluster: Cluster, worker_registry: WorkerRegistry) -> None:
    cluster.workers = {"first": HERE}
    worker_registry.refresh()
    cluster.workers["second"] = HERE
    worker_registry.refresh()

    assert worker_registry.addresses_for(STEP) == ["tcp://first"]


def test_resources_that_the_session_counts_are_not_required_of_workers(
    cluster: Cluster, worker_registry: WorkerRegistry
) -> None:
    cluster.workers = {"good": HERE}
    cluster.scopes = 1
    worker_registry.refresh()

    assert worker_registry.addresses_for(STEP) == []
    assert worker_registry.resources_for(STEP) == {"scope": 2.0}
