"""Queue of the questions that wait for a person; one question is shown at a time."""

import getpass
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_orchestrator.core.questions import Answer, NoAnswer, Question, Where
from pytest_orchestrator.core.typed_fields import value_of_json

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json

_LOOK = 0.1
"""Seconds after which a thread that waits for an answer looks whether its step has ended."""

PAGE_LEASE = 5.0
"""Seconds for which an operator page counts as connected after its last request."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Question with the step that asks it.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        node: Node id of the step.
        cell: The cell of the recipe's matrix; empty without one.
        dut: The device under test; empty if the recipe names none.
        attempt: Number of the attempt, from 1.
        element: Index of the element of ``foreach``, from 0; None for a step without it.
        question: The question, with the fields that are still to be answered.
        wanted: Names of the answers that are still missing.
    """

    recipe: str
    step: str
    node: str
    cell: str = ""
    dut: str = ""
    attempt: int = 1
    element: int | None = None
    question: Question
    wanted: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """One line that says which step asks, and for which DUT."""
        path = self.recipe.removesuffix(f"[{self.cell}]") if self.cell else self.recipe
        parts = [path, f"DUT {self.dut}" if self.dut else ""]
        parts += [f"cell {self.cell}" if self.cell else ""]
        parts += [] if self.element is None else [f"element {self.element}"]
        parts += [f"attempt {self.attempt}" if self.attempt > 1 else ""]
        return f"orchestrator: {self.step} asks ({', '.join(filter(None, parts))})"


class OpenQuestion:
    """Question in the queue, until it has an answer or a reason why it gets none. Thread-safe.

    Attributes:
        number: Number of the question in the session, from 1.
        asked: The question and its step.

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
        self._is_withdrawn, self._deadline = is_withdrawn, deadline
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._answer: Answer | None = None
        self._refusal = ""

    @property
    def is_over(self) -> bool:
        """True if the question has an answer or gets none."""
        if not self._over.is_set():
            if self._is_withdrawn():
                self.refuse("the step was ended")
            elif self._deadline is not None and time.monotonic() >= self._deadline:
                self.refuse("the time of the step is over")
        return self._over.is_set()

    @property
    def outcome(self) -> Answer | str:
        """The answer, or the reason why there is none; empty while the question is open."""
        return self._answer or self._refusal

    def answer(self, answer: Answer) -> None:
        """Set the answer, unless the question is over."""
        self._end(answer, "")

    def refuse(self, reason: str) -> None:
        """End the question without an answer, unless it is over."""
        self._end(None, reason)

    def _end(self, answer: Answer | None, refusal: str) -> None:
        with self._lock:
            if not self._over.is_set():
                self._answer, self._refusal = answer, refusal
                self._over.set()

    def wait(self) -> Answer:
        """Wait for the answer.

        Raises:
            NoAnswer: The question gets no answer; the text is the reason.
        """
        while not self.is_over:
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
        present: Callable[[OpenQuestion], None],
        run_in_turn: Callable[[Callable[[OpenQuestion], None], OpenQuestion], None],
    ) -> None:
        self._present, self._run_in_turn = present, run_in_turn
        self._lock = threading.Lock()
        self._open: dict[int, OpenQuestion] = {}
        self._count = 0
        self._closed = ""
        self._page_seen = -PAGE_LEASE

    @property
    def open(self) -> tuple[OpenQuestion, ...]:
        """The open questions; the first one is shown."""
        with self._lock:
            return tuple(self._open.values())

    @property
    def has_page(self) -> bool:
        """True if an operator page is connected."""
        return time.monotonic() - self._page_seen < PAGE_LEASE

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
            self._open.pop(question.number, None)

    def close(self, reason: str) -> None:
        """End all questions without an answer, also those that are asked later."""
        self._closed = self._closed or reason
        for question in self.open:
            question.refuse(self._closed)

    def reply(self, number: int, values: dict[str, Any], button: str, who: str) -> None:
        """Answer a question from the operator page.

        Args:
            number: Number of the question.
            values: The values of its fields, by name; fields that are missing are not answered.
            button: The button.
            who: Name of the operator.

        Raises:
            LookupError: The question is not open.
            ValueError: A value violates a rule; the message is a sentence.
        """
        question = next((one for one in self.open if one.number == number), None)
        if question is None or question.is_over:
            raise LookupError(f"question {number} is not open any more")
        if not who.strip():
            raise ValueError("the name of the operator should not be empty")
        asked = question.asked.question
        if button not in asked.buttons:
            raise ValueError(f"the button should be {' or '.join(asked.buttons)}")
        checked: dict[str, Json] = {}
        for name, field in asked.fields.items():
            if name not in values and field.is_required:
                raise ValueError(f"'{name}' should not be empty")
            try:
                checked[name] = (
                    value_of_json(field, values[name]) if name in values else field.absent
                )
            except ValueError as error:
                raise ValueError(f"'{name}' {error}") from None
        question.answer(answer_now(checked, button, "page", who.strip()))

    def page_seen(self) -> None:
        """Note that an operator page is connected; it repeats this more often than `PAGE_LEASE`."""
        self._page_seen = time.monotonic()

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


def missing(asked: Asked) -> str:
    """Return the end of a sentence that names the missing answers and how to give them."""
    question, names = asked.question, asked.wanted
    step = asked.step if asked.element is None else f"{asked.step}[{asked.element}]"
    shown = ", ".join(f"{step}.{name}" for name in names)
    secret = {name for name, field in question.fields.items() if field.secret}
    plain = next((name for name in names if name not in secret), "")
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
