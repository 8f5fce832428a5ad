"""A Context that is asked through the protocol, in this process and out of another one."""

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
    """A connection without a socket: what is sent is answered at once, in pieces of a size."""

    def __init__(self, context: Context, piece: int = 1 << 16, max_line: int = 1 << 26) -> None:
        self.conversation = Conversation(context, max_line=max_line)
        self.piece = piece
        self.answered = bytearray()

    def send(self, data: bytes | memoryview, /) -> int:
        taken = bytes(data[: self.piece])
        self.answered += self.conversation.receive(taken)
        return len(taken)

    def recv(self, size: int, /) -> bytes:
        assert self.answered, "nothing was asked, so this would wait for ever"
        size = min(size, self.piece)
        data = bytes(self.answered[:size])
        del self.answered[:size]
        return data


@pytest.fixture(scope="session")
def loopback() -> type[Loopback]:
    return Loopback


@pytest.fixture
def link() -> Iterator[socket.socket]:
    """A socket whose other end is in a process that keeps a Context, as `flash`."""
    ours, its = socket.socketpair()
    command = [sys.executable, "-c", KEEPER, str(its.fileno())]
    keeper = subprocess.Popen(command, pass_fds=[its.fileno()])
    its.close()
    with ours:
        yield ours
    assert keeper.wait(20) == 0


@pytest.fixture
def told(link: socket.socket) -> Callable[[str], str]:
    """Run a script that has the socket as `link`, and give what it prints."""

    def told(script: str) -> str:
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
            # An exception out of a signal handler leaves the lock of coverage locked.
            env={k: v for k, v in os.environ.items() if k != "COVERAGE_PROCESS_CONFIG"},
        )
        return done.stdout + done.stderr

    return told
