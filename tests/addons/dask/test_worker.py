"""Worker side of an attempt, with a session that refuses or cannot execute some requests."""

from __future__ import annotations

import contextlib
import errno
import pickle
import queue
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_orchestrator.addons.dask import agent
from pytest_orchestrator.addons.dask.broker import AttemptBroker
from pytest_orchestrator.addons.dask.link import WorkerLink
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import RequestRefused, refusal
from pytest_orchestrator.core.result import Where
from pytest_orchestrator.execution.lanes.lane import Lane
from pytest_orchestrator.execution.lanes.pattern_search import SearchTimeout
from pytest_orchestrator.execution.remote import attempt as sessions
from pytest_orchestrator.execution.remote import worker
from pytest_orchestrator.execution.remote.attempt import OUTCOME, RemoteWork
from pytest_orchestrator.execution.remote.submission import Submission
from tests.addons.dask.test_broker import TERMS

if TYPE_CHECKING:
    from pytest_orchestrator.addons.dask.broker import RemoteAttempt
    from pytest_orchestrator.recipe.model.step import Step
    from tests.execution.conftest import Bench

Sent = Callable[["Step"], tuple[Submission, threading.Thread]]


class DirectLink(WorkerLink):
    """Fake of a link: the broker executes the requests in the thread that sends them."""

    def __init__(self, broker: AttemptBroker) -> None:
        self.id, self.is_over = "link", False
        self._broker = broker
        self._lock = threading.Lock()

    def request(self, operation: str, value: Any = None, timeout: float | None = None) -> Any:
        if self.is_over:
            raise OSError("the session is over")
        message = pickle.loads(pickle.dumps(value))
        with self._lock:
            try:
                reply = self._broker.answer(self.id, operation, message)
            except OSError as error:
                raise RequestRefused(refusal(error, 0).error) from None
        if callable(reply):
            replies: queue.Queue[Any] = queue.Queue()
            reply(replies.put)
            reply = replies.get()
        return pickle.loads(pickle.dumps(reply))

    def close(self) -> None:
        self.is_over = True


@pytest.fixture
def broker(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AttemptBroker]:
    """A broker with a worker in this process."""
    root, max_bytes = str(tmp_path), 16 << 20
    session_config = msgspec.structs.replace(
        TERMS, session=root, root=root, max_result=max_bytes, max_log=max_bytes
    )
    bench.configure(artifacts=tmp_path / "kept")
    broker = AttemptBroker(session_config)
    link = DirectLink(broker)
    started = agent.WorkerAgent(session_config, link)
    monkeypatch.setitem(agent._AGENTS, root, started)  # noqa: SLF001
    started.start()
    yield broker
    link.close()
    for thread in threading.enumerate():
        if thread.name == "session-heartbeat":
            thread.join(20.0)


@pytest.fixture
def sent(bench: Bench, broker: AttemptBroker) -> Iterator[Sent]:
    """Return a function that submits a step to a worker in this process."""
    threads: list[threading.Thread] = []

    def send(step: Step) -> tuple[Submission, threading.Thread]:
        attempt = broker.issue(RemoteWork(step, Context(), bench.attempt))
        attempt.task = NoTask()
        session = broker.session_config.session
        thread = threading.Thread(target=performed, args=(session, attempt.id))
        thread.start()
        threads.append(thread)
        return Submission(step, bench.attempt, attempt), thread

    yield send
    for thread in threads:
        thread.join()


class NoTask:
    """Fake of a `Submitter`: the attempts of these tests have no task."""

    def ensure_submitted(self) -> None:
        """Do nothing."""

    def withdraw(self) -> None:
        """Do nothing."""

    def follow(self, attempt: RemoteAttempt) -> None:
        """Do nothing."""


def performed(session: str, attempt_id: str) -> None:
    with contextlib.suppress(RequestRefused):  # Dask would report it
        agent.perform(session, attempt_id, "bench-1")


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_loses_logs_and_copies_but_not_the_outcome(
    bench: Bench, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "open", full, raising=False)
    step = bench.shell_step("echo a; echo b > b.csv", parse="text", artifacts=["*.csv"])
    submission, thread = sent(step)

    assert submission.result().failure is None
    kept = submission.collect(["*.csv"], bench.attempt)
    submission.close()
    thread.join()

    assert kept.artifacts == ()
    assert [warning for warning in kept.warnings if "No space left on device" in warning]


def test_a_lane_that_ignores_a_cancellation_is_ended(
    bench: Bench, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_CANCEL_SECONDS", 0.1)
    monkeypatch.setattr(Lane, "cancel", lambda *_, **__: None)
    submission, thread = sent(bench.shell_step("touch begun; sleep 600", parse="text"))
    while not (tmp_path / "begun").exists():
        assert thread.is_alive()

    submission.cancel(at_once=False, late=False)

    failure = submission.result().failure
    assert failure is not None
    assert failure.kind == "crash"
    submission.close()


def test_an_outcome_that_the_session_refuses_is_a_crash_with_complete_logs(
    bench: Bench, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DirectLink.request

    def refuse(link: DirectLink, op: str, value: Any = None, timeout: float | None = None) -> Any:
        if op == OUTCOME and value[1].ended.failure is None:
            raise RequestRefused("it is too large")
        return real(link, op, value, timeout)

    monkeypatch.setattr(DirectLink, "request", refuse)
    submission, thread = sent(bench.shell_step("printf 'the end' >&2", parse="text"))

    failure = submission.result().failure
    submission.close()
    thread.join()

    assert failure is not None
    assert failure.kind == "crash"
    assert failure.reason == "the worker cannot run it: RequestRefused: it is too large"
    assert Path(bench.attempt.log("s", "stderr") or "").read_bytes() == b"the end"


def test_a_log_is_written_while_its_step_runs(bench: Bench, sent: Sent, tmp_path: Path) -> None:
    step = bench.shell_step(
        "echo on; while ! test -e go; do sleep 0.01; done; echo off", parse="text"
    )
    submission, thread = sent(step)
    log = Path(bench.attempt.log("s", "stdout") or "")
    while not (log.exists() and log.read_bytes()):  # it is made, and then written
        assert thread.is_alive()
    assert log.read_bytes() == b"on\n"
    (tmp_path / "go").touch()

    assert submission.result().failure is None
    submission.close()
    assert log.read_bytes() == b"on\noff\n"


_PROGRAM = """
import os
from pytest_orchestrator.context.rpc.client import RemoteContext
with RemoteContext.connect() as ctx:
    ctx.set("volts", 11.9)
    print(ctx["volts"], os.environ["ORCHESTRATOR_TOKEN"])
"""


def test_a_program_of_a_step_uses_the_context_of_the_session(
    bench: Bench, sent: Sent, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(_PROGRAM)
    submission, thread = sent(bench.shell_step([sys.executable, "program.py"], parse="text"))
    ended = submission.result()
    submission.close()
    thread.join()

    assert ended.failure is None
    log = Path(bench.attempt.log("s", "stdout") or "").read_text()
    assert re.fullmatch(r"11.9 \*\*\*\w{16}\n", log)


def test_a_worker_runs_the_attempts_of_all_elements_in_one_task(
    bench: Bench, broker: AttemptBroker, sent: Sent
) -> None:
    step = bench.shell_step("echo a", parse="text", artifacts=["*.csv"])
    bench.configure(element=0)
    first, thread = sent(step)
    assert first.result().failure is None
    first.close()  # the worker waits for the next element
    bench.configure(element=1)
    second = broker.issue(RemoteWork(step, Context(), bench.attempt))
    previous = first.hand_on(second)
    assert previous is not None
    submission = Submission(step, bench.attempt, second, previous)
    ended = submission.result()
    assert ended.where == Where("bench-1", socket.gethostname())
    assert thread.is_alive()
    submission.close()
    # No other worker may run the element, and the first attempt has been released.
    with pytest.raises(agent.NotClaimed):
        agent.perform(broker.session_config.session, second.id, "bench-2")
    assert first.hand_on(second) is None
    submission.release()
    thread.join()
    assert [path.name for path in sorted((bench.root / "logs").iterdir())] == [
        "s.0.1.stdout",
        "s.1.1.stdout",
    ]


def test_a_worker_searches_files_within_the_timeout_of_the_step(bench: Bench, sent: Sent) -> None:
    success = {"files": [{"path": "out.txt", "matches": ["a+", "(a|aa)+$"]}]}
    step = bench.shell_step(
        f"echo {'a' * 80}! > out.txt", parse="text", timeout="1s", success=success
    )
    submission, thread = sent(step)
    assert submission.result().failure is None
    with pytest.raises(SearchTimeout) as caught:
        submission.elsewhere(step.success[0], submission.started)
    submission.close()
    thread.join()

    reason = "its pattern backtracks: '(a|aa)+$'"
    assert str(caught.value) == f"timeout: `files.matches` was still searching after 1 s ({reason})"
    assert caught.value.place == step.success[0].at["matches/1"]


def test_a_file_that_a_step_has_not_written_is_not_fresh(
    bench: Bench, sent: Sent, tmp_path: Path
) -> None:
    (tmp_path / "old.txt").write_text("volts\n")
    success = {"files": [{"path": "old.txt", "fresh": True}]}
    step = bench.shell_step("true", parse="text", success=success)
    submission, thread = sent(step)
    assert submission.result().failure is None
    verdicts = [*submission.elsewhere(step.success[0], submission.started)]
    submission.close()
    thread.join()

    assert [one.name for one in verdicts if one.unmet] == ["files"]
