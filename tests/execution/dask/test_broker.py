"""A try of a step that runs elsewhere: claimed once, ended once, whatever happens meanwhile."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Reply, Request, refusal, wrong_token
from pytest_orchestrator.core.result import Ended, Usage
from pytest_orchestrator.execution.dask.broker import AttemptBroker, RemoteAttempt, WorkerLost
from pytest_orchestrator.execution.dask.chunks import ChunkSender, send_rest
from pytest_orchestrator.execution.dask.messages import (
    BEAT,
    CLAIM,
    DONE,
    NEXT,
    PIECE,
    SILENCE,
    Chunk,
    ClaimRequest,
    Heartbeat,
    HeartbeatReply,
    Outcome,
    SessionConfig,
    plain,
    read,
)
from pytest_orchestrator.execution.dask.submission import Submission
from pytest_orchestrator.execution.environment import Manner
from pytest_orchestrator.execution.locks import lock_file, locks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.execution.conftest import Bench

TERMS = SessionConfig(
    session="s",
    run="r",
    root="/",
    manner=Manner(cwd="/", sys_path=[], log_level=30),
    flags=(),
    hello={"arguments": []},
    timeout=None,
    stretch=1.0,
    max_log=1000,
    max_artifact=1000,
    capacity=1000,
    secret_names=(),
)


class Door:
    """Lets those in who have a token, without a network."""

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
    """A ticket at a desk, and workers who ask for it."""

    def __init__(self, bench: Bench) -> None:
        self.door = Door()
        self.desk = AttemptBroker(self.door, TERMS)
        self.step, self.env = bench.shell_step("true"), bench.env
        self.context = Context()
        self.ticket = self.desk.issue(self.step, self.context, self.env)
        self.token = self.ticket.token
        self.withdrawn: list[bool] = []

    def errand(self) -> Submission:
        return Submission(self.step, self.env, self.ticket, lambda: self.withdrawn.append(True))

    def claim(self, worker: str, key: str = "1", beats: int = 0) -> Reply:
        return self.door.ask(self.token, CLAIM, plain(_claim(worker, key, beats)))

    def tell(self, seconds: float) -> Reply:
        outcome = Outcome(ended=Ended(usage=Usage(seconds=seconds)))
        return self.door.ask(self.token, DONE, plain(outcome))

    def print(self, data: bytes, at: int = 0, stream: str = "stdout") -> Reply:
        piece = Chunk(self.ticket.id, stream, at, data)
        return self.door.ask(self.token, PIECE, plain(piece))

    def beat(self, worker: str, number: int, *running: str) -> HeartbeatReply:
        pulse = self.desk.stay(_claim(worker)).token
        reply = self.door.ask(pulse, BEAT, plain(Heartbeat(number, running)))
        assert reply.ok, reply.error
        return read(reply.value, HeartbeatReply)

    def look(self) -> None:
        self.ticket.wait_until(time.monotonic() + 0.1)

    def silence(self, worker: str, seconds: float) -> None:
        self.desk.stay(_claim(worker)).heard -= seconds


def _claim(worker: str, key: str = "1", beats: int = 0) -> ClaimRequest:
    return ClaimRequest(worker, f"host-of-{worker}", f"stay-of-{worker}", key, beats)


@pytest.fixture
def scene(bench: Bench) -> Scene:
    """A ticket that nobody has claimed."""
    return Scene(bench)


def test_whoever_looks_while_a_new_worker_claims_it_takes_nobody_for_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scene.desk.stay

    def stay(claim: ClaimRequest) -> Any:
        scene.look()
        return real(claim)

    monkeypatch.setattr(scene.desk, "stay", stay)

    assert scene.claim("a").ok


def test_it_is_claimed_once_and_whoever_did_not_hear_so_may_ask_again(scene: Scene) -> None:
    assert scene.claim("a").ok
    assert scene.claim("a").ok
    again, other = scene.claim("a", key="2"), scene.claim("b")

    assert [again.error, other.error] == ["it was claimed by worker a"] * 2
    assert [one.worker for one in scene.ticket.refused] == ["a", "b"]


def test_what_was_told_to_be_lost_is_neither_claimed_nor_ended_any_more(scene: Scene) -> None:
    scene.claim("a")
    scene.silence("a", SILENCE + 1)
    with pytest.raises(
        WorkerLost, match=r"^worker a on host-of-a was lost: it was not heard for \d+ s$"
    ):
        scene.ticket.wait()

    assert scene.claim("a").error == "it is not to run any more"  # it has got no answer until now
    assert scene.tell(1.0).ok
    with pytest.raises(WorkerLost):
        scene.ticket.wait()


def test_a_scheduler_that_gave_its_worker_up_makes_the_wait_short(scene: Scene) -> None:
    scene.claim("a")
    scene.silence("a", 4.0)
    scene.look()  # it may come back

    scene.ticket.give_up()

    with pytest.raises(WorkerLost, match=r"was not heard for \d+ s"):
        scene.ticket.wait()


def test_the_first_end_that_is_told_counts(scene: Scene) -> None:
    scene.claim("a")
    assert scene.tell(1.0).ok
    assert scene.tell(2.0).ok  # it has not heard the answer
    scene.silence("a", SILENCE + 1)

    assert scene.ticket.wait().ended.usage.seconds == 1.0


def test_a_beat_from_before_a_claim_does_not_lose_it(scene: Scene) -> None:
    scene.claim("a", beats=7)

    scene.beat("a", 7)  # made before, and held up by the network
    assert scene.tell(1.0).ok
    assert scene.ticket.wait().ended.usage.seconds == 1.0


def test_a_process_that_does_not_know_of_it_has_lost_it(scene: Scene) -> None:
    scene.claim("a", beats=7)
    scene.beat("a", 8, scene.ticket.id)
    scene.look()

    scene.beat("a", 9)

    with pytest.raises(WorkerLost, match=r"^worker a on host-of-a has lost it$"):
        scene.ticket.wait()


def test_what_nobody_waits_for_is_ended_where_it_runs(scene: Scene) -> None:
    scene.claim("a")
    scene.ticket.close()

    answer = scene.beat("a", 1, scene.ticket.id)

    assert answer.end == {scene.ticket.id: True}
    assert scene.claim("a").error == "the token is wrong or was not given"


def test_an_end_that_is_wanted_goes_with_the_next_beat(scene: Scene) -> None:
    scene.claim("a")
    errand = scene.errand()
    errand.cancel(at_once=False, late=False)

    assert scene.beat("a", 1, scene.ticket.id).end == {scene.ticket.id: False}
    errand.cancel(at_once=True, late=False)
    assert scene.beat("a", 2, scene.ticket.id).end == {scene.ticket.id: True}
    assert scene.withdrawn == []

    errand.cancel(at_once=False, late=True)  # it does not hear

    failure = errand.result().failure
    assert failure is not None
    assert (failure.kind, scene.withdrawn) == ("interrupted", [True])


def test_what_is_ended_before_its_claim_is_not_claimed(scene: Scene) -> None:
    errand = scene.errand()

    errand.cancel(at_once=False, late=False)

    failure = errand.result().failure
    assert failure is not None
    assert (failure.kind, scene.withdrawn) == ("interrupted", [True])
    assert scene.claim("a").error == "it is not to run any more"


def test_pieces_come_in_any_order_and_none_once_the_log_is_whole(
    scene: Scene,
) -> None:
    scene.claim("a")
    for at, data in ((3, b"def"), (0, b"abc"), (3, b"def")):
        assert scene.print(data, at).ok
    log = Path(scene.env.log("s", "stdout") or "")
    assert log.read_bytes() == b"abcdef"
    scene.tell(1.0)

    assert scene.print(b"abc").ok  # from before it was masked

    log.write_bytes(b"******")
    assert scene.print(b"abc").ok
    assert log.read_bytes() == b"******"
    assert scene.print(b"", stream="artifacts/../x").error == (
        "nothing is kept of 'artifacts/../x'"
    )


def test_the_last_bytes_of_a_log_come_with_its_end(scene: Scene) -> None:
    scene.claim("a")
    assert scene.print(b"abc").ok
    last = (Chunk(scene.ticket.id, "stdout", 3, b"def"),)
    outcome = Outcome(ended=Ended(usage=Usage(seconds=1.0)), pieces=last)

    assert scene.door.ask(scene.token, DONE, plain(outcome)).ok

    assert Path(scene.env.log("s", "stdout") or "").read_bytes() == b"abcdef"


def test_of_files_that_grow_no_more_the_last_few_bytes_are_kept_back(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * ((1 << 20) + 3))
    (tmp_path / "short").write_bytes(b"abc")
    sent: list[Chunk] = []
    files = [ChunkSender(name, str(tmp_path / name)) for name in ("long", "short", "none")]

    few = send_rest(files, "t", sent.append)

    assert [(one.stream, one.at, len(one.data)) for one in sent] == [("long", 0, 1 << 20)]
    assert few == (Chunk("t", "long", 1 << 20, b"xxx"), Chunk("t", "short", 0, b"abc"))
    assert send_rest(files, "t", sent.append) == few  # nobody has said that they arrived
    for file, piece in zip(files, few, strict=False):
        file.told(piece)
    assert send_rest(files, "t", sent.append) == ()
    assert len(sent) == 1


def test_a_worker_waits_for_orders_until_it_may_go(scene: Scene) -> None:
    scene.claim("a")
    scene.tell(1.0)
    scene.ticket.lose("the run is over")

    assert scene.door.ask(scene.token, NEXT).value is None


EVENTS = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from("abc"), st.sampled_from("12")),
    st.tuples(st.just("tell"), st.integers(0, 9)),
    st.tuples(st.just("beat"), st.sampled_from("abc"), st.booleans()),
    st.tuples(st.just("dies"), st.sampled_from("abc")),
    st.tuples(st.sampled_from(["give up", "lose", "end", "late", "look", "close"])),
)


@given(events=st.lists(EVENTS, max_size=20))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=150,
)
def test_a_body_runs_once_at_most_and_ends_in_one_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, events: list[tuple[Any, ...]]
) -> None:
    monkeypatch.setattr("pytest_orchestrator.execution.dask.broker.LONG_POLL", 0.0)
    monkeypatch.setattr("pytest_orchestrator.execution.dask.broker._LOOK", 0.0)
    scene, beats = Scene(bench), 0
    bodies: set[tuple[str, str]] = set()
    ends: set[str] = set()
    for what, *about in events:
        match what:
            case "claim":
                reply = scene.claim(about[0], about[1], beats)
                assert not (ends and reply.ok), "claimed after its end was told"
                bodies |= {tuple(about)} if reply.ok else set()
            case "tell" if bodies:
                scene.tell(about[0])
            case "beat":
                beats += 1
                known = {(about[0], key) for key in "12"} & bodies
                running = [scene.ticket.id] if known and about[1] else []
                scene.beat(about[0], beats, *running)
            case "dies":
                scene.silence(about[0], SILENCE + 1)
            case "give up":
                scene.ticket.give_up()
            case "lose":
                scene.ticket.lose("nobody is left")
            case "end" | "late":
                scene.errand().cancel(at_once=False, late=what == "late")
            case "close" if ends:
                scene.ticket.close()
        ends |= _seen(scene.ticket)
    scene.ticket.lose("the run is over")
    ends |= _seen(scene.ticket, scene.ticket.wait)

    assert len(bodies) <= 1
    assert len(ends) == 1


def _seen(ticket: RemoteAttempt, wait: Callable[[], object] | None = None) -> set[str]:
    """Look once at how it ended; nothing where that is not known."""
    try:
        (wait or (lambda: ticket.wait_until(time.monotonic() + 0.001)))()
    except WorkerLost as lost:
        return {str(lost)}
    return set() if ticket.outcome is None else {str(ticket.outcome.ended.usage.seconds)}


def _told(scene: Scene) -> None:
    scene.tell(1.0)


def _silent(scene: Scene) -> None:
    scene.silence("a", SILENCE + 1)


def _unknown(scene: Scene) -> None:
    scene.beat("a", 8)


def _given_up(scene: Scene) -> None:
    scene.silence("a", 4.0)
    scene.ticket.give_up()


def _does_not_hear(scene: Scene) -> None:
    scene.ticket.end(at_once=True)
    scene.ticket.lose("it was ended")


@pytest.mark.parametrize(
    ("end", "is_over"),
    [(_told, True), (_silent, True), (_unknown, True), (_given_up, False), (_does_not_hear, False)],
)
def test_its_locks_are_free_once_nothing_of_its_body_can_run(
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
    bench.surroundings(locks=held.filenos())
    scene = Scene(bench)
    scene.claim("a", beats=7)
    end(scene)

    scene.errand().result()
    (file,) = held.filenos()
    assert (lock_file.seconds_lost_attempt_may_run(file) > 0) is not is_over
    held.release()

    stop.set()
    again = locks.acquire(["psu"], run="r", step="s", folder=folder, stop=stop)
    assert (again is not None) is is_over
    if again is not None:
        again.release()


def test_a_worker_is_waited_for_that_ends_a_body_though_the_scheduler_is_lost(
    scene: Scene,
) -> None:
    lost = "the scheduler at tcp://bench-0:8786 was lost"
    scene.claim("a")

    def worker() -> None:
        while not scene.beat("a", 1, scene.ticket.id).end:
            pass
        scene.tell(1.0)

    thread = threading.Thread(target=worker)
    thread.start()
    scene.desk.cut_off = lambda: lost
    with pytest.raises(KeyboardInterrupt, match=lost):
        scene.errand().result()
    is_over = scene.ticket.is_over
    thread.join()

    assert is_over


def test_who_is_gone_for_good_is_silent_for_no_longer_than_its_locks_are_kept() -> None:
    assert lock_file.REMOTE_GRACE >= SILENCE
