"""Steps of type `prompt`: their mistakes in a recipe, their question and their result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.extending import (
    Answer,
    InputField,
    Question,
    StepEnvironment,
    StepFailure,
    StepSpec,
    Unevaluated,
)
from pytest_orchestrator.recipe import RecipeError, load
from pytest_orchestrator.step_types.prompt import Prompt


def _problems(folder: Path, keys: str) -> list[str]:
    path = folder / "x.yaml"
    path.write_text(f"steps:\n  - {{name: a, type: prompt, {keys}}}\n")
    try:
        load(path, root=folder)
    except RecipeError as error:
        return [one.text for one in error.problems]
    return []


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("fields: {}", "missing 'message' in prompt step 'a'"),
        ("message: ''", "'message' in prompt step 'a' is '', should be text of length >= 1"),
        ("message: m, image: no.png", "'image' in prompt step 'a' names no file: no.png"),
        (
            "message: m, image: ../x.yaml",
            "'image' in prompt step 'a' should be a file below the rootdir",
        ),
        (
            "message: m, buttons: [ok]",
            "'buttons[0]' in prompt step 'a' is 'ok', should be 'pass', 'fail' or 'continue'",
        ),
        (
            "message: m, buttons: [fail, pass]",
            "'buttons' in prompt step 'a' should be [pass, fail] or [continue]",
        ),
        (
            "message: m, buttons: []",
            "'buttons' in prompt step 'a' should be [pass, fail] or [continue]",
        ),
        (
            "message: m, fields: [a]",
            (
                "'fields' in prompt step 'a' is a list, should be a mapping (write fields: "
                '{serial: {pattern: "SN\\\\d{6}", description: "On the label."}})'
            ),
        ),
        (
            "message: m, fields: {a: text}",
            "'fields.a' in prompt step 'a' is text, should be a mapping",
        ),
        (
            "message: m, fields: {1a: {}}",
            "'fields.1a' in prompt step 'a' should be a name of letters, digits and _",
        ),
        (
            "message: m, fields: {button: {}}",
            (
                "'fields.button' in prompt step 'a' should have another name, which the result has "
                "itself"
            ),
        ),
        (
            "message: m, fields: {a: {patern: x}}",
            "'fields.a.patern' in prompt step 'a' is no key of a field (did you mean 'pattern'?)",
        ),
        (
            "message: m, fields: {a: {zzz: x}}",
            (
                "'fields.a.zzz' in prompt step 'a' is no key of a field (its keys are type, "
                "default, required, pattern, choices, min, max, unit, description, label, "
                "example, error, secret, dut)"
            ),
        ),
        (
            "message: m, fields: {a: {type: integer, dut: sn}}",
            "'fields.a.dut' in prompt step 'a' belongs to a field of type string, not secret",
        ),
        (
            "message: m, fields: {a: {dut: serial number}}",
            (
                "'fields.a.dut' in prompt step 'a' should be a key of the unit under test "
                "(write dut: serial_number)"
            ),
        ),
        (
            "message: m, foreach: [1], fields: {a: {dut: sn}}",
            (
                "'fields.a.dut' in step 'a' is asked for each element of 'foreach' (name the unit "
                "in one step before it is tested)"
            ),
        ),
        (
            "message: m, fields: {a: {type: text}}",
            "'fields.a.type' in prompt step 'a' should be string, integer, number, boolean or json",
        ),
        (
            "message: m, fields: {a: {type: number, min: low}}",
            "'fields.a.min' in prompt step 'a' should be a number",
        ),
        (
            "message: m, fields: {a: {secret: 1}}",
            "'fields.a.secret' in prompt step 'a' should be true or false",
        ),
        (
            "message: m, fields: {a: {pattern: '['}}",
            (
                "'fields.a.pattern' in prompt step 'a' is no regular expression: unterminated "
                "character set, at character 1"
            ),
        ),
        (
            "message: m, fields: {a: {type: integer, min: 3, max: 1}}",
            "'fields.a.max' in prompt step 'a' is less than 'min', which is 3",
        ),
        (
            "message: m, fields: {a: {choices: [x, 1]}}",
            (
                "'fields.a.choices[1]' in prompt step 'a' should be text, not a number: "
                "put the value in quotes"
            ),
        ),
    ],
)
def test_a_mistake_in_a_prompt_is_reported(tmp_path: Path, keys: str, problem: str) -> None:
    assert _problems(tmp_path, keys) == [problem]


def test_a_unit_is_named_once_and_before_it_was_tested(tmp_path: Path) -> None:
    prompt = "type: prompt, message: m, fields: {a: {dut: sn}}"
    path = tmp_path / "x.yaml"
    path.write_text(
        f"steps:\n  - {{name: a, {prompt}}}\n  - {{name: b, {prompt}}}\n"
        f"finally:\n  - {{name: c, {prompt}}}\n"
    )
    with pytest.raises(RecipeError) as error:
        load(path, root=tmp_path)

    cure = "(name the unit in one step before it is tested)"
    assert [(one.place.line, one.text) for one in error.value.problems] == [
        (3, f"'fields.a.dut' in step 'b' gives 'sn', as step 'a' does {cure}"),
        (5, f"'fields.a.dut' in step 'c' stands in 'finally', after the unit was tested {cure}"),
    ]


@pytest.mark.parametrize(
    ("key", "scope", "problem"),
    [
        ("sn", "each", ""),
        ("sn", "once", "is asked once for all units (write scope: each, which asks for each unit)"),
        (
            "part_number",
            "each",
            (
                "is 'part_number', and the units of a panel differ by serial number "
                "(write dut: serial_number)"
            ),
        ),
    ],
)
def test_a_prompt_names_each_unit_of_a_panel_by_its_serial_number(
    tmp_path: Path, key: str, scope: str, problem: str
) -> None:
    prompt = f"type: prompt, message: m, scope: {scope}, fields: {{a: {{dut: {key}}}}}"
    path = tmp_path / "x.yaml"
    path.write_text(f"units: {{count: 2}}\nsteps:\n  - {{name: a, {prompt}}}\n")
    found = []
    try:
        load(path, root=tmp_path)
    except RecipeError as error:
        found = [one.text for one in error.problems]
    assert found == ([f"'fields.a.dut' in step 'a' {problem}"] if problem else [])


def test_the_keys_of_a_prompt_may_have_expressions(tmp_path: Path) -> None:
    keys = "message: '${{ run.id }}', fields: {a: {type: number, max: '${{ env.MAX }}'}}"
    assert _problems(tmp_path, keys) == []


def _spec(**keys: Any) -> StepSpec:
    return StepSpec(step="a", recipe="x.yaml", keys={"message": "m", **keys})


def test_the_question_is_known_before_the_run_unless_a_rule_is_an_expression() -> None:
    known = _spec(message=Unevaluated("${{ run.id }}"), fields={"a": {"type": "integer"}})
    assert [*Prompt.questions(known)] == [
        Question(message="${{ run.id }}", fields={"a": InputField(type="integer")})
    ]
    named = _spec(fields={"a": {"dut": "sn", "label": "Serial number"}})
    assert [*Prompt.questions(named)] == [
        Question(message="m", fields={"a": InputField(label="Serial number")}, dut={"a": "sn"})
    ]
    assert [*Prompt.questions(_spec(fields={"a": {"max": Unevaluated("${{ env.MAX }}")}}))] == []


def _result(asker: Callable[[Question], Answer], **keys: Any) -> Any:
    env = StepEnvironment(step="a", recipe="x.yaml", root=Path.cwd(), asker=asker)
    return Prompt().run(Prompt.Keys(message="m", **keys), Context(), env)


def test_the_result_has_the_values_and_the_button() -> None:
    asked: list[Question] = []

    def asker(question: Question) -> Answer:
        asked.append(question)
        return Answer(values={"n": 3}, button="pass", who="ann", where="terminal")

    result = _result(asker, fields={"n": {"type": "integer"}}, buttons=("pass", "fail"))

    assert result == {"status": "ok", "button": "pass", "n": 3}
    assert asked[0].names == ("n", "button")


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("terminal", "at the terminal"),
        ("page", "on the operator page"),
        ("answers", "before the run"),
    ],
)
def test_the_button_fail_fails_the_step_with_the_name_of_the_person(where: Any, place: str) -> None:
    result = _result(lambda _: Answer(button="fail", who="ann", where=where))
    assert result == {"status": "fail", "reason": f"ann chose fail {place}", "button": "fail"}


def test_a_rule_whose_expression_has_another_type_fails_the_step() -> None:
    with pytest.raises(StepFailure) as caught:
        _result(lambda _: Answer(), fields={"n": {"min": "low"}})
    assert (str(caught.value), caught.value.kind) == (
        "'fields.n.min' should be a number",
        "validation",
    )
