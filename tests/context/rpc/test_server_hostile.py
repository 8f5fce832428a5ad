"""A server survives any input: it keeps running, uses little memory, and serves its clients."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from pytest_orchestrator.context.rpc.client import RemoteContext

MIB = 1 << 20

SERVER = """
import resource, sys
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.server import Limits, Server

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
soft = int(sys.argv[1]) if hard < 0 else min(int(sys.argv[1]), hard)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
limits = Limits(connections=int(sys.argv[2]), handshake=float(sys.argv[3]))
with Server(Context(), limits=limits) as server:
    print(server.address, server.token, flush=True)
    sys.stdin.read()
"""


class Served:
    """A server in its own process."""

    def __init__(self, files: int = 8192, connections: int = 1000, handshake: float = 60) -> None:
        command = [sys.executable, "-c", SERVER, str(files), str(connections), str(handshake)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Coverage would use memory in the process.
            env={k: v for k, v in os.environ.items() if k != "COVERAGE_PROCESS_CONFIG"},
        )
        assert self.process.stdout
        address, self.token = self.process.stdout.readline().split()
        self.port = int(address.rpartition(":")[2])
        self.served()
        self.before = self.memory()

    def connected(self) -> socket.socket:
        link = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def line(self, **request: object) -> bytes:
        return json.dumps(request | {"token": self.token}).encode() + b"\n"

    def served(self) -> float:
        """Send one request of a valid client, and return the seconds that it took."""
        begun = time.monotonic()
        with self.connected() as link:
            RemoteContext(link, token=self.token).increment("good")
        return time.monotonic() - begun

    def memory(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    def is_well(self) -> None:
        assert self.process.poll() is None
        assert self.served() < 15  # takes milliseconds on an idle machine
        assert self.memory() - self.before < 16 * MIB

    def close(self) -> None:
        self.process.communicate("", timeout=20)


@pytest.fixture(scope="module")
def process() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


@pytest.fixture
def served(process: Served) -> Served:
    process.before = process.memory()
    return process


def sent(link: socket.socket, chunk: bytes, times: int) -> None:
    try:
        for _ in range(times):
            link.sendall(chunk)
    except OSError:  # the server has closed the connection
        pass


def answer(link: socket.socket) -> str:
    reply = b""
    try:
        while data := link.recv(1 << 16):
            reply += data
    except ConnectionResetError:
        pass
    return reply.decode()


@pytest.mark.parametrize(
    ("sent_bytes", "reply"),
    [
        (b"\x00\xff\xfe garbage\n", '{"ok":false,"error":"this is no request: JSON is malformed: invalid character (byte 0)","kind":"request"}\n'),  # noqa: E501
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", '{"ok":false,"error":"this is no request: JSON is malformed: invalid character (byte 0)","kind":"request"}\n'),  # noqa: E501
        (b"[" * 30_000 + b"\n", '{"ok":false,"error":"a request that is nested more than 208 deep","kind":"request"}\n'),  # noqa: E501
        (b"x" * 100_000, '{"ok":false,"error":"a request of more than 65,536 bytes; keep what is so large in a file, and its path in the Context","kind":"request"}\n'),  # noqa: E501
        (b'{"id":7,"op":"full"}\n' * 50, '{"ok":false,"error":"the token is wrong or was not given","kind":"request","id":7}\n'),  # noqa: E501
        (b"\n\n \n", ""),
        (b"", ""),
    ],
)  # fmt: skip
def test_a_first_request_without_a_token_gets_one_reply(
    served: Served, sent_bytes: bytes, reply: str
) -> None:
    with served.connected() as link:
        link.sendall(sent_bytes)
        link.shutdown(socket.SHUT_WR)
        assert answer(link) == reply
    served.is_well()


def test_a_gigabyte_without_a_line_break_takes_no_memory(served: Served) -> None:
    peak = served.memory
    for head in (b"", served.line(op="keys") + b'{"op":"set","path":"a","value":"'):
        with served.connected() as link:
            link.sendall(head)
            most = 0
            for _ in range(16):
                sent(link, b"x" * MIB, 64)
                most = max(most, peak())
            assert most - served.before < 16 * MIB
            reply = answer(link)
        assert ("more than 4,194,304 bytes" in reply) is bool(head) or reply == ""
    served.is_well()


def test_deep_json_of_an_authenticated_client_is_refused(served: Served) -> None:
    with served.connected() as link:
        deep = b"[" * 100_000 + b"]" * 400_000
        link.sendall(served.line(op="keys") + b'{"op":"set","value":' + deep + b"}\n")
        link.shutdown(socket.SHUT_WR)
        assert answer(link).endswith('nested more than 208 deep","kind":"request"}\n')
    served.is_well()


def test_a_client_that_half_closes_gets_its_replies(served: Served) -> None:
    with served.connected() as link:
        link.sendall(served.line(op="contains", path="x") * 3 + b'{"op":')
        link.shutdown(socket.SHUT_WR)
        assert answer(link) == '{"ok":true,"value":false}\n' * 3
    served.is_well()


def test_a_client_that_never_reads_does_not_delay_others(served: Served) -> None:
    with served.connected() as link:
        remote = RemoteContext(link, token=served.token)
        remote.increment("good")
        remote.set("large", "x" * 1_000_000)
        link.settimeout(0.3)
        flood = served.line(op="full") * 100_000
        with pytest.raises(TimeoutError):
            link.sendall(flood)
        served.is_well()


def test_a_request_sent_byte_by_byte_is_served(served: Served) -> None:
    with served.connected() as patient:
        for byte in served.line(op="contains", path="x"):
            patient.send(bytes([byte]))
        assert patient.recv(99) == b'{"ok":true,"value":false}\n'
    served.is_well()


def test_a_first_request_sent_too_slowly_is_closed() -> None:
    served = Served(handshake=2)
    with served.connected() as slow:
        begun = time.monotonic()
        slow.settimeout(0.05)
        received = None
        while received is None and time.monotonic() < begun + 60:
            try:
                slow.send(b"{")
                received = slow.recv(1)
            except TimeoutError:
                pass
            except OSError:
                received = b""
        assert received == b""
    assert served.process.poll() is None
    served.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 4096:
        pytest.skip(f"a process may open {hard:,} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_four_hundred_silent_of_a_thousand_connections_do_not_delay_others(
    served: Served, many_files: None
) -> None:
    links = [served.connected() for _ in range(1000)]
    talkers = [link for number, link in enumerate(links) if number % 5 < 3]
    for link in talkers:
        link.sendall(served.line(op="contains", path="x"))
    assert {link.recv(99) for link in talkers} == {b'{"ok":true,"value":false}\n'}
    served.is_well()
    for link in talkers:
        link.sendall(served.line(op="contains", path="x"))
    assert {link.recv(99) for link in talkers} == {b'{"ok":true,"value":false}\n'}
    for link in links:
        link.close()
    served.is_well()


def test_unauthenticated_connections_with_much_data_are_closed(served: Served) -> None:
    links = [served.connected() for _ in range(300)]
    for link in links:
        sent(link, b"x" * 60_000, 1)
    served.is_well()
    for link in links:
        link.close()


@pytest.mark.parametrize(("files", "connections"), [(256, 1000), (8192, 20)])
def test_a_full_server_closes_the_connection_that_is_silent_longest(
    files: int, connections: int
) -> None:
    served = Served(files, connections)
    authenticated = []
    for _ in range(30):
        authenticated.append(link := served.connected())
        link.sendall(served.line(op="contains", path="x"))
        assert link.recv(99)
    unauthenticated = [served.connected() for _ in range(200)]
    served.is_well()
    for link in [*authenticated, *unauthenticated]:
        link.close()
    served.is_well()
    served.close()


def test_connections_take_at_most_a_quarter_of_the_files() -> None:
    served = Served(files=256)
    links = [served.connected() for _ in range(200)]
    served.is_well()
    assert psutil.Process(served.process.pid).num_fds() < 64 + 20
    for link in links:
        link.close()
    served.close()


def test_unusual_values_are_returned_unchanged(served: Served) -> None:
    values: list[Callable[[], object]] = [lambda: "\u2028\x00\U0001f600", lambda: 2**200]
    with served.connected() as link:
        remote = RemoteContext(link, "flash", served.token)
        for value in values:
            remote.set("odd", value())
            assert remote.get("odd") == value()
