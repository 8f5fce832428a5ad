"""A session that asks an operator, as far as a monitor sees it: a live journal and the channel."""

import threading
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.core.events import QuestionAsked
from pytest_orchestrator.core.questions import Answer, Asked, Question
from pytest_orchestrator.plugin.questions.queue import OpenQuestion, QuestionQueue
from pytest_orchestrator.plugin.questions.session import QuestionChannel
from tests.runs.built import BEGIN, Built

LIVE = "20261126T080000Z-a5a5"


class AskingSession:
    """A session whose step `inspect` asks.

    Attributes:
        built: Its journal, which is being written.
        queue: The queue of its questions.
        asked: Its open question.

    Args:
        base: The folder of the runs.
        root: Its rootdir.
        start: Time of its first event, in microseconds since the epoch.
        question: Keys of the question.
    """

    def __init__(self, base: Path, root: Path, *, start: int = BEGIN, **question: Any) -> None:
        self.built = Built(base, LIVE, start=start, root=str(root), test_meta={"dut": "PSU-7"})
        self.built.begin("inspect", "measure", type="prompt")
        self.built.start("inspect")
        self.queue = QuestionQueue(lambda _: None, lambda _turn, _one: None)
        self.channel = QuestionChannel(self.queue, self.built.folder)
        self.asked = self.ask(**question)

    def ask(self, **question: Any) -> OpenQuestion:
        """Ask a question, and return it."""
        content = msgspec.convert({"message": "Is the **LED** green?", **question}, Question)
        recipe, names = self.built.recipe, tuple(content.names)
        asked = QuestionAsked(recipe=recipe, step="inspect", message=content.message, fields=names)
        self.built.add(asked)
        posted = self.queue.post(
            Asked(recipe=recipe, step="inspect", node="", dut="PSU-7", question=content)
        )
        self.channel.open()
        return posted

    def ends_after_the_answer(self, outcome: str = "passed") -> threading.Thread:
        """Write the rest of the run once the question has its answer; return the thread."""

        def end() -> None:
            answer = self.asked.wait()
            self.queue.forget(self.asked)
            given = [{"button": answer.button, "who": answer.who, "where": "page"}]
            self.built.finish("inspect", answers=[given[0] | {"when": answer.when}])
            self.built.step("measure", outcome)
            self.built.seal()

        thread = threading.Thread(target=end)
        thread.start()
        return thread

    @property
    def answer(self) -> Answer | None:
        """The answer; None while the question is open."""
        outcome = self.asked.outcome
        return outcome if isinstance(outcome, Answer) else None

    def close(self) -> None:
        """End the channel and leave the journal."""
        self.channel.close()
        self.built.journal.close()
