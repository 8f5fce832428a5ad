"""Round trip to a Context in another process, against an echo: `python -m benchmarks.remote`.

Both processes share one processor. So the figures compare the work of a round trip, without the
time in which the kernel wakes an idle processor.
"""

import os
import socket
import time
from collections.abc import Callable
from statistics import median

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import Conversation

ROUNDS = 25
CALLS = 1_000
LINE = b'{"id":12345,"op":"get","path":"metrics.mean_v1"}\n'
SMALL = {"channel": 1, "volts": [11.9, 12.0, 12.1], "verdict": "pass"}


def answered(answer: Callable[[bytes], bytes]) -> socket.socket:
    """Start a process that answers all input until its socket closes; return the other end."""
    ours, its = socket.socketpair()
    if not os.fork():
        ours.close()
        while data := its.recv(1 << 16):
            its.sendall(answer(data))
        os._exit(0)
    its.close()
    return ours


def microseconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - begun) / CALLS * 1e6


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    bare = answered(bytes)
    context = Context()
    context.set("metrics.mean_v1", 1.5)
    link = answered(Conversation(context).receive)
    remote = RemoteContext(link)
    calls: dict[str, Callable[[], object]] = {
        "bare echo": lambda: bare.send(LINE) and bare.recv(1 << 16),
        "get a number": lambda: remote.get("metrics.mean_v1"),
        "in": lambda: "metrics.mean_v1" in remote,
        "set a number": lambda: remote.set("number", 1.5),
        "increment": lambda: remote.increment("count"),
        "set a small mapping": lambda: remote.set("small", SMALL),
        "the same, in this process": lambda: context.set("small", SMALL),
    }
    rounds = [{name: microseconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    print(f"{'microseconds, median of ' + str(ROUNDS) + ' rounds':40}{'of an echo':>12}")
    for name in calls:
        own = median(one[name] for one in rounds)
        ratio = median(one[name] / one["bare echo"] for one in rounds)
        print(f"  {name:28}{own:10.1f}{ratio:12.2f}")
    bare.close()
    link.close()
    os.wait()
    os.wait()


if __name__ == "__main__":
    main()
