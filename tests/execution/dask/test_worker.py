"""Worker side of an attempt, with a session that refuses or cannot execute some requests."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.handshake import Limits
from pytest_orchestrator.context.rpc.protocol import RequestRefused, too_long
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.core.result import Where
from pytest_orchestrator.execution.dask import client, worker
from pytest_orchestrator.execution.dask.broker import AttemptBroker
from pytest_orchestrator.execution.dask.submission import Submission
from pytest_orchestrator.execution.lanes.lane import Lane
from pytest_orchestrator.execution.lanes.pattern_search import SearchTimeout
from tests.execution.dask.test_broker import TERMS

if TYPE_CHECKING:
    from pytest_orchestrator.execution.dask.broker import RemoteAttempt
    from pytest_orchestrator.execution.dask.messages import AttemptRef
    from pytest_orchestrator.recipe.model.step import Step
    from tests.execution.conftest import Bench

Sent = Callable[["Step"], tuple[Submission, threading.Thread]]


@pytest.fixture
def broker(bench: Bench, tmp_path: Path) -> Iterator[AttemptBroker]:
    """A broker to which the worker in this process connects."""
    root, max_bytes = str(tmp_path), 16 << 20
    session_config = msgspec.structs.replace(
        TERMS, session=root, root=root, max_result=max_bytes, max_log=max_bytes
    )
    bench.configure(artifacts=tmp_path / "kept")
    with Server(Context()) as server:
        broker = AttemptBroker(server, session_config)
        yield broker
        broker.close()


@pytest.fixture
def sent(bench: Bench, broker: AttemptBroker) -> Iterator[Sent]:
    """Return a function that submits a step to a worker in this process."""
    threads: list[threading.Thread] = []

    def send(step: Step) -> tuple[Submission, threading.Thread]:
        attempt = broker.issue(step, Context(), bench.attempt)
        thread = threading.Thread(target=performed, args=(attempt.ref,))
        thread.start()
        threads.append(thread)
        return Submission(step, bench.attempt, attempt, NoTask()), thread

    yield send
    broker.close()
    for thread in threads:
        thread.join()


class NoTask:
    """Fake of a `Submitter`: the attempts of these tests have no task."""

    def withdraw(self) -> None:
        """Do nothing."""

    def follow(self, attempt: RemoteAttempt) -> None:
        """Do nothing."""


def performed(ref: AttemptRef) -> None:
    with contextlib.suppress(RequestRefused):  # Dask would report it
        worker.perform(ref, "bench-1")


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_loses_logs_and_copies_but_not_the_outcome(
    bench: Bench, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.pwrite", full)
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
    # The limit of the server of this test; a request cannot contain the result of the step.
    monkeypatch.setattr(client, "_MAX_VALUE", Limits().line - 1024)
    large = """printf '{"status": "ok", "a": "%05000000d"}' 7"""
    step = bench.shell_step(f"{large}; printf 'the end' >&2")
    submission, thread = sent(step)

    failure = submission.result().failure
    submission.close()
    thread.join()

    assert failure is not None
    assert failure.kind == "crash"
    assert "RequestRefused" in failure.reason
    assert Path(bench.attempt.log("s", "stderr") or "").read_bytes() == b"the end"


def test_copies_with_a_too_long_list_are_reported_as_missing(
    bench: Bench, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_MAX_VALUE", 8_000)
    names = "$(seq -f '%0200g.csv' 100)"
    submission, thread = sent(bench.shell_step(f"touch {names}", parse="text", artifacts=["*.csv"]))
    assert submission.result().failure is None

    kept = submission.collect(["*.csv"], bench.attempt)
    submission.close()
    thread.join()

    assert kept.artifacts == ()
    assert kept.warnings == (f"artifacts: {too_long(8_000)}",)


def test_a_worker_runs_the_attempts_of_all_elements_in_one_task(
    bench: Bench, broker: AttemptBroker, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The requests of an attempt are executed one after the other, also the claim that is refused.
    monkeypatch.setattr("pytest_orchestrator.execution.dask.broker._FOLLOW_UP_POLL", 0.1)
    step = bench.shell_step("echo a", parse="text", artifacts=["*.csv"])
    bench.configure(element=0)
    first, thread = sent(step)
    assert first.result().failure is None
    first.close()  # the worker waits for the next element
    bench.configure(element=1)
    second = broker.issue(step, Context(), bench.attempt)
    previous = first.next_attempt(second)
    assert previous is not None
    submission = Submission(step, bench.attempt, second, first.submitter, previous)
    ended = submission.result()
    assert ended.where == Where("bench-1", socket.gethostname())
    assert thread.is_alive()
    submission.close()
    # No other worker may run the element, and the first attempt has been released.
    with pytest.raises(worker.NotClaimed):
        worker.perform(second.ref, "bench-2")
    assert first.next_attempt(second) is None
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
