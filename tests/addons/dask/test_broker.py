"""A remote attempt is claimed once and has one outcome, in any sequence of events."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.addons.dask.broker import AttemptBroker, RemoteAttempt
from pytest_orchestrator.addons.dask.link import CLAIM, HEARTBEAT, SILENCE, ClaimRequest
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.core.result import Ended, lasted
from pytest_orchestrator.execution.locks import lock_file, locks
from pytest_orchestrator.execution.remote.attempt import (
    CHUNK,
    FOLLOW_UP,
    OUTCOME,
    Chunk,
    FollowUp,
    FollowUpReply,
    Outcome,
    RemoteWork,
    SessionConfig,
    WorkerLost,
)
from pytest_orchestrator.execution.remote.submission import Submission
from pytest_orchestrator.execution.run_config import PythonSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.execution.conftest import Bench

TERMS = SessionConfig(
    session="s",
    run="r",
    root="/",
    python_settings=PythonSettings(cwd="/", sys_path=[], log_level=30),
    flags=(),
    hello={"arguments": []},
    timeout=None,
    timeout_factor=1.0,
    max_log=1000,
    max_artifact=1000,
    max_result=1000,
    secret_names=(),
)


class Scene:
    """An attempt in a broker, and workers that send requests for it."""

    def __init__(self, bench: Bench) -> None:
        self.broker = AttemptBroker(TERMS)
        self.step, self.attempt_context = bench.shell_step("true"), bench.attempt
        work = RemoteWork(self.step, Context(), self.attempt_context)
        self.attempt = self.broker.issue(work)
        self.attempt.task = self
        self.withdrawn: list[bool] = []

    def ask(self, op: str, value: Any) -> Any:
        """Send a request for the attempt; return the reply, or the text of the refusal."""
        try:
            return self.broker.answer("link-of-a", op, (self.attempt.id, value))
        except RequestRefused as error:
            return str(error)

    def submission(self) -> Submission:
        return Submission(self.step, self.attempt_context, self.attempt)

    def withdraw(self) -> None:
        """Record that the task was cancelled, in place of a `Submitter`."""
        self.withdrawn.append(True)

    def ensure_submitted(self) -> None:
        """Do nothing."""

    def follow(self, attempt: RemoteAttempt) -> None:
        """Do nothing: these attempts have no task."""

    def claim(self, worker: str) -> str:
        """Claim the attempt for a worker; return the text of a refusal, or an empty text."""
        reply = self.ask(CLAIM, _claim(worker))
        return reply if isinstance(reply, str) else ""

    def report(self, seconds: float) -> None:
        self.ask(OUTCOME, Outcome(ended=Ended(usage=lasted(seconds))))

    def print(self, data: bytes, at: int = 0, stream: str = "stdout") -> Any:
        return self.ask(CHUNK, Chunk(stream, at, data))

    def beat(self, worker: str, *running: str) -> dict[str, bool]:
        end: dict[str, bool] = self.broker.answer(_claim(worker).link, HEARTBEAT, running)
        return end

    def check(self) -> None:
        self.attempt.wait_until(time.monotonic() + 0.1)

    def silence(self, worker: str, seconds: float) -> None:
        heard = self.broker.last_heard
        link = _claim(worker).link
        heard[link] = heard.get(link, time.monotonic()) - seconds


def _claim(worker: str) -> ClaimRequest:
    return ClaimRequest(worker, f"host-of-{worker}", f"link-of-{worker}")


@pytest.fixture
def scene(bench: Bench) -> Scene:
    """An attempt that no worker has claimed."""
    return Scene(bench)


def test_a_check_during_the_first_claim_of_a_worker_finds_no_lost_worker(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scene.broker.hear

    def hear(link: str) -> None:
        scene.check()
        real(link)

    monkeypatch.setattr(scene.broker, "hear", hear)

    assert scene.claim("a") == ""


def test_an_attempt_is_claimed_once(scene: Scene) -> None:
    assert scene.claim("a") == ""

    assert [scene.claim("a"), scene.claim("b")] == ["it was claimed by worker a"] * 2
    assert [one.worker for one in scene.attempt.refused] == ["a", "b"]


def test_a_lost_attempt_accepts_no_claim_and_no_outcome(scene: Scene) -> None:
    scene.claim("a")
    scene.silence("a", SILENCE + 1)
    with pytest.raises(
        WorkerLost, match=r"^worker a on host-of-a was lost: it was not heard for \d+ s$"
    ):
        scene.attempt.wait()

    assert scene.claim("a") == "it is not to run any more"
    scene.report(1.0)
    with pytest.raises(WorkerLost):
        scene.attempt.wait()


def test_a_worker_that_the_scheduler_gave_up_is_lost_sooner(scene: Scene) -> None:
    scene.claim("a")
    scene.silence("a", 4.0)
    scene.check()  # the worker is not lost yet

    scene.attempt.give_up()

    with pytest.raises(WorkerLost, match=r"was not heard for \d+ s"):
        scene.attempt.wait()


def test_the_first_reported_outcome_counts(scene: Scene) -> None:
    scene.claim("a")
    scene.report(1.0)
    scene.report(2.0)
    scene.silence("a", SILENCE + 1)

    assert scene.attempt.wait().ended.usage.seconds == 1.0


def test_a_heartbeat_ends_the_silence_of_its_worker(scene: Scene) -> None:
    scene.claim("a")
    scene.silence("a", SILENCE + 1)
    scene.beat("a", scene.attempt.id)

    scene.check()


def test_a_heartbeat_that_does_not_name_an_attempt_loses_it(scene: Scene) -> None:
    scene.beat("a")  # before the claim
    scene.claim("a")
    scene.beat("a", scene.attempt.id)
    scene.beat("b")
    scene.check()

    scene.beat("a")

    with pytest.raises(WorkerLost, match=r"^worker a on host-of-a has lost it$"):
        scene.attempt.wait()


def test_a_closed_attempt_is_ended_on_its_worker(scene: Scene) -> None:
    scene.claim("a")
    scene.attempt.close()

    assert scene.beat("a", scene.attempt.id) == {scene.attempt.id: True}
    assert scene.claim("a") == "it is not to run any more"


def test_a_cancellation_is_sent_with_the_next_heartbeat_reply(scene: Scene) -> None:
    scene.claim("a")
    submission = scene.submission()
    submission.cancel(at_once=False, late=False)

    assert scene.beat("a", scene.attempt.id) == {scene.attempt.id: False}
    submission.cancel(at_once=True, late=False)
    assert scene.beat("a", scene.attempt.id) == {scene.attempt.id: True}
    assert scene.withdrawn == []

    submission.cancel(at_once=False, late=True)  # the cancellations had no effect

    failure = submission.result().failure
    assert failure is not None
    assert (failure.kind, scene.withdrawn) == ("interrupted", [True])


def test_an_attempt_cancelled_before_its_claim_cannot_be_claimed(scene: Scene) -> None:
    submission = scene.submission()

    submission.cancel(at_once=False, late=False)

    failure = submission.result().failure
    assert failure is not None
    assert (failure.kind, scene.withdrawn) == ("interrupted", [True])
    assert scene.claim("a") == "it is not to run any more"


def test_chunks_of_a_log_are_appended_and_other_files_refused(scene: Scene) -> None:
    log = Path(scene.attempt_context.log("s", "stdout") or "")
    log.write_bytes(b"of an earlier attempt")
    scene.claim("a")
    for at, data in ((0, b"abc"), (3, b"def")):
        scene.print(data, at)

    assert log.read_bytes() == b"abcdef"
    assert scene.print(b"", stream="artifacts/../x") == "nothing is kept of 'artifacts/../x'"


def test_a_request_that_is_executed_while_its_attempt_closes_has_ended_afterwards(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()

    def write(*_: object) -> None:
        begun.set()
        while not scene.attempt.is_closed:
            pass
        over.set()

    monkeypatch.setattr(scene.attempt.work, "answer", write)
    thread = threading.Thread(target=scene.print, args=(b"a",))
    thread.start()
    begun.wait()
    scene.attempt.close()

    assert over.is_set()
    assert scene.print(b"a") == "it is not to run any more"
    thread.join()


def test_a_worker_waits_for_follow_ups_until_it_is_released(scene: Scene) -> None:
    received: list[object] = []
    scene.claim("a")
    scene.report(1.0)
    scene.ask(FOLLOW_UP, None)(received.append)
    assert received == []

    scene.attempt.lose("the run is over")

    assert received == [None]
    scene.ask(FOLLOW_UP, None)(received.append)
    assert received == [None, None]


def test_each_follow_up_has_its_own_reply(scene: Scene) -> None:
    scene.claim("a")
    scene.report(1.0)

    def worker() -> None:
        reply = None
        for text in ("first", "second"):
            sent: queue.Queue[FollowUp] = queue.Queue()
            scene.ask(FOLLOW_UP, reply)(sent.put)
            assert sent.get().patterns == (text,)
            reply = FollowUpReply(error=text)
        scene.ask(FOLLOW_UP, reply)

    thread = threading.Thread(target=worker)
    thread.start()
    replies = [
        scene.attempt.run_follow_up(FollowUp(patterns=(text,))).error
        for text in ("first", "second")
    ]
    thread.join()

    assert replies == ["first", "second"]


EVENTS = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from("abc")),
    st.tuples(st.just("report"), st.integers(0, 9)),
    st.tuples(st.just("beat"), st.sampled_from("abc"), st.booleans()),
    st.tuples(st.just("dies"), st.sampled_from("abc")),
    st.tuples(st.sampled_from(["give up", "lose", "end", "late", "check", "close"])),
)


@given(events=st.lists(EVENTS, max_size=20))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=150,
)
def test_step_code_runs_at_most_once_and_has_one_outcome(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, events: list[tuple[Any, ...]]
) -> None:
    monkeypatch.setattr("pytest_orchestrator.addons.dask.broker._CHECK_INTERVAL", 0.0)
    scene = Scene(bench)
    runs: list[str] = []
    ends: set[str] = set()
    for event, *arguments in events:
        match event:
            case "claim":
                claimed = [] if scene.claim(arguments[0]) else arguments
                assert not (ends and claimed), "claimed after its outcome was reported"
                runs += claimed
            case "report" if runs:
                scene.report(arguments[0])
            case "beat":
                is_running = arguments[0] in runs and arguments[1]
                scene.beat(arguments[0], *[scene.attempt.id] * is_running)
            case "dies":
                scene.silence(arguments[0], SILENCE + 1)
            case "give up":
                scene.attempt.give_up()
            case "lose":
                scene.attempt.lose("no worker is left")
            case "end" | "late":
                scene.submission().cancel(at_once=False, late=event == "late")
            case "close" if ends:
                scene.attempt.close()
        ends |= _seen(scene.attempt)
    scene.attempt.lose("the run is over")
    ends |= _seen(scene.attempt, scene.attempt.wait)

    assert len(runs) <= 1
    assert len(ends) == 1


def _seen(attempt: RemoteAttempt, wait: Callable[[], object] | None = None) -> set[str]:
    """Return the outcome or the loss of an attempt; empty if it has not ended."""
    try:
        (wait or (lambda: attempt.wait_until(time.monotonic() + 0.001)))()
    except WorkerLost as lost:
        return {str(lost)}
    return set() if attempt.outcome is None else {str(attempt.outcome.ended.usage.seconds)}


def _reported(scene: Scene) -> None:
    scene.report(1.0)


def _silent(scene: Scene) -> None:
    scene.silence("a", SILENCE + 1)


def _unknown(scene: Scene) -> None:
    scene.beat("a")


def _given_up(scene: Scene) -> None:
    scene.silence("a", 4.0)
    scene.attempt.give_up()


def _not_responding(scene: Scene) -> None:
    scene.attempt.end(at_once=True)
    scene.attempt.lose("it was ended")


@pytest.mark.parametrize(
    ("end", "is_over"),
    [
        (_reported, True),
        (_silent, True),
        (_unknown, True),
        (_given_up, False),
        (_not_responding, False),
    ],
)
def test_locks_are_free_when_the_step_code_cannot_run_any_more(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Scene], None],
    *,
    is_over: bool,
) -> None:
    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 600.0)
    folder, stop = str(tmp_path / "locks"), threading.Event()
    held = locks.acquire(["psu"], run="r", step="s", folder=folder)
    assert held is not None
    bench.configure(lock_files=held.filenos())
    scene = Scene(bench)
    scene.claim("a")
    end(scene)

    scene.submission().result()
    (file,) = held.filenos()
    assert (lock_file.seconds_lost_attempt_may_run(file) > 0) is not is_over
    held.release()

    stop.set()
    again = locks.acquire(["psu"], run="r", step="s", folder=folder, stop=stop)
    assert (again is not None) is is_over
    if again is not None:
        again.release()


def test_a_worker_may_end_its_attempt_after_the_scheduler_is_lost(
    scene: Scene,
) -> None:
    lost = "the scheduler at tcp://bench-0:8786 was lost"
    scene.claim("a")

    def worker() -> None:
        while not scene.beat("a", scene.attempt.id):
            time.sleep(0.01)
        scene.report(1.0)

    thread = threading.Thread(target=worker)
    thread.start()
    scene.broker.cut_off = lambda: lost
    with pytest.raises(KeyboardInterrupt, match=lost):
        scene.submission().result()
    is_over = scene.attempt.is_over
    thread.join()

    assert is_over


def test_locks_are_kept_at_least_until_a_silent_worker_is_lost() -> None:
    assert lock_file.REMOTE_GRACE >= SILENCE
