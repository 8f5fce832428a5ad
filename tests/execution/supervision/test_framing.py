"""Framing transfers a value completely, or the sender gets an error."""

import os
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_orchestrator.execution.supervision import framing


class _Overtaken(socket.socket):
    """A socket whose other end receives the value and closes before sendmsg returns."""

    other: socket.socket
    received: tuple[Any, list[int]]

    def sendmsg(self, *args: Any) -> int:
        sent = super().sendmsg(*args)
        self.received = framing.receive(self.other)
        self.other.close()
        return sent


@pytest.mark.parametrize("files", [(), (0,)], ids=["alone", "with-a-file"])
def test_a_value_is_received_whole_and_the_next_one_remains_unread(files: Sequence[int]) -> None:
    one, other = socket.socketpair()
    with one, other:
        for value in ({"argv": ["a"], "env": {"B": "\udcff"}}, [b"\xff", None]):
            framing.send(one, value, files)
        first, second = framing.receive(other), framing.receive(other)
    for fd in (*first[1], *second[1]):
        os.close(fd)
    assert first[0] == {"argv": ["a"], "env": {"B": "\udcff"}}
    assert second[0] == [b"\xff", None]
    assert len(first[1]) == len(second[1]) == len(files)


def test_a_completed_send_succeeds_even_if_the_receiver_has_closed() -> None:
    # A client that gets an error sends the request again, and the program would run twice.
    one, other = socket.socketpair()
    with _Overtaken(fileno=one.detach()) as sender:
        sender.other = other
        framing.send(sender, "request", [0])
        value, files = sender.received
    for fd in files:
        os.close(fd)
    assert value == "request"


def test_sending_to_a_closed_socket_raises() -> None:
    one, other = socket.socketpair()
    other.close()
    with one:
        with pytest.raises(BrokenPipeError):
            framing.send(one, "request", [0])
        with pytest.raises(EOFError):
            framing.answer(one)
