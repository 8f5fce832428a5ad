"""Reports of a step's process: the frames of each sender are kept apart."""

from __future__ import annotations

import marshal
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.execution.steps import python_process
from pytest_orchestrator.execution.steps.python_process import Reports
from pytest_orchestrator.execution.supervision import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

END: dict[str, Any] = {"op": "end", "exit": None, "ended": b"", "threads": [], "shown": None}
TORN = "its process sent something else than its report, so that does not count"


class Connection:
    """A connection of a step, and a process that sends frames on it."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.reports = Reports(self.ours)

    def sent_by_a_child(self, send: Callable[[], object]) -> int:
        """Send something from a child; return its pid after it has ended."""
        pid = os.fork()
        if pid == 0:
            try:
                send()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        return pid

    def received(self) -> list[dict[str, Any]]:
        """Close the sending end; return all events that were received."""
        self.theirs.close()
        events = []
        while True:
            try:
                events += self.reports.receive()
            except EOFError:
                return events


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection()
    yield connection
    connection.ours.close()
    connection.theirs.close()


def test_a_report_belongs_to_its_sender_even_if_it_contains_another_pid(
    connection: Connection,
) -> None:
    forged = END | {"pid": os.getpid()}
    child = connection.sent_by_a_child(lambda: framing.send(connection.theirs, forged))

    connection.received()

    assert connection.reports.report_of(os.getpid()) == (None, None, (child,))
    assert connection.reports.report_of(child) == (forged, None, ())


def test_interleaved_pieces_of_two_processes_are_assembled_apart(
    connection: Connection,
) -> None:
    log = {"op": "log", "record": "x" * 1000}
    body = marshal.dumps(log)
    frame = len(body).to_bytes(4, "big") + body
    own = END | {"pid": os.getpid()}

    connection.theirs.sendall(frame[:7])
    connection.sent_by_a_child(lambda: connection.theirs.sendall(frame[:100]))
    connection.theirs.sendall(frame[7:])
    connection.sent_by_a_child(lambda: connection.theirs.sendall(b"\xff" * 9))
    framing.send(connection.theirs, own)

    assert connection.received() == [log, own]
    assert connection.reports.report_of(os.getpid()) == (own, None, ())


@pytest.mark.parametrize(
    "rest", [b"\0", b"\0\0\0\1", b"\0\0\0\1?", b"\0\0\0\5\xe9\1\0\0\0", b"\0" * 4]
)
def test_the_report_of_a_process_that_sends_invalid_frames_does_not_count(
    connection: Connection, rest: bytes
) -> None:
    own = END | {"pid": os.getpid()}
    framing.send(connection.theirs, own)
    connection.theirs.sendall(rest)

    connection.received()

    assert connection.reports.report_of(os.getpid()) == (own, TORN, ())


def test_a_second_report_invalidates_the_first(connection: Connection) -> None:
    own = END | {"pid": os.getpid()}
    framing.send(connection.theirs, own)
    framing.send(connection.theirs, own | {"ended": b"better"})

    connection.received()

    invalid = "its process reported 2 times how it ended, so none of that counts"
    assert connection.reports.report_of(os.getpid()) == (own, invalid, ())


def test_without_credentials_of_the_kernel_the_pid_in_the_report_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(python_process, "_CREDENTIALS", None)
    connection = Connection()
    child = connection.sent_by_a_child(
        lambda: framing.send(connection.theirs, END | {"pid": os.getpid()})
    )
    own = END | {"pid": os.getpid()}
    framing.send(connection.theirs, own)

    connection.received()
    connection.ours.close()

    assert connection.reports.report_of(os.getpid()) == (own, None, (child,))


@pytest.mark.unmeasured
def test_a_large_report_is_read_in_pieces_without_blocking(
    connection: Connection,
) -> None:
    assert connection.reports.receive() == []

    large = END | {"ended": b"x" * (1 << 20)}
    pid = os.fork()
    if pid == 0:
        framing.send(connection.theirs, large | {"pid": os.getpid()})
        os._exit(0)
    connection.received()
    os.waitpid(pid, 0)

    assert connection.reports.report_of(pid).end == large | {"pid": pid}
