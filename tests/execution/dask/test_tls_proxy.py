"""Connections that are forwarded between a plain side and an encrypted one."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from distributed.security import Security

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import ContextUnreachable
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.execution.dask.tls_proxy import Address, TlsProxy


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


def _server_tls(security: Security) -> ssl.SSLContext:
    tls_context: ssl.SSLContext = security.get_listen_args("client")["ssl_context"]
    return tls_context


def _client_tls(security: Security) -> ssl.SSLContext:
    tls_context: ssl.SSLContext = security.get_connection_args("worker")["ssl_context"]
    return tls_context


def _host_and_port(address: str) -> Address:
    host, _, port = address.rpartition(":")
    return host, int(port)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Event loop in a thread, as Dask has one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def session_proxy(
    server: Server, security: Security, loop: asyncio.AbstractEventLoop
) -> Iterator[TlsProxy]:
    target = _host_and_port(server.address)
    proxy = TlsProxy(target, loop, server_tls=_server_tls(security)).start()
    yield proxy
    proxy.close()


@pytest.fixture
def worker_proxy(
    session_proxy: TlsProxy, security: Security, loop: asyncio.AbstractEventLoop
) -> Iterator[TlsProxy]:
    target = _host_and_port(session_proxy.address)
    proxy = TlsProxy(target, loop, client_tls=_client_tls(security)).start()
    yield proxy
    proxy.close()


def test_requests_pass_through_both_proxies(worker_proxy: TlsProxy, context: Context) -> None:
    large = "x" * 3_000_000
    with RemoteContext.connect(worker_proxy.address, "t") as remote:
        remote.set("a", large)
        assert remote.get("a") == large
        with RemoteContext.connect(worker_proxy.address, "t", who="b") as other:
            other.increment("n")

    assert context["a"] == large
    assert context.get_history("n")[0]["who"] == "b"


def test_data_between_the_proxies_is_encrypted(
    session_proxy: TlsProxy,
    security: Security,
    context: Context,
    loop: asyncio.AbstractEventLoop,
) -> None:
    recorded = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as tap:
        threading.Thread(
            target=_tapped, args=(tap, _host_and_port(session_proxy.address), recorded)
        ).start()
        proxy = TlsProxy(tap.getsockname(), loop, client_tls=_client_tls(security)).start()
        with RemoteContext.connect(proxy.address, "t") as remote:
            remote.set("a", "a plain text")
        proxy.close()

    assert context["a"] == "a plain text"
    assert len(recorded) > 100
    assert b"plain text" not in recorded


def _tapped(tap: socket.socket, to: Address, recorded: bytearray) -> None:
    near, _ = tap.accept()
    with near, socket.create_connection(to) as far:
        back = threading.Thread(target=_copied, args=(far, near, bytearray()))
        back.start()
        _copied(near, far, recorded)
        far.shutdown(socket.SHUT_RDWR)
        back.join()


def _copied(source: socket.socket, to: socket.socket, recorded: bytearray) -> None:
    try:
        while data := source.recv(1 << 16):
            recorded += data
            to.sendall(data)
    except OSError:
        pass


def test_clients_without_the_certificate_of_the_cluster_are_refused(
    session_proxy: TlsProxy, context: Context, loop: asyncio.AbstractEventLoop
) -> None:
    target, tls = _host_and_port(session_proxy.address), _client_tls(Security.temporary())
    other_cluster = TlsProxy(target, loop, client_tls=tls).start()
    with pytest.raises(ContextUnreachable):
        RemoteContext.connect(other_cluster.address, "t")
    other_cluster.close()
    with pytest.raises(ContextUnreachable):  # a plain connection
        RemoteContext.connect(session_proxy.address, "t", timeout=30)

    assert context.keys() == []


def test_a_refused_connection_is_distinguished_from_a_silent_one(
    session_proxy: TlsProxy, worker_proxy: TlsProxy
) -> None:
    assert not worker_proxy.is_refused
    session_proxy.close()
    with pytest.raises(ContextUnreachable):
        RemoteContext.connect(worker_proxy.address, "t")

    assert worker_proxy.is_refused


def test_a_closed_proxy_leaves_no_task_and_no_socket(
    session_proxy: TlsProxy, worker_proxy: TlsProxy, loop: asyncio.AbstractEventLoop
) -> None:
    with RemoteContext.connect(worker_proxy.address, "t") as remote:
        worker_proxy.close()
        with pytest.raises(OSError, match=r"closed|reset|broken"):
            remote.get("a")

    session_proxy.close()
    assert asyncio.run_coroutine_threadsafe(_other_tasks(), loop).result() == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(_host_and_port(worker_proxy.address), timeout=10)


async def _other_tasks() -> list[object]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def test_a_closing_connection_is_closed_with_the_proxy(
    security: Security, loop: asyncio.AbstractEventLoop
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = TlsProxy(listener.getsockname(), loop, client_tls=_client_tls(security)).start()
        with socket.create_connection(_host_and_port(proxy.address), timeout=60):
            plain, _ = listener.accept()
            plain.settimeout(60)
            far = _server_tls(security).wrap_socket(plain, server_side=True)
        assert far.recv(1) == b""  # the proxy has sent close_notify, and waits for the reply
        proxy.close()
        with far.unwrap() as left, contextlib.suppress(ConnectionError):
            assert left.recv(1) == b""
