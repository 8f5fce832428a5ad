"""What all tests have: a port, and laws whose examples may take as long as a busy machine needs."""

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
