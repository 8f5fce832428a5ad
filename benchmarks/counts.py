"""Exact counts under load: threads that set values, processes that append over a server."""

import subprocess
import sys
import threading
from itertools import pairwise

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.server import Server

THREADS, SETS = 16, 100_000
PROCESSES, APPENDS = 4, 10_000
KEYS = 4

_APPENDS = """
import sys
from pytest_orchestrator import RemoteContext

address, token, name, number = sys.argv[1:]
with RemoteContext.connect(address, token) as ctx:
    for count in range(int(number)):
        ctx.append("log", f"{name}.{count}")
        ctx.increment("n")
"""


def wrong(sets: int = SETS, appends: int = APPENDS) -> list[str]:
    """Run the writers; return a line for each wrong count.

    Args:
        sets: Number of sets of each thread.
        appends: Number of appends of each process.
    """
    return [*_of_threads(sets), *_of_processes(appends)]


def _of_threads(sets: int) -> list[str]:
    ctx = Context()
    start = threading.Barrier(THREADS)

    def work(number: int) -> None:
        start.wait(60)
        for count in range(sets):
            ctx.set(f"key.{number % KEYS}", [number, count])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = []
    for key in ctx:
        changes = ctx.get_history(key)
        if len(changes) != sets * THREADS // KEYS:
            errors.append(f"{key}: {len(changes):,} sets are in the history")
        if not all(a["new"] == b["old"] and a["ts"] < b["ts"] for a, b in pairwise(changes)):
            errors.append(f"{key}: the history is broken")
    return errors


def _of_processes(appends: int) -> list[str]:
    ctx = Context()
    with Server(ctx) as server:
        command = [sys.executable, "-c", _APPENDS, server.address, server.token]
        workers = [
            subprocess.Popen([*command, str(number), str(appends)]) for number in range(PROCESSES)
        ]
        errors = [f"worker {worker.pid} exited with {worker.wait()}" for worker in workers]
    errors = [line for line in errors if not line.endswith(" 0")]
    expected = {f"{name}.{count}" for name in range(PROCESSES) for count in range(appends)}
    log, changes = ctx.get("log"), ctx.get_history("log")
    if len(log) != len(expected) or set(log) != expected:
        errors.append(f"{len(log):,} appends, {len(expected):,} expected")
    if [change["new"] for change in changes] != log:
        errors.append("the history of the appends is not the list")
    if ctx.get("n") != len(expected) or len(ctx.get_history("n")) != len(expected):
        errors.append(f"counted to {ctx.get('n'):,}, {len(expected):,} expected")
    return errors
