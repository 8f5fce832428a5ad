"""Reserved ports: known before the server starts, and not assigned to other processes."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def kept() -> Iterator[int]:
    """Reserve a port of the loopback for the duration of a block.

    The system assigns the port to no other process. A server with SO_REUSEADDR, which most servers
    set, can listen there; until then connections are refused.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield reservation.getsockname()[1]
