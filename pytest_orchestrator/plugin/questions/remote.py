"""Questions of xdist workers, which their controller asks."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_orchestrator.core.questions import Answer, Asked, NoAnswer
from pytest_orchestrator.plugin.questions.queue import OpenQuestion, QuestionQueue

if TYPE_CHECKING:
    from pytest_orchestrator.context.rpc.xdist import Ask, SharedContext
    from pytest_orchestrator.execution.attempt_context import PendingQuestion

QUESTION, ANSWER, ANSWERED = "question", "answer", "answered"
"""Requests of a worker: ask a question, look for its answer, forget the question."""

_LOOK = 0.05
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
            time.sleep(_LOOK)
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
