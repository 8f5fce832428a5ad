"""Server side of the connection of a step's process: Context, questions and instruments."""

import time
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import (
    OPERATIONS,
    Conversation,
    Reply,
    Request,
    refusal,
)
from pytest_orchestrator.core.questions import NoAnswer, Question
from pytest_orchestrator.execution.steps.asking import ASK, AttemptQuestions

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.execution.instruments.bench import Ending
    from pytest_orchestrator.execution.instruments.use import RecipeInstruments

_CONTEXT_OPERATIONS = frozenset(OPERATIONS)


class StepConversation(Conversation):
    """Server side of a step's connection, which also answers requests beside the Context.

    Args:
        context: The step's own handle to the Context.
        questions: Asker of the questions; None if the type of the step asks none.
        instruments: Access to the instruments of the station; None without them.
        ending: Returns the end of the step, which ends the wait for an instrument.
    """

    __slots__ = ("_began", "_ending", "_instruments", "_questions", "_step_context")

    def __init__(
        self,
        context: Context,
        questions: AttemptQuestions | None,
        instruments: "RecipeInstruments | None",
        ending: "Callable[[], Ending]",
    ) -> None:
        super().__init__(context)
        self._step_context = context
        self._began = time.time_ns() // 1000
        self._questions, self._instruments, self._ending = questions, instruments, ending

    def execute(self, request: Request) -> Reply:
        """Execute a request and return its reply; an answer is the value of its reply."""
        if request.op in _CONTEXT_OPERATIONS:
            # The process waits for the reply, which may take long while this process is busy. Its
            # clock is that of this machine, but its code may send any time.
            self._step_context.asked_at(max(request.at, self._began) if request.at else 0)
            return super().execute(request)
        if request.op == ASK and self._questions is not None:
            return self._asked(request, self._questions)
        from pytest_orchestrator.execution.instruments import requests, use

        if request.op != requests.INSTRUMENT:
            return super().execute(request)  # refuses it
        if self._instruments is None:
            value = use.no_access(request.value)
        else:
            value = self._instruments.reply(request.value, self._ending())
        return Reply(ok=True, value=value, id=request.id)

    def _asked(self, request: Request, questions: AttemptQuestions) -> Reply:
        try:
            answer = questions.ask(msgspec.convert(request.value, Question))
        except (NoAnswer, msgspec.ValidationError) as error:
            return refusal(error, request.id)
        return Reply(ok=True, value=msgspec.to_builtins(answer), id=request.id)
