"""A served Context with 1, 10, 100 and 1,000 clients that ask as fast as they are answered.

The server is a process of its own. So are the clients, all of them one process that keeps the
lines of a request ready: what is measured is the server, and on a machine of two processors the
two of them have one each. A second of each number in each round, the rounds interleaved.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Sequence
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks.growth.tables import Table
from benchmarks.served import forked, raw
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.handshake import Limits
from pytest_orchestrator.context.rpc.protocol import Request, request_line
from pytest_orchestrator.context.rpc.server import Server

SECONDS = 1.0


class Asked(NamedTuple):
    """What clients saw.

    Attributes:
        each_second: Replies a second, of all of them.
        half: Milliseconds that half of the requests took at most.
        most: Milliseconds that 99 of 100 took at most.
    """

    each_second: float
    half: float
    most: float


def serve(into: int) -> None:
    """Serve a Context; clients that have just closed count among the connections still."""
    with Server(Context(), limits=Limits(connections=4_000)) as server:
        os.write(into, f"{server.address} {server.token}\n".encode())
        signal.pause()


def asked(links: Sequence[socket.socket], line: bytes, seconds: float = SECONDS) -> Asked:
    """Let each client send a request whenever its last one was answered.

    Args:
        links: The connections of the clients.
        line: The request.
        seconds: How long.
    """
    took: list[float] = []
    with selectors.DefaultSelector() as ready:
        sent = []
        for number, link in enumerate(links):
            ready.register(link, selectors.EVENT_READ, number)
            sent.append(time.perf_counter())
            link.sendall(line)
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for key, _ in ready.select(1.0):
                _take(links[key.data])
                now = time.perf_counter()
                took.append((now - sent[key.data]) * 1e3)
                sent[key.data] = now
                links[key.data].sendall(line)
        ended = time.perf_counter()
        for link in links:  # what is still under way
            _take(link)
    parts = quantiles(took, n=100)
    return Asked(len(took) / (ended - begun), parts[49], parts[98])


def _take(link: socket.socket) -> None:
    if not link.recv(1 << 16).startswith(b'{"ok":true'):
        raise RuntimeError("the server refuses a client")


def measured(numbers: Sequence[int], rounds: int) -> Table:
    """Measure a server with these numbers of clients."""
    found: dict[int, list[Asked]] = {number: [] for number in numbers}
    with forked(serve) as where:
        address, token = where.split()
        port = int(address.rpartition(":")[2])
        line = request_line(Request(id=1, op="set", path="number", value=1.5, token=token))
        for turn in range(rounds):
            for number in numbers if turn % 2 else reversed(numbers):
                with contextlib.ExitStack() as stack:
                    links = []
                    for _ in range(number):
                        links.append(stack.enter_context(raw(port)))
                        links[-1].settimeout(60)
                        links[-1].sendall(line)  # within seconds, or it is taken for a stranger
                        _take(links[-1])
                    found[number].append(asked(links, line))
    rows = [
        (number, *(median(part) for part in zip(*found[number], strict=True))) for number in numbers
    ]
    columns = ("clients", "operations a second", "p50 ms", "p99 ms")
    return Table("A served Context: `set` of a number by clients that never rest", columns, rows)
