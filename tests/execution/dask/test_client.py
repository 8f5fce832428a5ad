"""A request to the session is executed once, although connections break during it."""

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
from pytest_orchestrator.execution.dask.messages import NUMBERED, NumberedRequest, plain
from tests.execution.dask.test_broker import TERMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.execution.dask.broker import RemoteAttempt
    from tests.execution.conftest import Bench

RESET = struct.pack("ii", 1, 0)
"""Value of SO_LINGER with which a closed connection is reset."""


class BreakingProxy:
    """Proxy that resets connections: some before a request, some before its reply."""

    def __init__(self, to: str) -> None:
        host, port = to.split(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        self.cuts: list[str] = []
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes its thread
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._to) as far:
            requests, replies = near.makefile("rb"), far.makefile("rb")
            with requests, replies:
                for line in requests:
                    cut = self.cuts.pop(0) if self.cuts and b'"numbered"' in line else ""
                    answer = b""
                    if cut != "before":
                        far.sendall(line)
                        answer = replies.readline()
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
def attempt(bench: Bench, server: Server, context: Context) -> RemoteAttempt:
    return AttemptBroker(server, TERMS).issue(bench.shell_step("true"), context, bench.attempt)


@pytest.fixture
def breaking_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[BreakingProxy]:
    monkeypatch.setattr(client, "_PAUSE", 0.0)
    breaking_proxy = BreakingProxy(server.address)
    yield breaking_proxy
    breaking_proxy.close()


@pytest.fixture
def broker_client(attempt: RemoteAttempt, breaking_proxy: BreakingProxy) -> Iterator[BrokerClient]:
    ref = msgspec.structs.replace(attempt.ref, address=breaking_proxy.address)
    broker_client = BrokerClient(WorkerAgent(ref), attempt.token)
    yield broker_client
    broker_client.close()


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
def test_a_change_is_made_once_although_connections_break(
    broker_client: BrokerClient,
    breaking_proxy: BreakingProxy,
    changes: list[Change],
    cuts: list[str],
) -> None:
    here: list[Change] = []
    alone = Context().bound("s", here.append)
    for call in CALLS:
        breaking_proxy.cuts = [*cuts, ""]
        assert call(broker_client.context) == call(alone)

    assert breaking_proxy.cut == len(CALLS) * len([cut for cut in cuts if cut])
    assert [change.as_dict() | {"ts": ""} for change in changes] == [
        change.as_dict() | {"ts": ""} for change in here
    ]


def test_an_error_has_the_same_text_although_the_connection_breaks(
    broker_client: BrokerClient, breaking_proxy: BreakingProxy
) -> None:
    breaking_proxy.cuts = ["after"]
    with pytest.raises(ContextKeyError, match="volts"):
        broker_client.context["volts"]
    breaking_proxy.cuts = ["after"]
    broker_client.context.set("text", "a")
    with pytest.raises(ContextTypeError, match="text"):
        broker_client.context.increment("text")

    assert breaking_proxy.cut == 2


def test_a_late_request_of_a_closed_connection_changes_nothing(
    attempt: RemoteAttempt, context: Context
) -> None:
    first, second = (
        Request(
            op=NUMBERED,
            value=plain(NumberedRequest("a", number, Request(op="increment", path="n"))),
        )
        for number in (1, 2)
    )
    assert [attempt.answered(request).ok for request in (first, second, second, first)] == [
        True,
        True,
        True,
        False,
    ]
    assert context["n"] == 2


def test_a_too_long_request_is_not_sent(
    broker_client: BrokerClient, breaking_proxy: BreakingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_MAX_VALUE", 1000)
    with pytest.raises(RequestRefused, match="a request of more than 1,000 bytes"):
        broker_client.context.set("text", "x" * 1000)
    broker_client.context.set("text", "x")

    assert breaking_proxy.cut == 0


def test_shut_down_works_while_the_connection_is_being_replaced(attempt: RemoteAttempt) -> None:
    shut_downs: list[bool] = []

    class Link:
        def shut_down(self) -> None:
            shut_downs.append(True)

    class Losing(BrokerClient):
        links: ClassVar[list[Any]] = [None, Link()]  # the last one is read first

        @property
        def _link(self) -> Any:
            return self.links.pop()

        @_link.setter
        def _link(self, link: Any) -> None:
            pass

    Losing(WorkerAgent(attempt.ref), attempt.token).shut_down()

    assert shut_downs == [True]
