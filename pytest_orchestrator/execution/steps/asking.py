"""Questions of one attempt of a step to a person."""

import time

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.questions import Answer, Question
from pytest_orchestrator.core.result import Answered, Ended
from pytest_orchestrator.execution.attempt_context import AttemptContext, PendingQuestion
from pytest_orchestrator.recipe.model.step import PythonStep, Step

ASK = "ask"
"""Request of a step's process that asks a question, beside the operations of the Context."""

_GRACE = 0.5
"""Seconds after the timeout of a step after which its question is withdrawn."""


class AttemptQuestions:
    """Asker of the questions of one attempt; it measures how long the answers take.

    Args:
        step: The step.
        attempt: The context of the attempt.
    """

    def __init__(self, step: Step, attempt: AttemptContext) -> None:
        self._step, self._attempt = step, attempt
        self._answers: list[Answered] = []
        self._seconds = 0.0

    def ask(self, question: Question) -> Answer:
        """Ask a person, and wait for the answer.

        Raises:
            NoAnswer: The question has no answer.
        """
        started = time.monotonic()
        timeout = self._attempt.seconds_for(self._step.timeout)
        pending = PendingQuestion(
            step=self._step.name,
            attempt=self._attempt.number,
            element=self._attempt.element,
            question=question,
            # The lane ends the step at its timeout; only then the question is withdrawn.
            deadline=None if timeout is None else started + timeout + _GRACE,
            is_withdrawn=self._attempt.is_cut_off,
        )
        try:
            answer = self._attempt.callbacks.ask(pending)
        finally:
            self._seconds += time.monotonic() - started
        given = Answered(
            button=answer.button,
            who=answer.who,
            where=answer.where,
            when=answer.when,
            dut=answer.dut or UNSET,
        )
        self._answers.append(given)
        return answer

    def noted_in(self, ended: Ended) -> Ended:
        """Return the end of the step code with the answers and the time that they took."""
        if not self._seconds:
            return ended
        return msgspec.structs.replace(ended, asked=self._seconds, answers=tuple(self._answers))


def questions_of(step: PythonStep, attempt: AttemptContext) -> AttemptQuestions | None:
    """Return the asker for an attempt of a step; None if its type asks no questions."""
    data = step.plugin_data
    if data is None or not data.asks or data.is_cleanup:
        return None
    return AttemptQuestions(step, attempt)
