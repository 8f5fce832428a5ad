"""Settings and fixtures of all tests: hypothesis profile, reserved port, coverage, locks."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from benchmarks import ports

# No deadline: the time of an example depends on the load. Speed limits have tests of their own.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture
def port() -> Iterator[int]:
    """A free port, which the system gives to no other process."""
    with ports.kept() as number:
        yield number


@pytest.fixture(autouse=True)
def coverage_of_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the coverage of child processes only in tests with the marker `measured`.

    It takes a third of the time of a child, and nearly all runs execute the same code in it.
    """
    if request.node.get_closest_marker("measured") is None:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session", autouse=True)
def locks_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use locks and counted resources of this session instead of those of the whole machine.

    Another worker, or another run of these tests, could hold a lock that a test expects to be
    free.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))
        yield
