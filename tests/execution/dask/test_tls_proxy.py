"""Connections that are carried between a plain side and an encrypted one."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed.security import Security

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import ContextUnreachable
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.execution.dask.tls_proxy import TlsProxy, To


@pytest.fixture(scope="module")
def security() -> Security:
    return Security.temporary()


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def server(context: Context) -> Iterator[Server]:
    with Server(context, token="t") as served:
        yield served


def _listens(security: Security) -> ssl.SSLContext:
    found: ssl.SSLContext = security.get_listen_args("client")["ssl_context"]
    return found


def _connects(security: Security) -> ssl.SSLContext:
    found: ssl.SSLContext = security.get_connection_args("worker")["ssl_context"]
    return found


def _to(address: str) -> To:
    host, _, port = address.rpartition(":")
    return host, int(port)


@pytest.fixture
def front(server: Server, security: Security) -> Iterator[TlsProxy]:
    relay = TlsProxy(_to(server.address), listens=_listens(security)).start()
    yield relay
    relay.close()


@pytest.fixture
def gate(front: TlsProxy, security: Security) -> Iterator[TlsProxy]:
    relay = TlsProxy(_to(front.address), connects=_connects(security)).start()
    yield relay
    relay.close()


def test_a_context_is_asked_through_both_sides(gate: TlsProxy, context: Context) -> None:
    large = "x" * 3_000_000
    with RemoteContext.connect(gate.address, "t") as remote:
        remote.set("a", large)
        assert remote.get("a") == large
        with RemoteContext.connect(gate.address, "t", who="b") as other:
            other.increment("n")

    assert context["a"] == large
    assert context.get_history("n")[0]["who"] == "b"


def test_what_is_between_the_sides_says_nothing_in_plain_words(
    front: TlsProxy, security: Security, context: Context
) -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as tap:
        threading.Thread(target=_tapped, args=(tap, _to(front.address), heard)).start()
        relay = TlsProxy(tap.getsockname(), connects=_connects(security)).start()
        with RemoteContext.connect(relay.address, "t") as remote:
            remote.set("a", "a word that nobody is to read")
        relay.close()

    assert context["a"] == "a word that nobody is to read"
    assert len(heard) > 100
    assert b"nobody" not in heard


def _tapped(tap: socket.socket, to: To, heard: bytearray) -> None:
    near, _ = tap.accept()
    with near, socket.create_connection(to) as far:
        back = threading.Thread(target=_copied, args=(far, near, bytearray()))
        back.start()
        _copied(near, far, heard)
        far.shutdown(socket.SHUT_RDWR)
        back.join()


def _copied(source: socket.socket, to: socket.socket, heard: bytearray) -> None:
    try:
        while data := source.recv(1 << 16):
            heard += data
            to.sendall(data)
    except OSError:
        pass


def test_who_does_not_belong_to_the_cluster_is_not_let_in(
    front: TlsProxy, context: Context
) -> None:
    stranger = TlsProxy(_to(front.address), connects=_connects(Security.temporary())).start()
    with pytest.raises(ContextUnreachable):
        RemoteContext.connect(stranger.address, "t")
    stranger.close()
    with pytest.raises(ContextUnreachable):  # nor who does not encrypt
        RemoteContext.connect(front.address, "t", timeout=30)

    assert context.keys() == []


def test_a_session_that_has_gone_is_told_from_one_that_does_not_answer(
    front: TlsProxy, gate: TlsProxy
) -> None:
    assert not gate.is_refused
    front.close()
    with pytest.raises(ContextUnreachable):
        RemoteContext.connect(gate.address, "t")

    assert gate.is_refused


def test_nothing_is_left_of_a_relay(front: TlsProxy, gate: TlsProxy, tmp_path: Path) -> None:
    with RemoteContext.connect(gate.address, "t") as remote:
        gate.close()
        with pytest.raises(OSError, match=r"closed|reset|broken"):
            remote.get("a")

    front.close()
    assert "relay" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(_to(gate.address), timeout=10)


def test_a_connection_that_is_just_ending_ends_with_the_relay(security: Security) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        relay = TlsProxy(door.getsockname(), connects=_connects(security)).start()
        with socket.create_connection(_to(relay.address), timeout=60):
            plain, _ = door.accept()
            plain.settimeout(60)
            far = _listens(security).wrap_socket(plain, server_side=True)
        assert far.recv(1) == b""  # it says that it ends, and waits for the same word
        relay.close()
        with far.unwrap() as left, contextlib.suppress(ConnectionError):
            assert left.recv(1) == b""
