"""Every reply reaches the request that it belongs to, despite threads and interruptions."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import ContextUnreachable
from pytest_orchestrator.context.rpc.client import RemoteContext

THREADS = 16
ROUNDS = 100


class Stop(BaseException):
    pass


class Interrupted:
    """Connection that calls a function once: before, within or after a call of send or recv."""

    def __init__(self, inner: Any, call: str, moment: str, happens: Callable[[], None]) -> None:
        self.inner = inner
        self.call = call
        self.moment = moment
        self.happens = happens

    def at(self, call: str, moment: str) -> bool:
        if (call, moment) != (self.call, self.moment):
            return False
        self.call = "done"
        return True

    def send(self, data: bytes | memoryview, /) -> int:
        if self.at("send", "before"):
            self.happens()
        if self.at("send", "within"):
            sent = int(self.inner.send(data[:20]))
            self.call = "rest"
            return sent
        if self.at("rest", "within"):
            self.happens()
        sent = int(self.inner.send(data))
        if self.at("send", "after"):
            self.happens()
        return sent

    def recv(self, size: int, /) -> bytes:
        if self.at("recv", "before"):
            self.happens()
        if self.at("recv", "within"):
            self.inner.recv(5)
            self.happens()
        data = bytes(self.inner.recv(size))
        if self.at("recv", "after"):
            self.happens()
        return data


MOMENTS = [(call, moment) for call in ("send", "recv") for moment in ("before", "within", "after")]


@pytest.mark.parametrize(("call", "moment"), MOMENTS)
def test_an_interrupted_request_does_not_mix_replies(
    loopback: Callable[..., Any], call: str, moment: str
) -> None:
    def stop() -> None:
        raise Stop

    connection = Interrupted(loopback(Context()), "later", moment, stop)
    remote = RemoteContext(connection)
    remote.set("a", "of a")
    remote.set("b", "of b")
    connection.call = call

    with pytest.raises(Stop):
        remote.get("a")

    assert remote.get("b") == "of b"
    assert remote.get("a") == "of a"
    assert remote.missed == ()


@pytest.mark.parametrize(
    ("call", "moment"), [moment for moment in MOMENTS if moment[1] != "within"]
)
def test_a_signal_handler_may_send_a_request_during_a_request(
    loopback: Callable[..., Any], call: str, moment: str
) -> None:
    seen: list[Any] = []
    connection = Interrupted(
        loopback(Context()), "later", moment, lambda: seen.append(remote.get("b"))
    )
    remote = RemoteContext(connection)
    remote.set("a", "of a")
    remote.set("b", "of b")
    connection.call = call

    assert remote.get("a") == "of a"
    assert seen == ["of b"]
    assert remote.get("b") == "of b"


def test_a_handler_is_refused_while_a_longer_request_is_half_sent(
    loopback: Callable[..., Any],
) -> None:
    errors: list[str] = []

    def ask() -> None:
        with pytest.raises(ContextUnreachable) as caught:
            remote.get("b")
        errors.append(str(caught.value))

    remote = RemoteContext(Interrupted(loopback(Context()), "send", "within", ask))

    remote.set("a", "x" * 100)

    assert errors == ["a longer request is just being sent; ask again after it"]
    assert remote.to_dict() == {"a": "x" * 100}


@pytest.fixture
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_switch_often")
def test_threads_that_send_requests_at_once_get_their_own_replies(link: socket.socket) -> None:
    remote = RemoteContext(link)
    barrier = threading.Barrier(THREADS)

    def work(number: int) -> list[int | float]:
        barrier.wait()
        sums = []
        for turn in range(ROUNDS):
            sums.append(remote.increment("n"))
            own = [number, "x" * (100_000 if turn % 10 == 0 else 10)]
            remote.set(f"own.{number}", own)
            assert remote[f"own.{number}"] == own
            assert remote.get(f"none.{number}", number) == number
        return sums

    with ThreadPoolExecutor(THREADS) as pool:
        sums = [total for totals in pool.map(work, range(THREADS)) for total in totals]

    assert sorted(sums) == list(range(1, THREADS * ROUNDS + 1))


def test_requests_of_signal_handlers_do_not_mix_replies(run_script: Callable[[str], str]) -> None:
    script = """
import signal
remote = RemoteContext(link)
sums = []
stops = 0
is_armed = False

class Stop(Exception):
    pass

def on_alarm(number, frame):  # may be interrupted by itself
    global is_armed
    sums.append(remote.increment("ticks"))
    if is_armed and len(sums) % 2:
        is_armed = False
        raise Stop

signal.signal(signal.SIGALRM, on_alarm)
for turn in range(1500):
    try:
        is_armed = True
        signal.setitimer(signal.ITIMER_REAL, (turn % 500 + 1) / 1e6)
        remote.set("turn", [turn])
        assert remote["turn"] == [turn]
        assert remote.get("none", turn) == turn
        assert "turn" in remote
        is_armed = False
    except Stop:
        stops += 1
signal.setitimer(signal.ITIMER_REAL, 0)
ticks = remote["ticks"]
print(len(set(sums)) == len(sums) <= ticks, stops > 10)
"""
    assert run_script(script) == "True True\n"


def test_a_fork_may_use_a_context_that_its_parent_never_used(
    run_script: Callable[[str], str],
) -> None:
    script = """
import os
remote = RemoteContext(link)
for number in (1, 2):
    if not os.fork():
        remote.set("a", number)
        os._exit(0)
    os.wait()
print(remote["a"])
"""
    assert run_script(script) == "2\n"


def test_a_fork_of_the_process_that_uses_a_context_is_refused(
    run_script: Callable[[str], str],
) -> None:
    script = """
import os
remote = RemoteContext(link)
remote.set("a", 1)
if not os.fork():
    try:
        remote.get("a")
    except ContextUnreachable as error:
        print(str(error).replace(str(os.getppid()), "PARENT"), flush=True)
    os._exit(0)
os.wait()
print(remote["a"])
"""
    assert run_script(script) == (
        "the Context is used by process PARENT, and a process that it forked cannot use it "
        "too; hand over the values that it needs and that it finds\n1\n"
    )


@pytest.mark.parametrize("half", [b"", b'{"ok":true,"va'])
def test_a_request_to_a_process_that_has_ended_raises(half: bytes) -> None:
    ours, its = socket.socketpair()
    remote = RemoteContext(ours)
    its.send(half)
    its.shutdown(socket.SHUT_WR)
    with ours:
        for _ in range(2):
            with pytest.raises(ContextUnreachable, match=r"^the process that keeps the Context"):
                remote.get("a")
            its.close()


def test_a_reply_in_another_protocol_raises() -> None:
    ours, its = socket.socketpair()
    with ours, its:
        its.send(b"HTTP/1.1 400 Bad Request\r\n")

        with pytest.raises(ContextUnreachable, match=r"^what answers is no Context: JSON is"):
            RemoteContext(ours).get("a")
