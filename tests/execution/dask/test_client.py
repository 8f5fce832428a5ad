"""What is asked of the session is done once, whichever connections are cut in the middle of it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Request, RequestRefused
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.execution.dask import client
from pytest_orchestrator.execution.dask.agent import WorkerAgent
from pytest_orchestrator.execution.dask.broker import AttemptBroker
from pytest_orchestrator.execution.dask.client import BrokerClient
from pytest_orchestrator.execution.dask.messages import ONCE, NumberedRequest
from tests.execution.dask.test_broker import TERMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.execution.dask.broker import RemoteAttempt
    from tests.execution.conftest import Bench

RESET = struct.pack("ii", 1, 0)
"""Of SO_LINGER: what is closed is reset."""


class Wire:
    """What lies between, and resets connections: some before a request, some before its answer."""

    def __init__(self, to: str) -> None:
        host, port = to.split(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        self.cuts: list[str] = []
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # or its thread would wait on
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._to) as far:
            asked, told = near.makefile("rb"), far.makefile("rb")
            with asked, told:
                for line in asked:
                    cut = self.cuts.pop(0) if self.cuts and b'"once"' in line else ""
                    answer = b""
                    if cut != "before":
                        far.sendall(line)
                        answer = told.readline()
                    if cut:
                        self.cut += 1
                        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        return
                    near.sendall(answer)


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest.fixture
def context(changes: list[Change]) -> Context:
    return Context().bound("s", changes.append)


@pytest.fixture
def server(context: Context) -> Iterator[Server]:
    with Server(context) as server:
        yield server


@pytest.fixture
def ticket(bench: Bench, server: Server, context: Context) -> RemoteAttempt:
    return AttemptBroker(server, TERMS).issue(bench.shell_step("true"), context, bench.env)


@pytest.fixture
def wire(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(client, "_PAUSE", 0.0)
    wire = Wire(server.address)
    yield wire
    wire.close()


@pytest.fixture
def asked(ticket: RemoteAttempt, wire: Wire) -> Iterator[BrokerClient]:
    stay = WorkerAgent("s")
    stay.address = wire.address
    asked = BrokerClient(stay, ticket.token)
    yield asked
    asked.close()


CALLS: list[Callable[[Context], Any]] = [
    lambda ctx: ctx.set("volts", [1, 2]),
    lambda ctx: ctx.append("volts", 3),
    lambda ctx: ctx.pop("volts", 0),
    lambda ctx: ctx.set("n", 1),
    lambda ctx: ctx.increment("n", 2),
    lambda ctx: ctx["n"],
    lambda ctx: ctx.get("none", "default"),
    lambda ctx: ctx.delete("volts"),
]


@pytest.mark.parametrize("cuts", [["before"], ["after"], ["before", "after", "after", ""]])
def test_a_change_is_made_once_though_connections_are_cut(
    asked: BrokerClient, wire: Wire, changes: list[Change], cuts: list[str]
) -> None:
    here: list[Change] = []
    alone = Context().bound("s", here.append)
    for call in CALLS:
        wire.cuts = [*cuts, ""]
        assert call(asked.context) == call(alone)

    assert wire.cut == len(CALLS) * len([cut for cut in cuts if cut])
    assert [one.as_dict() | {"ts": ""} for one in changes] == [
        one.as_dict() | {"ts": ""} for one in here
    ]


def test_what_is_refused_is_refused_once_in_the_same_words(asked: BrokerClient, wire: Wire) -> None:
    wire.cuts = ["after"]
    with pytest.raises(ContextKeyError, match="volts"):
        asked.context["volts"]
    wire.cuts = ["after"]
    asked.context.set("text", "a")
    with pytest.raises(ContextTypeError, match="text"):
        asked.context.increment("text")

    assert wire.cut == 2


def test_what_comes_late_by_a_connection_that_was_given_up_changes_nothing(
    ticket: RemoteAttempt, context: Context
) -> None:
    first, second = (
        Request(
            op=ONCE,
            value=msgspec.to_builtins(NumberedRequest(number, Request(op="increment", path="n"))),
        )
        for number in (1, 2)
    )
    assert [ticket.answered(one).ok for one in (first, second, second, first)] == [
        True,
        True,
        True,
        False,
    ]
    assert context["n"] == 2


def test_what_is_too_much_for_a_request_is_not_sent(
    asked: BrokerClient, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_LARGEST", 1000)
    with pytest.raises(RequestRefused, match="a request of more than 1,000 bytes"):
        asked.context.set("text", "x" * 1000)
    asked.context.set("text", "x")

    assert wire.cut == 0


def test_to_hang_up_is_possible_while_a_connection_is_given_up(ticket: RemoteAttempt) -> None:
    hung_up: list[bool] = []

    class Link:
        def shut_down(self) -> None:
            hung_up.append(True)

    class Losing(BrokerClient):
        links: ClassVar[list[Any]] = [None, Link()]  # the last one is seen first

        @property
        def _link(self) -> Any:
            return self.links.pop()

        @_link.setter
        def _link(self, link: Any) -> None:
            pass

    Losing(WorkerAgent("s"), ticket.token).shut_down()

    assert hung_up == [True]
