"""Answers given before the run: their forms, targets and errors."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_orchestrator.core.questions import Question
from pytest_orchestrator.plugin.questions.given import (
    GivenAnswer,
    GivenAnswers,
    file_answers,
    option_answer,
    variable_of,
)
from pytest_orchestrator.recipe import Recipe, cells, load

_RECIPE = """
matrix: {gain: [1, 2]}
steps:
  - {name: inspect, type: shell, cmd: 'true'}
"""

_FIELDS: dict[str, Any] = {"serial": {"pattern": "SN[0-9]"}, "n": {"type": "integer"}}
_QUESTION = msgspec.convert(
    {"message": "Look", "fields": _FIELDS, "buttons": ["pass", "fail"]}, Question
)
_ALONE = msgspec.convert({"message": "Scan", "fields": _FIELDS}, Question)
_SECRET = msgspec.convert({"message": "Pin", "fields": {"pin": {"secret": True}}}, Question)


@pytest.fixture
def cell(tmp_path: Path) -> Recipe:
    """The first cell of a recipe with a matrix."""
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "recipes/x.yaml"
    path.write_text(_RECIPE)
    return cells(load(path, root=tmp_path), {})[0]


@pytest.mark.parametrize(
    ("text", "target", "field", "value"),
    [
        ("inspect.serial=SN1", "inspect", "serial", "SN1"),
        ("inspect.serial=a=b.c", "inspect", "serial", "a=b.c"),
        ("inspect.serial=", "inspect", "serial", ""),
        ("ch1.inspect.serial=1", "ch1.inspect", "serial", "1"),
        ("inspect[gain:1.5,mode:a=b].serial=1", "inspect[gain:1.5,mode:a=b]", "serial", "1"),
        ("recipes/x.yaml::inspect.button=pass", "recipes/x.yaml::inspect", "button", "pass"),
    ],
)
def test_an_answer_of_the_option_names_step_field_and_value(
    text: str, target: str, field: str, value: str
) -> None:
    assert option_answer(text)[:3] == (target, field, value)


@pytest.mark.parametrize("text", ["", "inspect", "inspect.serial", "inspect=1", ".serial=1"])
def test_an_answer_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        option_answer(text)
    assert str(caught.value) == f"{text!r} is no [recipe.yaml::]STEP.FIELD=VALUE"


def test_a_file_has_a_mapping_of_fields_for_each_step(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("inspect: {serial: SN1, n: 3}\nrecipes/x.yaml::look: {button: pass}\n")

    assert [one.name for one in file_answers(path, "answers.yaml")] == [
        "inspect.serial",
        "inspect.n",
        "recipes/x.yaml::look.button",
    ]


@pytest.mark.counted
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "inspect.serial: SN1",
            "a.yaml: 'inspect.serial' should be a mapping of fields; write inspect: {serial: ...}",
        ),
        ("inspect: 3", "a.yaml: 'inspect' should be a mapping of fields; write inspect: {FIELD: V"),
        ("- 1", "a file of vars is a mapping of names to values"),
        (None, "there is no file a.yaml"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str | None, error: str) -> None:
    path = tmp_path / "a.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r".") as caught:
        list(file_answers(path, "a.yaml"))
    assert error in str(caught.value)


def _chosen(cell: Recipe, *options: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    given = GivenAnswers([option_answer(option) for option in options], environ)
    return {name: one.value for name, one in given.of(cell, "inspect", _QUESTION).items()}


def test_the_target_that_says_more_wins_and_then_the_later_one(cell: Recipe) -> None:
    bare, later = "inspect.serial=1", "inspect.serial=2"
    in_cell = "inspect[gain:1].serial=3"
    in_recipe = "recipes/x.yaml::inspect.serial=4"
    whole = "recipes/x.yaml::inspect[gain:1].serial=5"

    assert _chosen(cell, bare, later) == {"serial": "2"}
    assert _chosen(cell, in_cell, later) == {"serial": "3"}
    assert _chosen(cell, in_recipe, in_cell) == {"serial": "4"}
    assert _chosen(cell, whole, in_recipe) == {"serial": "5"}


def test_an_element_of_foreach_is_named_by_its_index(cell: Recipe) -> None:
    options = ("inspect.serial=1", "inspect[2].serial=2", "inspect[gain:1][2].n=3")
    given = GivenAnswers([option_answer(option) for option in options])

    def chosen(element: int) -> dict[str, Any]:
        found = given.of(cell, "inspect", _QUESTION, element)
        return {name: one.value for name, one in found.items()}

    assert chosen(0) == {"serial": "1"}
    assert chosen(2) == {"serial": "2", "n": "3"}


def test_an_answer_for_another_cell_recipe_or_field_is_not_used(cell: Recipe) -> None:
    others = ("inspect[gain:2].serial=1", "recipes/y.yaml::inspect.serial=1", "inspect.x=1")
    assert _chosen(cell, *others) == {}


def test_the_environment_gives_answers_that_options_replace(cell: Recipe) -> None:
    environ = {
        "ORCHESTRATOR_ANSWER_INSPECT_SERIAL": "1",
        "ORCHESTRATOR_ANSWER_INSPECT_GAIN_1__N": "7",
        "ORCHESTRATOR_ANSWER_INSPECT_BUTTON": "pass",
        "SERIAL": "2",
    }
    assert variable_of("inspect[gain:1]", "n") == "ORCHESTRATOR_ANSWER_INSPECT_GAIN_1__N"
    assert _chosen(cell, "inspect.serial=3", environ=environ) == {
        "serial": "3",
        "n": "7",
        "button": "pass",
    }


def test_the_only_button_of_a_question_with_fields_may_be_answered(cell: Recipe) -> None:
    given = GivenAnswers([option_answer("inspect.button=continue")])

    assert not _ALONE.needs_button
    assert [*given.of(cell, "inspect", _ALONE)] == ["button"]
    assert given.unanswered(cell, "inspect", _ALONE) == ["serial", "n"]


@pytest.mark.parametrize(
    ("one", "question", "error"),
    [
        (option_answer("inspect.button=continue"), _ALONE, ""),
        (
            option_answer("inspect.button=pass"),
            _ALONE,
            "--recipe-answer: 'inspect.button' should be continue",
        ),
        (option_answer("inspect.serial=SN1"), _QUESTION, ""),
        (option_answer("inspect.button=fail"), _QUESTION, ""),
        (GivenAnswer("inspect", "n", 3, "a.yaml", is_text=False), _QUESTION, ""),
        (
            option_answer("inspect.serial=X"),
            _QUESTION,
            "--recipe-answer: 'inspect.serial' should match SN[0-9]",
        ),
        (
            GivenAnswer("inspect", "n", "3", "a.yaml", is_text=False),
            _QUESTION,
            "a.yaml: 'inspect.n' should be a whole number, not text",
        ),
        (
            option_answer("inspect.button=ok"),
            _QUESTION,
            "--recipe-answer: 'inspect.button' should be pass or fail",
        ),
        (
            option_answer("inspect.serail=SN1"),
            _QUESTION,
            "--recipe-answer: step 'inspect' asks no 'serail' (did you mean 'serial'?)",
        ),
        (
            option_answer("inspekt.serial=SN1"),
            _QUESTION,
            "--recipe-answer: no collected step that asks is 'inspekt' (did you mean 'inspect'?)",
        ),
        (option_answer("recipes/x.yaml::look.serial=1"), _QUESTION, "no collected step that asks"),
        (option_answer("inspect.pin=1234"), _SECRET, "'inspect.pin' is secret, and other users"),
        (GivenAnswer("inspect", "pin", "1234", "a.yaml", is_text=False), _SECRET, ""),
        (option_answer("inspect.anything=1"), None, ""),
    ],
)
def test_an_answer_that_no_step_takes_is_an_error(
    cell: Recipe, one: GivenAnswer, question: Question | None, error: str
) -> None:
    asking = [(cell, cell.steps[0], None if question is None else [question])]
    errors = [*GivenAnswers([one]).errors(asking, cell.path.parents[1])]
    assert error in "".join(errors)
    assert bool(errors) == bool(error)


@pytest.mark.counted
def test_an_answer_for_a_recipe_that_is_not_collected_is_no_error(cell: Recipe) -> None:
    root = cell.path.parents[1]
    given = GivenAnswers([option_answer("recipes/x.yaml::inspect.serial=1")])
    assert [*given.errors([], root)] == []
    gone = GivenAnswers([option_answer("recipes/gone.yaml::inspect.serial=1")])
    assert len([*gone.errors([], root)]) == 1
