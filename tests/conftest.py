"""What holds for all tests: no law has a deadline, a port is one's own, and no lock is shared."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from benchmarks import ports

# How long an example takes says what else the machine does; what has to be fast has a test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets."""
    with ports.kept() as number:
        yield number


@pytest.fixture(scope="session", autouse=True)
def locks_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep locks and counted resources apart from those that all users of the machine share.

    Another worker, or another run of these tests, would hold what a test takes to be free.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))
        yield
