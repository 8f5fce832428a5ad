"""A worker process uses few connections to a session, for any number of attempts."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import ContextUnreachable
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.execution.dask import agent
from pytest_orchestrator.execution.dask.agent import ConnectionPool
from pytest_orchestrator.execution.dask.broker import AttemptBroker
from pytest_orchestrator.execution.dask.worker import NotClaimed, perform
from pytest_orchestrator.execution.run_config import PythonSettings
from tests.execution.dask.test_broker import TERMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.execution.conftest import Bench


@pytest.fixture
def context() -> Context:
    return Context("session")


@pytest.fixture
def server(context: Context) -> Iterator[Server]:
    with Server(context) as server:
        yield server


@pytest.fixture
def link(server: Server) -> Iterator[RemoteContext]:
    with RemoteContext.connect(server.address, server.token) as link:
        yield link


@pytest.fixture
def broker(bench: Bench, server: Server) -> Iterator[AttemptBroker]:
    root = str(bench.root)
    settings = PythonSettings(cwd=root, sys_path=[], log_level=30)
    session_config = msgspec.structs.replace(
        TERMS, session=root, root=root, python_settings=settings
    )
    broker = AttemptBroker(server, session_config)
    yield broker
    broker.close()
    for thread in threading.enumerate():
        if thread.name == "session-heartbeat":
            thread.join(20.0)


def test_attempts_of_a_process_share_a_connection(
    bench: Bench, broker: AttemptBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    port = int(broker.address.rpartition(":")[2])
    connect = socket.create_connection

    def counted(address: Any, **how: Any) -> socket.socket:
        if address[1] == port:  # a thread of another test may still connect to its own session
            made.append(address)
        return connect(address, **how)

    monkeypatch.setattr(socket, "create_connection", counted)
    for number in range(5):
        attempt = broker.issue(
            bench.shell_step(f"echo {number}", parse="text"), Context(), bench.attempt
        )
        perform(attempt.ref, "a")
        assert attempt.wait().ended.failure is None
        attempt.close()

    assert len(made) == 2  # one for the attempts, one for the heartbeats


def test_a_refused_connection_is_not_used_again(bench: Bench, broker: AttemptBroker) -> None:
    first, gone, last = (
        broker.issue(bench.shell_step("true", parse="text"), Context(), bench.attempt)
        for _ in range(3)
    )
    perform(first.ref, "a")
    gone.close()
    with pytest.raises(NotClaimed, match="the token is wrong"):
        perform(gone.ref, "a")

    perform(last.ref, "a")

    assert last.wait().ended.failure is None


def test_an_acquired_connection_uses_the_new_token(
    server: Server, context: Context, link: RemoteContext
) -> None:
    pool = ConnectionPool()
    assert pool.acquire(server.token) is None
    pool.release(link)

    acquired = pool.acquire(server.token_for("psu", context.bound("psu")))
    assert acquired is link
    acquired.set("volts", 11.9)

    assert [change["who"] for change in acquired.get_history("volts")] == ["psu"]
    assert pool.acquire(server.token) is None


def test_an_idle_connection_is_closed_and_not_used_again(
    link: RemoteContext, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ConnectionPool()
    pool.release(link)
    assert pool.acquire(server.token) is link

    pool.release(link)
    monkeypatch.setattr(agent, "IDLE_SECONDS", -1.0)

    assert pool.acquire(server.token) is None
    with pytest.raises(ContextUnreachable):
        link.keys()


def test_a_closed_pool_closes_released_connections(link: RemoteContext, server: Server) -> None:
    pool = ConnectionPool()
    pool.close()
    pool.release(link)

    assert pool.acquire(server.token) is None
    with pytest.raises(ContextUnreachable):
        link.keys()
