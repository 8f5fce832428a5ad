"""A worker's side of a try, with a session that cannot or will not do all that it asks."""

from __future__ import annotations

import contextlib
import errno
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
from pytest_orchestrator.execution.dask import client, worker
from pytest_orchestrator.execution.dask.broker import AttemptBroker
from pytest_orchestrator.execution.dask.submission import Submission
from pytest_orchestrator.execution.lanes.lane import Lane
from pytest_orchestrator.execution.lanes.pattern_search import SearchTimeout
from tests.execution.dask.test_broker import TERMS

if TYPE_CHECKING:
    from pytest_orchestrator.execution.dask.messages import AttemptRef
    from pytest_orchestrator.recipe.model.step import Step
    from tests.execution.conftest import Bench

Sent = Callable[["Step"], tuple[Submission, threading.Thread]]


@pytest.fixture
def sent(bench: Bench, tmp_path: Path) -> Iterator[Sent]:
    """Hand a step to a worker in this process."""
    context = Context()
    root, most = str(tmp_path), 16 << 20
    terms = msgspec.structs.replace(TERMS, session=root, root=root, capacity=most, max_log=most)
    bench.surroundings(artifacts=tmp_path / "kept")
    threads: list[threading.Thread] = []
    with Server(context) as server:
        desk = AttemptBroker(server, terms)

        def send(step: Step) -> tuple[Submission, threading.Thread]:
            ticket = desk.issue(step, context, bench.env)
            thread = threading.Thread(target=performed, args=(ticket.work,))
            thread.start()
            threads.append(thread)
            return Submission(step, bench.env, ticket, lambda: None), thread

        yield send
        desk.close()
        for thread in threads:
            thread.join()


def performed(work: AttemptRef) -> None:
    with contextlib.suppress(RequestRefused):  # which its scheduler is told
        worker.perform(work, "bench-1")


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_full_keeps_no_log_and_no_copy_and_takes_the_end(
    bench: Bench, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.pwrite", full)
    step = bench.shell_step("echo a; echo b > b.csv", parse="text", artifacts=["*.csv"])
    errand, thread = sent(step)

    assert errand.result().failure is None
    kept = errand.collect(["*.csv"], bench.env)
    errand.close()
    thread.join()

    assert kept.artifacts == ()
    assert [one for one in kept.warnings if "No space left on device" in one]


def test_a_lane_that_does_not_hear_is_ended_itself(
    bench: Bench, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_HEARS", 0.1)
    monkeypatch.setattr(Lane, "cancel", lambda *_, **__: None)
    errand, thread = sent(bench.shell_step("touch begun; sleep 600", parse="text"))
    while not (tmp_path / "begun").exists():
        assert thread.is_alive()

    errand.cancel(at_once=False, late=False)

    failure = errand.result().failure
    assert failure is not None
    assert failure.kind == "crash"
    errand.close()


def test_an_end_that_the_session_refuses_is_a_crash_with_all_that_was_printed(
    bench: Bench, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_LARGEST", Limits().line - 1024)  # of the session of this test
    large = """printf '{"status": "ok", "a": "%05000000d"}' 7"""  # no request has that many bytes
    step = bench.shell_step(f"{large}; printf 'the end' >&2")
    errand, thread = sent(step)

    failure = errand.result().failure
    errand.close()
    thread.join()

    assert failure is not None
    assert failure.kind == "crash"
    assert "RequestRefused" in failure.reason
    assert Path(bench.env.log("s", "stderr") or "").read_bytes() == b"the end"


def test_copies_whose_list_no_request_holds_are_told_as_missing(
    bench: Bench, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_LARGEST", 8_000)
    names = "$(seq -f '%0200g.csv' 100)"
    errand, thread = sent(bench.shell_step(f"touch {names}", parse="text", artifacts=["*.csv"]))
    assert errand.result().failure is None

    kept = errand.collect(["*.csv"], bench.env)
    errand.close()
    thread.join()

    assert kept.artifacts == ()
    assert kept.warnings == (f"artifacts: {too_long(8_000)}",)


def test_a_worker_searches_files_within_the_time_of_the_step(bench: Bench, sent: Sent) -> None:
    success = {"files": [{"path": "out.txt", "matches": ["a+", "(a+)+$"]}]}
    step = bench.shell_step(
        f"echo {'a' * 40}! > out.txt", parse="text", timeout="1s", success=success
    )
    errand, thread = sent(step)
    assert errand.result().failure is None
    with pytest.raises(SearchTimeout) as caught:
        errand.elsewhere(step.success[0], errand.started)
    errand.close()
    thread.join()

    why = "its pattern backtracks: '(a+)+$'"
    assert str(caught.value) == f"timeout: `files.matches` was still searching after 1 s ({why})"
    assert caught.value.place == step.success[0].at["matches/1"]
