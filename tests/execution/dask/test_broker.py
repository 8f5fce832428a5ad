"""A remote attempt is claimed once and has one outcome, in any sequence of events."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Reply, Request, refusal, wrong_token
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.core.result import Ended, Usage
from pytest_orchestrator.execution.dask.broker import AttemptBroker, RemoteAttempt, WorkerLost
from pytest_orchestrator.execution.dask.chunks import ChunkSender, send_rest
from pytest_orchestrator.execution.dask.messages import (
    CHUNK,
    CLAIM,
    FOLLOW_UP,
    FOLLOW_UP_REPLY,
    HEARTBEAT,
    NUMBERED,
    OUTCOME,
    SILENCE,
    Chunk,
    ClaimRequest,
    FollowUp,
    FollowUpReply,
    Heartbeat,
    HeartbeatReply,
    NumberedRequest,
    Outcome,
    SessionConfig,
    plain,
    read,
)
from pytest_orchestrator.execution.dask.submission import Submission
from pytest_orchestrator.execution.locks import lock_file, locks
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


class Door(Server):
    """Fake of a Context server: a table of tokens without a network."""

    address = "127.0.0.1:1"

    def __init__(self) -> None:
        self.tokens: dict[str, Callable[[Request], Reply]] = {}

    def admit(self, who: str, answer: Callable[[Request], Reply], token: str | None = None) -> str:
        assert token is not None
        self.tokens[token] = answer
        return token

    def end(self, token: str) -> None:
        self.tokens.pop(token, None)

    def ask(self, token: str, op: str, value: Any = None) -> Reply:
        answer = self.tokens.get(token)
        return refusal(wrong_token(), 0) if answer is None else answer(Request(op=op, value=value))


class Scene:
    """An attempt in a broker, and workers that send requests for it."""

    def __init__(self, bench: Bench) -> None:
        self.server = Door()
        self.broker = AttemptBroker(self.server, TERMS)
        self.step, self.attempt_context = bench.shell_step("true"), bench.attempt
        self.context = Context()
        self.attempt = self.broker.issue(self.step, self.context, self.attempt_context)
        self.token = self.attempt.token
        self.withdrawn: list[bool] = []
        self._numbers = itertools.count(2)  # the claim is number 1

    def ask(self, op: str, value: Any, client_id: str = "a1", number: int | None = None) -> Reply:
        """Send a numbered request, by default with the next number; return the reply to it."""
        number = next(self._numbers) if number is None else number
        numbered = NumberedRequest(client_id, number, Request(op=op, value=value))
        reply = self.server.ask(self.token, NUMBERED, plain(numbered))
        return read(reply.value, Reply) if reply.ok else reply

    def submission(self) -> Submission:
        return Submission(self.step, self.attempt_context, self.attempt, self)

    def withdraw(self) -> None:
        """Record that the task was cancelled, in place of a `Submitter`."""
        self.withdrawn.append(True)

    def follow(self, attempt: RemoteAttempt) -> None:
        """Do nothing: these attempts have no task."""

    def claim(self, worker: str, key: str = "1", last_heartbeat: int = 0) -> Reply:
        """Claim the attempt for a worker; the same worker and key repeat the request."""
        claim = _claim(worker, last_heartbeat)
        return self.ask(CLAIM, plain(claim), f"{worker}{key}", number=1)

    def report(self, seconds: float) -> Reply:
        return self.ask(OUTCOME, plain(Outcome(ended=Ended(usage=Usage(seconds=seconds)))))

    def print(self, data: bytes, at: int = 0, stream: str = "stdout") -> Reply:
        chunk = Chunk(self.attempt.id, stream, at, data)
        return self.ask(CHUNK, plain(chunk))

    def beat(self, worker: str, number: int, *running: str) -> HeartbeatReply:
        heartbeat = Heartbeat(_claim(worker).agent_id, number, running)
        reply = self.server.ask(self.broker.heartbeat_token, HEARTBEAT, plain(heartbeat))
        assert reply.ok, reply.error
        return read(reply.value, HeartbeatReply)

    def check(self) -> None:
        self.attempt.wait_until(time.monotonic() + 0.1)

    def silence(self, worker: str, seconds: float) -> None:
        heard = self.broker.last_heard
        agent_id = _claim(worker).agent_id
        heard[agent_id] = heard.get(agent_id, time.monotonic()) - seconds


def _claim(worker: str, last_heartbeat: int = 0) -> ClaimRequest:
    return ClaimRequest(worker, f"host-of-{worker}", f"agent-of-{worker}", last_heartbeat)


@pytest.fixture
def scene(bench: Bench) -> Scene:
    """An attempt that no worker has claimed."""
    return Scene(bench)


def test_a_check_during_the_first_claim_of_a_worker_finds_no_lost_worker(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scene.broker.hear

    def hear(agent_id: str) -> None:
        scene.check()
        real(agent_id)

    monkeypatch.setattr(scene.broker, "hear", hear)

    assert scene.claim("a").ok


def test_an_attempt_is_claimed_once_and_the_claim_may_be_repeated(scene: Scene) -> None:
    assert scene.claim("a").ok
    assert scene.claim("a").ok
    again, other = scene.claim("a", key="2"), scene.claim("b")

    assert [again.error, other.error] == ["it was claimed by worker a"] * 2
    assert [one.worker for one in scene.attempt.refused] == ["a", "b"]


def test_a_lost_attempt_accepts_no_claim_and_no_outcome(scene: Scene) -> None:
    scene.claim("a")
    scene.silence("a", SILENCE + 1)
    with pytest.raises(
        WorkerLost, match=r"^worker a on host-of-a was lost: it was not heard for \d+ s$"
    ):
        scene.attempt.wait()

    # The first reply to the claim was lost, so the worker repeats it.
    assert scene.claim("a").error == "it is not to run any more"
    assert scene.report(1.0).ok
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
    assert scene.report(1.0).ok
    assert scene.report(2.0).ok  # the reply to the first one was lost
    scene.silence("a", SILENCE + 1)

    assert scene.attempt.wait().ended.usage.seconds == 1.0


def test_a_heartbeat_ends_the_silence_of_its_worker(scene: Scene) -> None:
    scene.claim("a")
    scene.silence("a", SILENCE + 1)
    scene.beat("a", 1, scene.attempt.id)

    scene.check()


def test_a_heartbeat_sent_before_a_claim_does_not_lose_the_attempt(scene: Scene) -> None:
    scene.claim("a", last_heartbeat=7)

    scene.beat("a", 7)  # sent before the claim, and delayed by the network
    assert scene.report(1.0).ok
    assert scene.attempt.wait().ended.usage.seconds == 1.0


def test_a_heartbeat_that_does_not_name_an_attempt_loses_it(scene: Scene) -> None:
    scene.claim("a", last_heartbeat=7)
    scene.beat("a", 8, scene.attempt.id)
    scene.check()

    scene.beat("a", 9)

    with pytest.raises(WorkerLost, match=r"^worker a on host-of-a has lost it$"):
        scene.attempt.wait()


def test_a_closed_attempt_is_ended_on_its_worker(scene: Scene) -> None:
    scene.claim("a")
    scene.attempt.close()

    answer = scene.beat("a", 1, scene.attempt.id)

    assert answer.end == {scene.attempt.id: True}
    assert scene.claim("a").error == "the token is wrong or was not given"


def test_a_cancellation_is_sent_with_the_next_heartbeat_reply(scene: Scene) -> None:
    scene.claim("a")
    submission = scene.submission()
    submission.cancel(at_once=False, late=False)

    assert scene.beat("a", 1, scene.attempt.id).end == {scene.attempt.id: False}
    submission.cancel(at_once=True, late=False)
    assert scene.beat("a", 2, scene.attempt.id).end == {scene.attempt.id: True}
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
    assert scene.claim("a").error == "it is not to run any more"


def test_chunks_arrive_in_any_order_until_the_log_is_complete(
    scene: Scene,
) -> None:
    scene.claim("a")
    for at, data in ((3, b"def"), (0, b"abc"), (3, b"def")):
        assert scene.print(data, at).ok
    log = Path(scene.attempt_context.log("s", "stdout") or "")
    assert log.read_bytes() == b"abcdef"
    scene.report(1.0)

    assert scene.print(b"abc").ok  # a late chunk that is not masked

    log.write_bytes(b"******")
    assert scene.print(b"abc").ok
    assert log.read_bytes() == b"******"
    assert scene.print(b"", stream="artifacts/../x").error == (
        "nothing is kept of 'artifacts/../x'"
    )


def test_the_outcome_contains_the_last_bytes_of_a_log(scene: Scene) -> None:
    scene.claim("a")
    assert scene.print(b"abc").ok
    last = (Chunk(scene.attempt.id, "stdout", 3, b"def"),)
    outcome = Outcome(ended=Ended(usage=Usage(seconds=1.0)), chunks=last)

    assert scene.ask(OUTCOME, plain(outcome)).ok

    assert Path(scene.attempt_context.log("s", "stdout") or "").read_bytes() == b"abcdef"


def test_small_last_chunks_are_left_for_the_next_message(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * ((1 << 20) + 3))
    (tmp_path / "short").write_bytes(b"abc")
    sent: list[Chunk] = []
    files = [ChunkSender(name, str(tmp_path / name)) for name in ("long", "short", "none")]

    last_chunks = send_rest(files, "t", sent.append)

    assert [(one.stream, one.at, len(one.data)) for one in sent] == [("long", 0, 1 << 20)]
    assert last_chunks == (Chunk("t", "long", 1 << 20, b"xxx"), Chunk("t", "short", 0, b"abc"))
    assert send_rest(files, "t", sent.append) == last_chunks  # they are not acknowledged yet
    for file, chunk in zip(files, last_chunks, strict=False):
        file.acknowledge(chunk)
    assert send_rest(files, "t", sent.append) == ()
    assert len(sent) == 1


def test_a_worker_waits_for_follow_ups_until_it_is_released(scene: Scene) -> None:
    scene.claim("a")
    scene.report(1.0)
    scene.attempt.lose("the run is over")

    assert scene.ask(FOLLOW_UP, None).value is None


def test_a_repeated_reply_to_a_follow_up_does_not_answer_the_next_one(scene: Scene) -> None:
    scene.claim("a")
    scene.report(1.0)

    def answer(number: int, text: str) -> None:
        while not scene.ask(FOLLOW_UP, None).value:
            pass
        assert scene.ask(FOLLOW_UP_REPLY, plain(FollowUpReply(error=text)), "a2", number).ok

    def worker() -> None:
        answer(1, "first")
        answer(1, "first")  # the reply to this request was lost, so it is repeated
        answer(2, "second")

    thread = threading.Thread(target=worker)
    thread.start()
    replies = [scene.attempt.run_follow_up(FollowUp()).error for _ in range(2)]
    thread.join()

    assert replies == ["first", "second"]


EVENTS = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from("abc"), st.sampled_from("12")),
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
    monkeypatch.setattr("pytest_orchestrator.execution.dask.broker._CHECK_INTERVAL", 0.0)
    scene, last_heartbeat = Scene(bench), 0
    runs: set[tuple[str, str]] = set()
    ends: set[str] = set()
    for event, *arguments in events:
        match event:
            case "claim":
                reply = scene.claim(arguments[0], arguments[1], last_heartbeat)
                assert not (ends and reply.ok), "claimed after its outcome was reported"
                runs |= {tuple(arguments)} if reply.ok else set()
            case "report" if runs:
                scene.report(arguments[0])
            case "beat":
                last_heartbeat += 1
                claimed = {(arguments[0], key) for key in "12"} & runs
                running = [scene.attempt.id] if claimed and arguments[1] else []
                scene.beat(arguments[0], last_heartbeat, *running)
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
    scene.beat("a", 8)


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
    scene.claim("a", last_heartbeat=7)
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
        while not scene.beat("a", 1, scene.attempt.id).end:
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
