"""Round trip to a Context server, against raw sockets: `python -m benchmarks.served`.

A blocking `set` is compared with an echo of such a request and, if `redis-server` is installed,
with a SET of Redis that is sent as raw bytes. Each server is a process of its own on the same
processor, over TCP on the loopback. The total time of `update_state.sh get` is measured too.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import ports
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import ADDRESS, TOKEN
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.server import Server

ROUNDS = 25
CALLS = 500
SCRIPT = Path(__file__).parents[1] / "scriptlets" / "shell" / "update_state.sh"
ECHO = b'{"id":12345,"op":"set","path":"number","value":1.5,"token":"' + b"x" * 43 + b'"}\n'
REDIS = b"*3\r\n$3\r\nSET\r\n$6\r\nnumber\r\n$3\r\n1.5\r\n"


@contextlib.contextmanager
def forked(work: Callable[[int], None]) -> Iterator[str]:
    """Run a function in another process, yield its first line of output, and end it afterwards."""
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(out)
        try:
            work(into)
        finally:
            os._exit(0)
    os.close(into)
    try:
        with os.fdopen(out) as output:
            yield output.readline().strip()
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def echo(into: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.write(into, f"{listener.getsockname()[1]}\n".encode())
        link, _ = listener.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := link.recv(1 << 16):
            link.sendall(data)


def serve(into: int) -> None:
    with Server(Context()) as server:
        os.write(into, f"{server.address} {server.token}\n".encode())
        signal.pause()


@contextlib.contextmanager
def redis() -> Iterator[socket.socket | None]:
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with ports.kept() as port, TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(500):
            try:
                link = raw(port)
                break
            except OSError:
                time.sleep(0.01)
        else:
            raise RuntimeError("redis-server does not listen")
        with link:
            yield link
        server.terminate()
        server.wait()


def raw(port: int) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begun) / calls * 1e6


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with forked(echo) as port, forked(serve) as where, redis() as other, raw(int(port)) as bare:
        address, token = where.split()
        with RemoteContext.connect(address, token) as remote:
            calls: dict[str, Callable[[], object]] = {
                "bare echo": lambda: bare.send(ECHO) and bare.recv(1 << 16),
                "set a number": lambda: remote.set("number", 1.5),
                "get a number": lambda: remote.get("number"),
                "append": lambda: remote.append("list", 1.5),
            }
            if other is not None:
                calls["redis SET, raw"] = lambda: other.send(REDIS) and other.recv(1 << 16)
            print_ratios(calls, "redis SET, raw" if other is not None else "bare echo")
            env = os.environ | {ADDRESS: address, TOKEN: token}
            script = [
                microseconds(
                    lambda: subprocess.run(
                        [SCRIPT, "get", "number"], env=env, stdout=-3, check=True
                    ),
                    1,
                )
                for _ in range(50)
            ]
            print(f"  update_state.sh get: {median(script) / 1000:.1f} ms", file=sys.stdout)


def print_ratios(calls: dict[str, Callable[[], object]], base: str) -> None:
    rounds = [{name: microseconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    print(f"{'microseconds, median of ' + str(ROUNDS) + ' rounds':40}{'of ' + base:>20}")
    for name in calls:
        own = median(one[name] for one in rounds)
        ratio = median(one[name] / one[base] for one in rounds)
        print(f"  {name:28}{own:10.1f}{ratio:20.2f}")


if __name__ == "__main__":
    main()
