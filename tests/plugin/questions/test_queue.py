"""The queue of questions: one at a time, answers of a page, and its end."""

import threading
import time
from typing import Any

import msgspec
import pytest

from pytest_orchestrator.core.questions import Asked, NoAnswer, Question
from pytest_orchestrator.plugin.questions import queue as questions
from pytest_orchestrator.plugin.questions.queue import (
    OpenQuestion,
    QuestionQueue,
    WrongAnswer,
    answer_now,
    missing,
)


def _asked(step: str = "inspect", **question: Any) -> Asked:
    asked = msgspec.convert({"message": "Look.", **question}, Question)
    return Asked(recipe="x.yaml", step=step, node=f"x.yaml::{step}", question=asked)


class Presented:
    """A queue whose questions are shown in a list, and answered by the test."""

    def __init__(self) -> None:
        self.shown: list[OpenQuestion] = []
        self.queue = QuestionQueue(self.shown.append, lambda turn, one: turn(one))

    def post(self, *args: Any) -> OpenQuestion:
        """Add a question that nothing presents."""
        self.queue = QuestionQueue(self.shown.append, lambda _turn, _one: None)
        return self.queue.post(*args)


def test_a_presented_question_gets_the_answer_of_the_form() -> None:
    queue = QuestionQueue(
        lambda one: one.answer(answer_now({"a": 1}, "pass", "terminal")),
        lambda turn, one: turn(one),
    )
    answer = queue.ask(_asked())
    assert (answer.values, answer.button, answer.where) == ({"a": 1}, "pass", "terminal")
    assert answer.who == questions.user()
    assert answer.when.endswith("Z")
    assert queue.open == ()


def test_a_question_that_the_form_leaves_open_is_refused() -> None:
    with pytest.raises(NoAnswer, match="the form was ended"):
        Presented().queue.ask(_asked())


@pytest.mark.counted
def test_ctrl_c_in_a_form_ends_it_and_refuses_all_later_questions() -> None:
    def interrupt(_: OpenQuestion) -> None:
        raise KeyboardInterrupt

    queue = QuestionQueue(interrupt, lambda turn, one: turn(one))
    with pytest.raises(KeyboardInterrupt):
        queue.ask(_asked())
    with pytest.raises(NoAnswer, match="no question is asked after Ctrl-C"):
        queue.ask(_asked())


@pytest.mark.counted
def test_a_question_ends_when_its_step_ends_or_its_time_is_over() -> None:
    made = Presented()
    assert made.post(_asked(), lambda: True).is_over
    late = made.post(_asked(), bool, time.monotonic() - 1)
    assert late.is_over
    assert late.outcome == "the time of the step is over"
    assert not made.post(_asked(), bool, time.monotonic() + 60).is_over


@pytest.mark.counted
def test_a_waiting_thread_gets_the_answer_of_the_operator_page() -> None:
    queue = QuestionQueue(lambda _: None, lambda _turn, _one: None)
    answers: list[Any] = []
    fields = {"n": {"type": "integer", "max": 3}, "note": {"default": ""}}
    asked = _asked(fields=fields, buttons=["pass", "fail"])
    thread = threading.Thread(target=lambda: answers.append(queue.ask(asked)))
    thread.start()
    while not queue.open:
        time.sleep(0.001)
    nonce = queue.open[0].nonce

    with pytest.raises(WrongAnswer, match="'n' should be at most 3; 'button' should be pass or"):
        queue.reply(nonce, {"n": "4"}, "ok", "Ann")
    queue.reply(nonce, {"n": "2"}, "pass", "Ann")
    thread.join(20)

    assert (answers[0].values, answers[0].who, answers[0].where) == (
        {"n": 2, "note": ""},
        "Ann",
        "page",
    )
    with pytest.raises(LookupError, match="was already answered by Ann on the operator page"):
        queue.reply(nonce, {"n": "2"}, "pass", "Bob")


def test_the_first_outcome_of_a_question_stays() -> None:
    question = Presented().post(_asked())
    first, second = answer_now({}, "pass", "terminal"), answer_now({}, "fail", "page", "Ann")
    assert [question.answer(first), question.answer(second)] == [True, False]
    question.refuse("the step was ended")
    assert question.outcome == first


@pytest.mark.counted
def test_the_title_names_step_recipe_device_cell_and_attempt() -> None:
    asked = _asked()
    assert asked.title == "orchestrator: inspect asks (x.yaml)"
    whole = msgspec.structs.replace(
        asked, recipe="x.yaml[gain:1]", cell="gain:1", dut="PSU-7", attempt=2
    )
    assert whole.title == "orchestrator: inspect asks (x.yaml, DUT PSU-7, cell gain:1, attempt 2)"


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            {"fields": {"a": {}, "b": {"default": "1"}}, "buttons": ["pass", "fail"]},
            (
                "missing answers: inspect.a, inspect.button (--recipe-answer inspect.a=VALUE, "
                "or --recipe-answers FILE)"
            ),
        ),
        (
            {"fields": {"pin": {"secret": True}}},
            "missing answer: inspect.pin (--recipe-answers FILE)",
        ),
        (
            {"fields": {"b": {"default": "1"}}},
            "missing answer: inspect.b (--recipe-answer inspect.b=VALUE, or --recipe-answers FILE)",
        ),
        (
            {},
            (
                "missing answer: inspect.button (--recipe-answer inspect.button=VALUE, "
                "or --recipe-answers FILE)"
            ),
        ),
    ],
)
def test_missing_answers_are_named_with_the_way_to_give_them(
    question: dict[str, Any], text: str
) -> None:
    asked = _asked(**question)
    wanted = asked.question.needed or asked.question.names
    assert missing(msgspec.structs.replace(asked, wanted=wanted)) == text
