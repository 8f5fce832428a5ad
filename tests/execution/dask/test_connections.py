"""A worker's process asks a session over few connections, whatever the number of its tries."""

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
from pytest_orchestrator.execution.environment import Manner
from tests.execution.dask.test_broker import TERMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.execution.conftest import Bench


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Context("session")) as server:
        yield server


@pytest.fixture
def link(server: Server) -> Iterator[RemoteContext]:
    with RemoteContext.connect(server.address, server.token) as link:
        yield link


@pytest.fixture
def desk(bench: Bench, server: Server) -> Iterator[AttemptBroker]:
    root = str(bench.root)
    manner = Manner(cwd=root, sys_path=[], log_level=30)
    terms = msgspec.structs.replace(TERMS, session=root, root=root, manner=manner)
    desk = AttemptBroker(server, terms)
    yield desk
    desk.close()
    for thread in threading.enumerate():
        if thread.name == "session pulse":
            thread.join(20.0)


def test_all_tries_of_a_process_share_connections(
    bench: Bench, desk: AttemptBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    port = int(desk.address.rpartition(":")[2])
    connect = socket.create_connection

    def counted(address: Any, **how: Any) -> socket.socket:
        if address[1] == port:  # who asks a session of another test may not have ended yet
            made.append(address)
        return connect(address, **how)

    monkeypatch.setattr(socket, "create_connection", counted)
    for number in range(5):
        ticket = desk.issue(bench.shell_step(f"echo {number}", parse="text"), Context(), bench.env)
        perform(ticket.work, "a")
        assert ticket.wait().ended.failure is None
        ticket.close()

    assert len(made) == 2  # one of the tries, one of the pulse


def test_one_that_a_refusal_has_ended_is_not_used_again(bench: Bench, desk: AttemptBroker) -> None:
    first, gone, last = (
        desk.issue(bench.shell_step("true", parse="text"), Context(), bench.env) for _ in range(3)
    )
    perform(first.work, "a")
    gone.close()
    with pytest.raises(NotClaimed, match="the token is wrong"):
        perform(gone.work, "a")

    perform(last.work, "a")

    assert last.wait().ended.failure is None


def test_whoever_takes_one_shows_a_token_of_his_own(server: Server, link: RemoteContext) -> None:
    kept = ConnectionPool()
    assert kept.take(server.token) is None
    kept.keep(link)

    taken = kept.take(server.token_for("psu"))
    assert taken is link
    taken.set("volts", 11.9)

    assert [change["who"] for change in taken.get_history("volts")] == ["psu"]
    assert kept.take(server.token) is None


def test_one_that_is_not_used_is_closed_after_some_time(
    link: RemoteContext, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ConnectionPool()
    kept.keep(link)
    kept.tidy()
    assert kept.take(server.token) is link

    kept.keep(link)
    monkeypatch.setattr(agent, "IDLE", -1.0)
    kept.tidy()

    assert kept.take(server.token) is None
    with pytest.raises(ContextUnreachable):
        link.keys()


def test_none_is_left_at_the_end(link: RemoteContext, server: Server) -> None:
    kept = ConnectionPool()
    kept.close()
    kept.keep(link)

    assert kept.take(server.token) is None
    with pytest.raises(ContextUnreachable):
        link.keys()
