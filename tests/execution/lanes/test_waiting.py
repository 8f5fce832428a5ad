"""While a program runs there is time for other things, and somebody may knock."""

import socket
import time
from collections.abc import Iterator, Mapping

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.execution.lanes.context_access import lane_waiter


class Door:
    """A door that notes what happens to it."""

    forms: tuple[bytes, ...] = ()

    def __init__(self, listener: socket.socket, answered: list[str], lane: socket.socket) -> None:
        self.listener = listener
        self._answered, self._lane = answered, lane

    def open(self, step: str, context: Context) -> Mapping[str, str]:
        return {}

    def close(self, variables: Mapping[str, str]) -> None:
        return None

    def answer(self) -> None:
        self._answered.append("knock")
        self._lane.send(b"!")

    def seen(self, data: bytes = b"", *, surely: bool = False) -> None:
        return None


@pytest.fixture
def lanes() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, its = socket.socketpair()
    with ours, its:
        yield ours, its


def test_where_nothing_is_to_be_done_nobody_waits() -> None:
    assert lane_waiter(None) is None
    assert lane_waiter(None, None) is None


def test_a_knock_is_answered_and_the_lull_used_before_the_lane_tells(
    lanes: tuple[socket.socket, socket.socket],
) -> None:
    ours, its = lanes
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        door = Door(listener, told, its)

        def lull() -> None:
            told.append("lull")
            with socket.create_connection(listener.getsockname()):
                pass

        wait = lane_waiter(lull, door)
        assert wait is not None
        wait(ours, time.monotonic() + 20)
    assert told == ["lull", "knock"]


def test_a_lane_that_tells_nothing_in_time_is_given_up(
    lanes: tuple[socket.socket, socket.socket],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wait = lane_waiter(None, Door(listener, [], lanes[1]))
        assert wait is not None
        with pytest.raises(TimeoutError):
            wait(lanes[0], time.monotonic() + 0.02)
