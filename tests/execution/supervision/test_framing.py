"""Values go whole from one process to another, or the sender is told that they did not."""

import os
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_orchestrator.execution.supervision import framing


class _Overtaken(socket.socket):
    """A socket whose other end takes what was sent and is gone before the sender goes on."""

    other: socket.socket
    taken: tuple[Any, list[int]]

    def sendmsg(self, *given: Any) -> int:
        sent = super().sendmsg(*given)
        self.taken = framing.receive(self.other)
        self.other.close()
        return sent


@pytest.mark.parametrize("files", [(), (0,)], ids=["alone", "with-a-file"])
def test_a_value_comes_whole_and_what_follows_waits(files: Sequence[int]) -> None:
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


def test_who_has_sent_all_is_not_told_that_it_did_not_arrive() -> None:
    # Whoever is told that sends it again, and the program would run twice.
    one, other = socket.socketpair()
    with _Overtaken(fileno=one.detach()) as sender:
        sender.other = other
        framing.send(sender, "request", [0])
        value, files = sender.taken
    for fd in files:
        os.close(fd)
    assert value == "request"


def test_who_sends_to_nobody_is_told() -> None:
    one, other = socket.socketpair()
    other.close()
    with one:
        with pytest.raises(BrokenPipeError):
            framing.send(one, "request", [0])
        with pytest.raises(EOFError):
            framing.answer(one)
