"""Wait for a lane's reply: idle callback, start of the Context server, deadline."""

import socket
import time
from collections.abc import Iterator, Mapping

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.execution.lanes.context_access import lane_waiter


class Access:
    """Context access that records the start of its server."""

    forms: tuple[bytes, ...] = ()

    def __init__(self, listener: socket.socket, calls: list[str], lane: socket.socket) -> None:
        self.listener = listener
        self._calls, self._lane = calls, lane

    def open(self, step: str, context: Context) -> Mapping[str, str]:
        return {}

    def close(self, variables: Mapping[str, str]) -> None:
        return None

    def start_server(self) -> None:
        self._calls.append("start_server")
        self._lane.send(b"!")

    def mask_token(self, data: bytes = b"", *, surely: bool = False) -> None:
        return None


@pytest.fixture
def lanes() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_the_idle_callback_and_the_context_server_come_before_the_reply(
    lanes: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = lanes
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        access = Access(listener, calls, theirs)

        def on_idle() -> None:
            calls.append("on_idle")
            with socket.create_connection(listener.getsockname()):
                pass

        wait = lane_waiter(on_idle, access)
        wait(ours, time.monotonic() + 20)
    assert calls == ["on_idle", "start_server"]


def test_a_lane_without_a_reply_at_the_deadline_raises_timeout_error(
    lanes: tuple[socket.socket, socket.socket],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wait = lane_waiter(lambda: None, Access(listener, [], lanes[1]))
        with pytest.raises(TimeoutError):
            wait(lanes[0], time.monotonic() + 0.02)
