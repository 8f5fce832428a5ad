"""The channel between a session and a monitor: questions, answers, hostile clients, broken ends."""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_orchestrator.core.questions import Answer, Asked, NoAnswer, Question
from pytest_orchestrator.plugin.questions import session as questions
from pytest_orchestrator.plugin.questions.queue import OpenQuestion, QuestionQueue
from pytest_orchestrator.plugin.questions.session import QuestionChannel
from pytest_orchestrator.runs.operator import channel
from pytest_orchestrator.runs.operator.channel import (
    FILE,
    Answering,
    ChannelClosed,
    Look,
    Reply,
    request,
)

FIELDS = {"serial": {"pattern": r"SN\d+"}, "volts": {"type": "number", "max": 30, "unit": "V"}}


class Session:
    """A session that waits for a person, without pytest.

    Attributes:
        folder: The run folder.
        queue: The queue of its questions.
        channel: The server of the questions.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.queue = QuestionQueue(lambda _: None, lambda _turn, _one: None)
        self.channel = QuestionChannel(self.queue, folder, lambda text: text.replace("pw", "***"))

    def ask(self, **question: Any) -> OpenQuestion:
        """Ask a question that the channel serves."""
        content = msgspec.convert({"message": "The pw?", **question}, Question)
        asked = Asked(recipe="x.yaml", step="inspect", node="x.yaml::inspect", question=content)
        posted = self.queue.post(asked, bool, time.monotonic() + 60)
        self.channel.open()
        return posted

    def forgets(self, question: OpenQuestion) -> None:
        """End a question, and wait until the channel is closed."""
        question.refuse("over")
        self.queue.forget(question)
        self.closed()

    def closed(self) -> None:
        """Wait until the channel is closed."""
        while (self.folder / FILE).exists():
            time.sleep(0.005)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Return a session, whose channel is closed at the end."""
    made = Session(tmp_path / "20261125T101502Z-7f3a")
    yield made
    made.channel.close()


def answering(nonce: str, **changed: Any) -> Answering:
    """Return a valid answer but for the named parts."""
    lines = {"serial": " SN12 ", "volts": "5.02 V"}
    valid: dict[str, Any] = {"lines": lines, "button": "continue", "who": " Ann  B. "}
    return Answering(nonce=nonce, **valid | changed)


def test_steps_that_ask_at_the_same_time_share_the_questions_of_their_session(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, seen = threading.Barrier(2), queue.SimpleQueue[Any]()

    def made(_: pytest.Config) -> object:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # a second thread that makes them too breaks through here
        return object()

    monkeypatch.setattr(questions, "SessionQuestions", made)
    monkeypatch.setattr(questions, "_KEY", pytest.StashKey[Any]())
    for _ in range(2):
        threading.Thread(target=lambda: seen.put(questions.questions_of(pytestconfig))).start()
    assert seen.get() is seen.get()


def test_a_monitor_sees_the_open_question_and_answers_it(session: Session) -> None:
    asked = session.ask(fields=FIELDS)

    (shown,) = request(session.folder, Look()).questions
    assert (shown.nonce, shown.asked.step) == (asked.nonce, "inspect")
    assert shown.asked.question.message == "The ***?"
    assert [*shown.asked.question.fields] == ["serial", "volts"]
    assert 50 < (shown.seconds_left or 0) < 61
    assert request(session.folder, answering(shown.nonce)) == Reply()

    answer = asked.outcome
    assert isinstance(answer, Answer)
    assert (answer.values, answer.button) == ({"serial": "SN12", "volts": 5.02}, "continue")
    assert (answer.who, answer.where) == ("Ann B.", "page")


def test_an_answer_that_violates_rules_is_refused_with_the_sentences_of_the_terminal(
    session: Session,
) -> None:
    asked = session.ask(fields=FIELDS, buttons=["pass", "fail"])
    wrong = answering(asked.nonce, lines={"serial": "12", "volts": "1e3"}, button="ok", who=" ")

    assert request(session.folder, wrong).problems == {
        "serial": r"should match SN\d+",
        "volts": "should be at most 30 V",
        "button": "should be pass or fail",
        "who": "should not be empty",
    }
    empty = answering(asked.nonce, lines={}, button="pass", who="a\x1b[31m")
    assert request(session.folder, empty).problems == {
        "serial": "should not be empty",
        "volts": "should not be empty",
        "who": "should be a name of at most 200 characters",
    }
    assert not asked.is_over


def test_an_answer_without_the_nonce_of_an_open_question_is_refused(session: Session) -> None:
    first, second = session.ask(fields=FIELDS), session.ask(fields=FIELDS)
    request(session.folder, answering(first.nonce))

    refusals = [
        request(session.folder, answering(nonce)).refusal
        for nonce in ("", "guess", "é", first.nonce, second.nonce[:-1])
    ]
    ended = "the question is not open any more"
    answered = "the question was already answered by Ann B. on the operator page"
    assert refusals == [ended, ended, ended, answered, ended]
    session.queue.forget(first)
    assert request(session.folder, answering(first.nonce)).refusal == answered
    assert not second.is_over


def test_one_answer_wins(session: Session) -> None:
    asked, start = session.ask(), threading.Barrier(4)
    replies: list[Reply] = []

    def answer(who: str) -> None:
        start.wait()
        replies.append(
            request(session.folder, Answering(nonce=asked.nonce, who=who, button="continue"))
        )

    threads = [threading.Thread(target=answer, args=(f"operator {n}",)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    winner = asked.wait()
    assert sorted(reply.refusal for reply in replies) == [
        "",
        *[f"the question was already answered by {winner.who} on the operator page"] * 3,
    ]


def test_the_default_of_a_secret_field_is_not_sent(session: Session) -> None:
    session.ask(fields={"pin": {"secret": True, "default": "hunter2"}})
    (shown,) = request(session.folder, Look()).questions
    assert shown.asked.question.fields["pin"].default == "***"


def test_socket_file_and_thread_exist_only_while_a_question_is_open(session: Session) -> None:
    with pytest.raises(ChannelClosed, match="the session waits for no person"):
        request(session.folder, Look())
    for asked in (session.ask() for _ in range(2)):
        address = json.loads((session.folder / FILE).read_text())
        assert (session.folder / FILE).stat().st_mode & 0o777 == 0o600
        assert Path(address["socket"]).parent.stat().st_mode & 0o777 == 0o700
        session.forgets(asked)
        assert not Path(address["socket"]).parent.exists()
        with pytest.raises(NoAnswer):
            asked.wait()


@pytest.mark.parametrize("line", [b"", b"{", b"{}\n", b'{"type":"stop"}\n', b"\xff\n"])
def test_a_client_that_sends_no_request_harms_nothing(line: bytes, session: Session) -> None:
    session.ask()
    address = json.loads((session.folder / FILE).read_text())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address["socket"])
        client.sendall(line)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    assert len(request(session.folder, Look()).questions) == 1


def test_a_line_without_end_is_bounded(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MAX_LINE", 1000)
    session.ask()
    address = json.loads((session.folder / FILE).read_text())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address["socket"])
        with pytest.raises(ConnectionError):
            client.sendall(b"x" * 100_000_000)


def _replaced(change: Callable[[Path], object]) -> Callable[[Session], object]:
    return lambda session: change(session.folder / FILE)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_replaced(lambda file: file.chmod(0o644)), "can be changed by other users"),
        (_replaced(lambda file: file.write_text("{}")), "names no socket"),
        (_replaced(lambda file: file.write_text('{"socket": "/x", "pid": 1}')), "does not answer"),
        (_replaced(Path.unlink), "waits for no person"),
    ],
)
def test_a_file_that_names_no_socket_of_this_session_is_refused(
    change: Callable[[Session], object], error: str, session: Session
) -> None:
    session.ask()
    change(session)
    with pytest.raises(ChannelClosed, match=error):
        request(session.folder, Look())


def test_the_socket_of_another_process_or_run_gets_no_answer(
    session: Session, tmp_path: Path
) -> None:
    session.ask()
    address = json.loads((session.folder / FILE).read_text())
    copy = tmp_path / "copied"
    copy.mkdir()
    (copy / FILE).write_text(json.dumps(address))
    (copy / FILE).chmod(0o600)
    with pytest.raises(ChannelClosed, match="belongs to another run"):
        request(copy, Look())
    (copy / FILE).write_text(json.dumps(address | {"pid": 1}))
    with pytest.raises(ChannelClosed, match="another process listens"):
        request(copy, Look())


def test_a_killed_session_leaves_a_socket_at_which_nothing_answers(session: Session) -> None:
    session.ask()
    address = json.loads((session.folder / FILE).read_text())
    session.channel.close()
    (session.folder / FILE).write_text(json.dumps(address))  # as SIGKILL leaves it
    (session.folder / FILE).chmod(0o600)
    with pytest.raises(ChannelClosed, match="the session does not answer"):
        request(session.folder, Look())
    session.channel.open()  # a new session of this process
    assert len(request(session.folder, Look()).questions) == 1


def test_a_session_without_a_folder_for_the_address_has_no_channel(tmp_path: Path) -> None:
    made = Session(tmp_path / "run")
    made.folder.rmdir()
    with pytest.raises(OSError, match="No such file"):
        made.ask()
    made.channel.close()
