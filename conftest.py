"""The tests start pytest in pytest by its own plugin for that, and share the machine in turns."""

import fcntl
from collections.abc import Generator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

_DOOR, _ROOM = Path(__file__), Path(__file__).with_name("pyproject.toml")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test that is marked ``quiet`` while no other worker runs one."""
    quiet = item.get_closest_marker("quiet") is not None
    with _DOOR.open() as door, _ROOM.open() as room:
        fcntl.flock(door, fcntl.LOCK_EX)  # who waits for the room is not overtaken
        fcntl.flock(room, fcntl.LOCK_EX if quiet else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # a child that was forked keeps the file open
