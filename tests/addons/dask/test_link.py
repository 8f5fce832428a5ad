"""A request to the session is executed once and in order, although connections break during it."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from distributed.core import Server, connect
from distributed.security import Security

from pytest_orchestrator.addons.dask import link as links
from pytest_orchestrator.addons.dask.broker import AttemptBroker
from pytest_orchestrator.addons.dask.link import (
    CLAIM,
    OPERATION,
    ClaimRequest,
    SessionLink,
    WorkerLink,
)
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.result import Ended, lasted
from pytest_orchestrator.execution.remote.attempt import Outcome, RemoteWork
from pytest_orchestrator.execution.remote.worker import LinkedContext
from tests.addons.dask.test_broker import TERMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.execution.conftest import Bench


class BreakingComm:
    """Connection of a session that breaks: before requests, or before their replies."""

    def __init__(self, comm: Any, cuts: list[str]) -> None:
        self._comm, self._cuts = comm, cuts

    async def read(self) -> Any:
        message = await self._comm.read()
        if self._cuts and self._cuts[0] == "before":
            self._break()
        return message

    async def write(self, message: Any) -> None:
        if isinstance(message, tuple) and self._cuts and self._cuts.pop(0) == "after":
            self._break()
        await self._comm.write(message)

    async def close(self) -> None:
        await self._comm.close()

    def _break(self) -> None:
        if self._cuts and self._cuts[0] == "before":
            self._cuts.pop(0)
        self._comm.abort()
        raise OSError("cut")


class Network:
    """A worker of Dask in an event loop, and the session that is connected to it."""

    def __init__(self, protocol: str, answer: Callable[[str, str, Any], Any]) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.cuts: list[str] = []
        self.connections = 0
        self.link = WorkerLink(self.loop)
        security = Security.temporary() if protocol == "tls" else Security()
        self._how = security.get_connection_args("client")
        self.server: Any = self.run(self._listen(protocol, security))
        self.session = SessionLink(self._connect, {"op": OPERATION}, answer, self.loop)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def _listen(self, protocol: str, security: Security) -> Any:
        async def attach(comm: Any) -> None:
            await self.link.attach(comm)

        server: Any = Server({OPERATION: attach})
        await server.listen(f"{protocol}://127.0.0.1:0", **security.get_listen_args("worker"))
        return server

    async def _connect(self) -> Any:
        self.connections += 1
        return BreakingComm(await connect(self.server.address, timeout=2, **self._how), self.cuts)

    def close(self) -> None:
        self.session.close(5.0)
        self.run(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(params=["tcp", "tls"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def changes() -> list[Any]:
    return []


@pytest.fixture
def session_context(changes: list[Any]) -> Context:
    return Context().bound("s", changes.append)


@pytest.fixture
def network(
    bench: Bench, session_context: Context, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Network]:
    monkeypatch.setattr(links, "_PAUSE", 0.0)
    broker = AttemptBroker(TERMS)
    attempt = broker.issue(RemoteWork(bench.shell_step("true"), session_context, bench.attempt))
    network = Network(protocol, broker.answer)
    network.attempt = attempt  # type: ignore[attr-defined]
    yield network
    network.close()


@pytest.fixture
def context(network: Network) -> LinkedContext:
    attempt_id = network.attempt.id  # type: ignore[attr-defined]
    return LinkedContext(lambda op, request: network.link.request(op, (attempt_id, request)))


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


@pytest.mark.parametrize("cuts", [["before"], ["after"], ["before", "after", "after"]])
def test_a_change_is_made_once_although_connections_break(
    network: Network, context: LinkedContext, changes: list[Any], cuts: list[str]
) -> None:
    here: list[Any] = []
    alone = Context().bound("s", here.append)
    for call in CALLS:
        network.cuts[:] = [*cuts, ""]
        assert call(context) == call(alone)

    assert network.connections == 1 + len(CALLS) * len(cuts)
    assert [change.as_dict() | {"ts": ""} for change in changes] == [
        change.as_dict() | {"ts": ""} for change in here
    ]


def test_an_error_has_the_same_text_although_the_connection_breaks(
    network: Network, context: LinkedContext
) -> None:
    network.cuts[:] = ["after"]
    with pytest.raises(ContextKeyError, match="volts"):
        context["volts"]
    context.set("text", "a")
    network.cuts[:] = ["after"]
    with pytest.raises(ContextTypeError, match="text"):
        context.increment("text")

    assert network.connections == 3


def test_a_claim_whose_reply_is_lost_is_accepted_once(network: Network) -> None:
    attempt = network.attempt  # type: ignore[attr-defined]
    claim = (attempt.id, ClaimRequest("a", "host", network.link.id))
    network.cuts[:] = ["after"]

    assert network.link.request(CLAIM, claim).attempt == 1
    with pytest.raises(RequestRefused, match=r"^it was claimed by worker a$"):
        network.link.request(CLAIM, claim)


def test_an_outcome_of_many_megabytes_arrives(network: Network) -> None:
    large = "x" * (20 << 20)
    attempt = network.attempt  # type: ignore[attr-defined]
    ended = Ended(usage=lasted(1.0), value={"large": large})

    network.link.request("outcome", (attempt.id, Outcome(ended=ended)))

    assert attempt.wait().ended == ended


def test_requests_fail_when_the_session_has_ended(network: Network) -> None:
    network.link.request("heartbeat", ())

    network.session.close(5.0)
    while not network.link.is_over:
        assert network.connections == 1

    with pytest.raises(OSError, match=r"^the session is over, or was not heard for too long$"):
        network.link.request("heartbeat", ())


def test_a_link_ends_if_its_session_does_not_connect_again(
    network: Network, context: LinkedContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_RECONNECT_SECONDS", 0.1)
    context.set("n", 1)
    network.session.is_open = False  # as if its process had been killed
    network.cuts[:] = ["before"]

    with pytest.raises(OSError, match="the session is over"):
        context.set("n", 2)


def test_a_request_without_a_reply_ends_after_its_timeout() -> None:
    over = threading.Event()
    network = Network("tcp", lambda *_: over.wait())
    with pytest.raises(TimeoutError):
        network.link.request("heartbeat", (), timeout=0.1)
    over.set()
    network.close()


def test_a_link_to_a_process_that_does_not_know_it_is_closed() -> None:
    network = Network("tcp", lambda *_: None)
    network.close()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> Any:
        server: Any = Server({})
        await server.listen("tcp://127.0.0.1:0")
        return server

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    session = SessionLink(partial(connect, server.address), {"op": OPERATION}, print, loop)
    end = time.monotonic() + 20
    while session.is_open and time.monotonic() < end:
        pass
    asyncio.run_coroutine_threadsafe(server.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

    assert (session.is_open, session.is_ready.is_set()) == (False, False)
