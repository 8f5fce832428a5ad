"""Throughput and latency of a Context server with 1, 10, 100 and 1,000 clients.

Each client sends a request as soon as its last reply has arrived. The server is one process, and
all clients together are another one, which prepares its requests beforehand. So the figures are
those of the server, and on two processors each process has one. In each round each number of
clients runs for a second.
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
from pytest_orchestrator.context.rpc.protocol import Request, request_line
from pytest_orchestrator.context.rpc.server import Limits, Server

SECONDS = 1.0


class Load(NamedTuple):
    """Throughput and latency that the clients measured.

    Attributes:
        each_second: Replies a second of all clients together.
        p50: Median latency in milliseconds.
        p99: 99th percentile of the latency in milliseconds.
    """

    each_second: float
    p50: float
    p99: float


def serve(into: int) -> None:
    """Serve a Context; the limit leaves room for connections that are still being closed."""
    with Server(Context(), limits=Limits(connections=4_000)) as server:
        os.write(into, f"{server.address} {server.token}\n".encode())
        signal.pause()


def run_clients(links: Sequence[socket.socket], line: bytes, seconds: float = SECONDS) -> Load:
    """Have each client send a request as soon as its last reply arrives; return the load.

    Args:
        links: The connections of the clients.
        line: The request.
        seconds: Duration of the measurement.
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
                _receive(links[key.data])
                now = time.perf_counter()
                took.append((now - sent[key.data]) * 1e3)
                sent[key.data] = now
                links[key.data].sendall(line)
        ended = time.perf_counter()
        for link in links:  # pending replies
            _receive(link)
    parts = quantiles(took, n=100)
    return Load(len(took) / (ended - begun), parts[49], parts[98])


def _receive(link: socket.socket) -> None:
    if not link.recv(1 << 16).startswith(b'{"ok":true'):
        raise RuntimeError("the server refuses a client")


def measured(numbers: Sequence[int], rounds: int) -> Table:
    """Return the table for the given numbers of clients."""
    loads: dict[int, list[Load]] = {number: [] for number in numbers}
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
                        links[-1].sendall(
                            line
                        )  # the server closes clients that do not authenticate in time
                        _receive(links[-1])
                    loads[number].append(run_clients(links, line))
    rows = [
        (number, *(median(part) for part in zip(*loads[number], strict=True))) for number in numbers
    ]
    columns = ("clients", "operations a second", "p50 ms", "p99 ms")
    return Table("A served Context: `set` of a number by clients without a pause", columns, rows)
