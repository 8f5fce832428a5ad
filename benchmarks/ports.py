"""Ports that are known before anybody listens there, and that nobody else gets meanwhile."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def kept() -> Iterator[int]:
    """Have a port of the loopback while a block runs: the system gives it to nobody else.

    A server may listen there that sets SO_REUSEADDR, as most do; until then nobody answers.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]
