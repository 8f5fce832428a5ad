"""A Context served over TCP and Unix sockets to clients with a token."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from benchmarks import counts
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import (
    CannotListen,
    ContextUnreachable,
    listen_tcp,
    listen_unix,
)
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.context.rpc.server import Limits, Server
from pytest_orchestrator.core.events import Change


@pytest.fixture
def ctx() -> Context:
    return Context("session")


@pytest.fixture
def server(ctx: Context) -> Iterator[Server]:
    with Server(ctx) as server:
        yield server


def connected(server: Server) -> socket.socket:
    if "/" in server.address:
        link = socket.socket(socket.AF_UNIX)
        link.connect(server.address)
    else:
        host, _, port = server.address.rpartition(":")
        link = socket.create_connection((host, int(port)))
    link.settimeout(20)
    return link


def test_a_client_writes_to_the_context_and_its_history(server: Server, ctx: Context) -> None:
    with connected(server) as link:
        remote = RemoteContext(link, token=server.token)
        remote.set("dut.serial", "A7")
        remote.append("readings", 1.5)

        assert remote.to_dict() == ctx.to_dict() == {"dut.serial": "A7", "readings": [1.5]}
    assert [change["who"] for change in ctx.get_history("readings")] == ["client"]
    assert server.address.startswith("127.0.0.1:")


def test_a_unix_socket_serves_its_owner_only(ctx: Context, tmp_path: Path) -> None:
    path = tmp_path / "ctx.sock"
    with Server(ctx, listener=listen_unix(path)) as server, connected(server) as link:
        assert RemoteContext(link, token=server.token).increment("n", 2) == 2
        assert (server.address, path.stat().st_mode & 0o777) == (str(path), 0o600)
        with pytest.raises(CannotListen, match="something else listens there"):
            listen_unix(path)
    assert not path.exists()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))  # as a killed process leaves it
    left.close()
    with Server(ctx, listener=listen_unix(path)) as server, connected(server) as link:
        assert RemoteContext(link, token=server.token).get("n") == 2


@pytest.mark.parametrize("token", ["", "wrong", "\u00e9"])
def test_a_wrong_token_is_refused_and_its_connection_is_closed(
    server: Server, ctx: Context, token: str
) -> None:
    with connected(server) as link:
        with pytest.raises(RequestRefused, match=r"^the token is wrong or was not given$"):
            RemoteContext(link, token=token).set("a", 1)
        assert link.recv(1) == b""
    assert ctx.keys() == []


def test_a_connection_is_closed_if_a_later_token_is_wrong(server: Server) -> None:
    with connected(server) as link:
        RemoteContext(link, token=server.token).set("a", 1)
        with pytest.raises(RequestRefused, match="the token is wrong"):
            RemoteContext(link, token="x").set("a", 2)
        assert link.recv(1) == b""


def test_the_token_of_a_client_names_its_changes_until_the_token_ends(
    server: Server, ctx: Context
) -> None:
    token = server.token_for("flash", ctx.bound("flash"))
    with connected(server) as link, connected(server) as late:
        remote = RemoteContext(link, token=token)
        remote.set("a", 1)
        remote.set("a", 2, who="sensor")
        server.end(token)
        with pytest.raises(
            RequestRefused, match=r"^the token was that of 'flash', which has ended"
        ):
            remote.set("a", 3)
        with pytest.raises(RequestRefused, match=r"^the token is wrong or was not given$"):
            RemoteContext(late, token=token).set("a", 3)
    assert [change["who"] for change in ctx.get_history("a")] == ["flash", "sensor"]


def test_ending_a_token_waits_for_its_running_request(ctx: Context) -> None:
    begun, may_continue, order = threading.Event(), threading.Event(), list[str]()

    def slow(change: Change) -> None:
        begun.set()
        may_continue.wait(20)
        order.append("change")

    with Server(ctx) as server, connected(server) as link:
        token = server.token_for("flash", ctx.bound("flash", slow))
        remote = RemoteContext(link, token=token)
        writer = threading.Thread(target=remote.set, args=("a", 1))
        writer.start()
        assert begun.wait(20)

        def end() -> None:
            server.end(token)
            order.append("end")

        ender = threading.Thread(target=end)
        ender.start()
        may_continue.set()
        ender.join(20)
        writer.join(20)
    assert order == ["change", "end"]


def test_connections_wait_until_a_server_is_started_again(ctx: Context) -> None:
    before = set(threading.enumerate())
    server = Server(ctx)
    with closing(server):
        for value in (1, 2):
            with closing(connected(server)) as link:
                assert before.issuperset(threading.enumerate())
                server.start()
                RemoteContext(link, token=server.token).increment("a")
                server.pause()
                assert link.recv(1) == b""
            assert ctx["a"] == value
    assert before.issuperset(threading.enumerate())


def test_closing_a_server_answers_running_requests_and_ends_its_threads(ctx: Context) -> None:
    before = set(threading.enumerate())
    server = Server(ctx)
    server.start()
    with closing(connected(server)) as link, closing(connected(server)):
        remote = RemoteContext(link, token=server.token)
        remote.set("a", 1)
        server.close()
        with pytest.raises(ContextUnreachable, match="has closed the connection"):
            remote.set("a", 2)
    assert before.issuperset(threading.enumerate())
    with pytest.raises(OSError, match="refused"):
        connected(server)
    server.close()


def sockets() -> set[str]:
    paths = Path("/proc/self/fd").iterdir()
    targets = {str(path.readlink()) for path in paths if path.is_symlink()}
    return {target for target in targets if target.startswith("socket:")}


def test_a_fork_keeps_no_socket_of_the_server(ctx: Context) -> None:
    others = sockets()
    with Server(ctx) as server, connected(server) as link:
        RemoteContext(link, token=server.token).set("a", 1)
        ours = str(Path(f"/proc/self/fd/{link.fileno()}").readlink())
        before, (out, into) = sockets() - others, os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(into, "\n".join(sockets()).encode())
            finally:
                os.kill(os.getpid(), signal.SIGKILL)  # `os._exit` would save the coverage first
        os.close(into)
        with os.fdopen(out) as output:
            kept = set(output.read().split())
        os.waitpid(child, 0)
    assert len(before) == 5  # the listener, and both ends of the wake-up pair and the connection
    assert before & kept == {ours}


def test_an_unusable_address_is_refused_with_its_reason(server: Server) -> None:
    port = int(server.address.rpartition(":")[2])
    in_use = "something else listens there; end it, or take another port (0 is any free one)"
    too_long = "the path of a socket has at most 107 bytes"
    for listen, reason in [
        (partial(listen_tcp, "127.0.0.1", port), f"127.0.0.1:{port}: {in_use}"),
        (partial(listen_tcp, "127.0.0.1", 70000), "127.0.0.1:70000: a port is at most 65535"),
        (partial(listen_tcp, "127.0.0.1", -1), "127.0.0.1:-1: a port is at least 0"),
        (partial(listen_tcp, "192.0.2.1", 0), "192.0.2.1:0: no such address is on this machine"),
        (partial(listen_unix, Path("/no/such")), "/no/such: No such file or directory"),
        (partial(listen_unix, Path("x" * 120)), f"{'x' * 120}: {too_long}"),
    ]:
        with pytest.raises(CannotListen) as caught:
            listen()
        assert str(caught.value) == f"cannot serve at {reason}"


def test_a_silent_client_is_closed_after_the_timeout(ctx: Context) -> None:
    # The second server has a long handshake timeout, so that only `idle` can close its client.
    with Server(ctx, limits=Limits(handshake=0.05)) as server, connected(server) as mute:
        assert mute.recv(1) == b""
    limits = Limits(handshake=60, idle=0.05)
    with Server(ctx, limits=limits) as server, connected(server) as link:
        RemoteContext(link, token=server.token).set("a", 1)
        assert link.recv(1) == b""
        assert limits == Limits(handshake=60, idle=0.05)


def test_unauthenticated_connections_close_no_authenticated_one(ctx: Context) -> None:
    limits = Limits(connections=4, handshake=60)
    with Server(ctx, limits=limits) as server, connected(server) as link:
        remote = RemoteContext(link, token=server.token)
        remote.set("a", 1)
        silent = [connected(server) for _ in range(9)]
        for oldest in silent[:6]:
            assert oldest.recv(1) == b""
        remote.set("a", 2)
        for one in silent:
            one.close()


def test_requests_of_other_clients_are_answered_while_one_waits(ctx: Context) -> None:
    begun, may_continue = threading.Event(), threading.Event()

    def slow(change: Change) -> None:
        begun.set()
        may_continue.wait(20)

    with Server(ctx) as server, connected(server) as link, connected(server) as other:
        token = server.token_for("slow", Context().bound("slow", slow))
        writer = threading.Thread(target=RemoteContext(link, token=token).set, args=("a", 1))
        writer.start()
        assert begun.wait(20)
        RemoteContext(other, token=server.token).set("b", 2)
        may_continue.set()
        writer.join(20)
    assert ctx.to_dict() == {"b": 2}


def test_a_first_request_that_is_too_long_is_refused_with_its_reason(server: Server) -> None:
    with connected(server) as link, pytest.raises(RequestRefused, match="more than 65,536 bytes"):
        RemoteContext(link, token=server.token).set("a", "x" * 66_000)


def test_the_next_requests_may_come_with_the_first_one(server: Server) -> None:
    lines = [f'{{"op":"increment","path":"n","token":"{server.token}"}}'] * 3
    with connected(server) as link:
        link.sendall("\n".join(lines).encode())
        replies = b""
        while replies.count(b"\n") < 2:
            replies += link.recv(99)
        link.sendall(b"\n")
        replies += link.recv(99)
    assert replies.decode() == "".join(f'{{"ok":true,"value":{n}}}\n' for n in (1, 2, 3))


def test_counts_of_many_threads_and_processes_are_exact() -> None:
    assert counts.wrong(sets=200, appends=200) == []
