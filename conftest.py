"""Root conftest: loads pytester, and runs tests marked ``quiet`` while no other test runs."""

import fcntl
from collections.abc import Generator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

_QUEUE_FILE, _LOCK_FILE = Path(__file__), Path(__file__).with_name("pyproject.toml")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hold a readers-writer lock during each test; a test marked ``quiet`` is the writer."""
    quiet = item.get_closest_marker("quiet") is not None
    with _QUEUE_FILE.open() as queue, _LOCK_FILE.open() as lock:
        fcntl.flock(queue, fcntl.LOCK_EX)  # new readers cannot overtake a waiting writer
        fcntl.flock(lock, fcntl.LOCK_EX if quiet else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # explicitly: a forked child keeps the file open
