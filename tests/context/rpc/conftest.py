"""Fixtures for the protocol: a server in this process, one in another process, and a client."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Conversation

KEEPER = """
import socket, sys
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Conversation

link = socket.socket(fileno=int(sys.argv[1]))
conversation = Conversation(Context().bound("flash"))
while data := link.recv(1 << 16):
    link.sendall(conversation.receive(data))
"""


class Loopback:
    """Connection without a socket: requests are answered at once, in chunks of a given size."""

    def __init__(
        self, context: Context, chunk_size: int = 1 << 16, max_line: int = 1 << 26
    ) -> None:
        self.conversation = Conversation(context, max_line=max_line)
        self.chunk_size = chunk_size
        self.replies = bytearray()

    def send(self, data: bytes | memoryview, /) -> int:
        chunk = bytes(data[: self.chunk_size])
        self.replies += self.conversation.receive(chunk)
        return len(chunk)

    def recv(self, size: int, /) -> bytes:
        assert self.replies, "no request was sent, so recv would block for ever"
        size = min(size, self.chunk_size)
        data = bytes(self.replies[:size])
        del self.replies[:size]
        return data


@pytest.fixture(scope="session")
def loopback() -> type[Loopback]:
    return Loopback


@pytest.fixture
def link() -> Iterator[socket.socket]:
    """A socket whose other end is in a process that keeps a Context; its handle is `flash`."""
    ours, its = socket.socketpair()
    command = [sys.executable, "-c", KEEPER, str(its.fileno())]
    keeper = subprocess.Popen(command, pass_fds=[its.fileno()])
    its.close()
    with ours:
        yield ours
    assert keeper.wait(20) == 0


@pytest.fixture
def run_script(link: socket.socket) -> Callable[[str], str]:
    """Return a function that runs a script with the socket as `link`, and returns its output."""

    def run_script(script: str) -> str:
        head = (
            "import socket, sys\n"
            "from pytest_orchestrator.context.rpc.client import *\n"
            "link = socket.socket(fileno=int(sys.argv[1]))\n"
        )
        command = [sys.executable, "-c", head + script, str(link.fileno())]
        done = subprocess.run(
            command,
            pass_fds=[link.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            # An exception in a signal handler would leave the lock of coverage locked.
            env={k: v for k, v in os.environ.items() if k != "COVERAGE_PROCESS_CONFIG"},
        )
        return done.stdout + done.stderr

    return run_script
