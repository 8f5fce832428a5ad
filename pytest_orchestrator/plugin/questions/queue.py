"""Queue of the questions that wait for a person, also those of workers; one is shown at a time."""

import getpass
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_orchestrator.core.questions import BUTTON, Answer, Asked, NoAnswer, Question, Where
from pytest_orchestrator.core.typed_fields import EMPTY, value_of_line
from pytest_orchestrator.execution.interruptible import InterruptibleEvent

if TYPE_CHECKING:
    from pytest_orchestrator.context.rpc.xdist import Ask, SharedContext
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.execution.attempt_context import PendingQuestion


_LOOK = 0.1
"""Seconds after which a thread that waits for an answer looks whether its step has ended."""

_REMEMBERED = 16
"""Ended questions of which a late answer learns who answered them."""

_MAX_NAME = 200
"""Highest number of characters of the name of an operator."""


class WrongAnswer(ValueError):
    """Error: an answer of the operator page violates rules.

    Attributes:
        problems: The rule that is violated, by the name of the field, ``button`` or ``who``.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"'{name}' {rule}" for name, rule in problems.items()))
        self.problems = problems


class OpenQuestion:
    """Question in the queue, until it has an answer or a reason why it gets none. Thread-safe.

    Attributes:
        number: Number of the question in the session, from 1.
        asked: The question and its step.
        deadline: Time of ``time.monotonic`` at which the step times out; None if it never does.
        nonce: Secret number of the question, with which the operator page answers it.

    Args:
        number: Number of the question in the session.
        asked: The question and its step.
        is_withdrawn: Function that returns True once the step ends without the answer.
        deadline: Time of ``time.monotonic`` at which the step times out; None if it never does.
    """

    def __init__(
        self,
        number: int,
        asked: Asked,
        is_withdrawn: Callable[[], bool] = bool,
        deadline: float | None = None,
    ) -> None:
        self.number, self.asked = number, asked
        self.nonce = secrets.token_urlsafe(16)
        self._is_withdrawn, self.deadline = is_withdrawn, deadline
        self._lock = threading.Lock()
        self._over = InterruptibleEvent()
        self._answer: Answer | None = None
        self._refusal = ""

    @property
    def is_over(self) -> bool:
        """True if the question has an answer or gets none."""
        if not self._over.is_set():
            if self._is_withdrawn():
                self.refuse("the step was ended")
            elif self.deadline is not None and time.monotonic() >= self.deadline:
                self.refuse("the time of the step is over")
        return self._over.is_set()

    @property
    def outcome(self) -> Answer | str:
        """The answer, or the reason why there is none; empty while the question is open."""
        return self._answer or self._refusal

    def answer(self, answer: Answer) -> bool:
        """Set the answer; return False if the question is over, which keeps its outcome."""
        return self._end(answer, "")

    def refuse(self, reason: str) -> None:
        """End the question without an answer, unless it is over."""
        self._end(None, reason)

    def _end(self, answer: Answer | None, refusal: str) -> bool:
        with self._lock:
            if self._over.is_set():
                return False
            self._answer, self._refusal = answer, refusal
            self._over.set()
            return True

    def wait(self, look: Callable[[], object] = bool) -> Answer:
        """Wait for the answer.

        Args:
            look: Function that is called ten times a second and may end the question.

        Raises:
            NoAnswer: The question gets no answer; the text is the reason.
        """
        while not self.is_over:
            look()
            self._over.wait(_LOOK)
        if self._answer is None:
            raise NoAnswer(self._refusal)
        return self._answer


class QuestionQueue:
    """Open questions of a session, in the order in which they were asked. Thread-safe.

    Args:
        present: Function that has a person answer a question; it must end each question. It is
            called as `run_in_turn` decides.
        run_in_turn: Function that calls `present` for one question after another, at once or in
            another thread.
    """

    def __init__(
        self,
        present: Callable[[OpenQuestion], object],
        run_in_turn: Callable[[Callable[[OpenQuestion], None], OpenQuestion], None],
    ) -> None:
        self._present, self._run_in_turn = present, run_in_turn
        self._lock = threading.Lock()
        self._open: dict[int, OpenQuestion] = {}
        self._count = 0
        self._closed = ""
        self._ended: dict[str, OpenQuestion] = {}

    @property
    def open(self) -> tuple[OpenQuestion, ...]:
        """The open questions; the first one is shown."""
        with self._lock:
            return tuple(self._open.values())

    def ask(
        self,
        asked: Asked,
        is_withdrawn: Callable[[], bool] = bool,
        deadline: float | None = None,
    ) -> Answer:
        """Ask a question and wait for the answer.

        Raises:
            NoAnswer: The question gets no answer.
        """
        question = self.post(asked, is_withdrawn, deadline)
        try:
            return question.wait()
        finally:
            question.refuse("the step was ended")
            self.forget(question)

    def post(
        self,
        asked: Asked,
        is_withdrawn: Callable[[], bool] = bool,
        deadline: float | None = None,
    ) -> OpenQuestion:
        """Add a question to the queue, and return it; `forget` removes it."""
        with self._lock:
            self._count += 1
            question = OpenQuestion(self._count, asked, is_withdrawn, deadline)
            self._open[question.number] = question
        if self._closed:
            question.refuse(self._closed)
        else:
            self._run_in_turn(self._turn, question)
        return question

    def forget(self, question: OpenQuestion) -> None:
        """Remove a question from the queue."""
        with self._lock:
            if self._open.pop(question.number, None) is not None:
                self._ended[question.nonce] = question
            while len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]

    def close(self, reason: str) -> None:
        """End all questions without an answer, also those that are asked later."""
        self._closed = self._closed or reason
        for question in self.open:
            question.refuse(self._closed)

    def reply(self, nonce: str, lines: Mapping[str, str], button: str, who: str) -> None:
        """Answer a question from the operator page.

        Args:
            nonce: The nonce of the question.
            lines: The line that was typed into each of its fields, by name.
            button: The button.
            who: Name of the operator.

        Raises:
            LookupError: No question has the nonce, or it is not open any more.
            WrongAnswer: The answer violates rules.
        """
        question = next((one for one in self.open if _is_of(one, nonce)), None)
        if question is None or question.is_over:
            raise LookupError(self._too_late(question, nonce))
        answer = answer_now(*_checked(question.asked.question, lines, button, who))
        if not question.answer(answer):
            raise LookupError(self._too_late(question, nonce))

    def _too_late(self, question: OpenQuestion | None, nonce: str) -> str:
        with self._lock:
            ended = [*self._ended.values()]
        question = question or next((one for one in ended if _is_of(one, nonce)), None)
        outcome = "" if question is None else question.outcome
        if isinstance(outcome, Answer):
            where = "at the terminal" if outcome.where == "terminal" else "on the operator page"
            return f"the question was already answered by {outcome.who} {where}"
        return f"the question is not open any more{outcome and f': {outcome}'}"

    def _turn(self, question: OpenQuestion) -> None:
        """Have a person answer a question whose turn it is."""
        if question.is_over:
            return
        if self._closed:
            question.refuse(self._closed)
            return
        try:
            self._present(question)
        except KeyboardInterrupt as end:
            self.close(f"no question is asked after {str(end) or 'Ctrl-C'}")
            raise
        finally:
            question.refuse("the form was ended")


def _is_of(question: OpenQuestion, nonce: str) -> bool:
    return secrets.compare_digest(question.nonce.encode(), nonce.encode(errors="replace"))


def _checked(
    question: Question, lines: Mapping[str, str], button: str, who: str
) -> "tuple[dict[str, Json], str, Where, str]":
    """Return the values, the button, the place and the name of an answer of the operator page.

    Raises:
        WrongAnswer: The answer violates rules.
    """
    values: dict[str, Json] = {}
    problems = dict.fromkeys(lines.keys() - question.fields, "is no field of the question")
    for name, field in question.fields.items():
        try:
            values[name] = value_of_line(field, lines.get(name, ""))
        except ValueError as error:
            problems[name] = str(error)
    if button not in question.buttons:
        problems[BUTTON] = f"should be {' or '.join(question.buttons)}"
    who = " ".join(who.split())
    if not who:
        problems["who"] = EMPTY
    elif len(who) > _MAX_NAME or not who.isprintable():
        problems["who"] = f"should be a name of at most {_MAX_NAME} characters"
    if problems:
        raise WrongAnswer(problems)
    return values, button, "page", who


def missing(asked: Asked) -> str:
    """Return the end of a sentence that names the missing answers and how to give them."""
    question, names = asked.question, asked.wanted
    step = asked.step if asked.element is None else f"{asked.step}[{asked.element}]"
    shown = ", ".join(f"{step}.{name}" for name in names)
    hidden = {name for name, field in question.fields.items() if field.secret}
    plain = next((name for name in names if name not in hidden), "")
    cure = f"--recipe-answer {step}.{plain}=VALUE, or " if plain else ""
    return f"missing {'answers' if names[1:] else 'answer'}: {shown} ({cure}--recipe-answers FILE)"


def answer_now(values: "dict[str, Json]", button: str, where: Where, who: str = "") -> Answer:
    """Return an answer with the present time, by a name or by the user of this process."""
    when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Answer(values=values, button=button, where=where, who=who or user(), when=when)


def user() -> str:
    """Return the name of the user of this process; its id if it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        import os

        return str(os.getuid())


QUESTION, ANSWER, ANSWERED = "question", "answer", "answered"
"""Requests of a worker: ask a question, look for its answer, forget the question."""

_POLL = 0.05
"""Seconds after which a worker looks for an answer again."""

_LEASE = 10.0
"""Seconds without a request of the worker after which its question is withdrawn."""


def answer_of_controller(
    context: "SharedContext", asked: "Asked", pending: "PendingQuestion"
) -> "Answer":
    """Have the controller ask a person, and wait for the answer.

    The worker looks for the answer again and again, so that other threads can send requests
    meanwhile, and the controller notices if the worker dies.

    Args:
        context: The Context of the session.
        asked: The question with its step.
        pending: The question as the step asks it.

    Raises:
        NoAnswer: The question gets no answer.
    """
    left = None if pending.deadline is None else pending.deadline - time.monotonic()
    number = context.request(QUESTION, {"asked": msgspec.to_builtins(asked), "seconds": left})
    try:
        while not pending.is_withdrawn():
            answer, refusal = context.request(ANSWER, number)
            if refusal:
                raise NoAnswer(refusal)
            if answer is not None:
                return msgspec.convert(answer, Answer)
            time.sleep(_POLL)
        raise NoAnswer("the step was ended")
    finally:
        context.request(ANSWERED, number)


class WorkerQuestions:
    """Handlers of the requests by which workers ask questions.

    Args:
        queue: Function that returns the queue of the controller.
    """

    def __init__(self, queue: Callable[[], QuestionQueue]) -> None:
        self._queue = queue
        self._open: dict[int, OpenQuestion] = {}
        self._seen: dict[int, float] = {}

    @property
    def handlers(self) -> "dict[str, Ask]":
        """The handlers, by the name of the request."""
        return {QUESTION: self._ask, ANSWER: self._answer, ANSWERED: self._forget}

    def _ask(self, request: dict[str, Any]) -> int:
        """Add a question to the queue; return its number."""
        asked = msgspec.convert(request["asked"], Asked)
        left = request["seconds"]
        deadline = None if left is None else time.monotonic() + left
        number = 0

        def is_withdrawn() -> bool:
            return time.monotonic() - self._seen.get(number, time.monotonic()) > _LEASE

        question = self._queue().post(asked, is_withdrawn, deadline)
        number = question.number
        self._open[number], self._seen[number] = question, time.monotonic()
        return number

    def _answer(self, number: int) -> tuple[Any, str]:
        """Return the answer, or null, and the reason why there is none, or an empty text."""
        self._seen[number] = time.monotonic()
        question = self._open[number]
        outcome = question.outcome if question.is_over else ""
        if isinstance(outcome, Answer):
            return msgspec.to_builtins(outcome), ""
        return None, outcome

    def _forget(self, number: int) -> None:
        question = self._open.pop(number)
        self._seen.pop(number)
        question.refuse("the step was ended")
        self._queue().forget(question)
