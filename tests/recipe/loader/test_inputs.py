"""Root key `inputs`: typed fields, their defaults, and names that stand in two keys."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe

Problems = Callable[[str], list[str]]
Read = Callable[[str], Recipe]

ABOVE = "(an input may read those above it)"
STEPS = "steps: [{name: a, type: shell, cmd: x}]\n"


def test_a_recipe_has_typed_inputs(read: Read) -> None:
    recipe = read(
        "inputs:\n"
        "  serial: {pattern: 'SN[0-9]+'}\n"
        "  volts: {type: number, default: 12, min: 0, max: 30, unit: V}\n"
        "  pin: {secret: true, default: '${{ env.PIN }}-${{ vars.serial }}'}\n"
        "vars: {title: '${{ vars.serial }}'}\n" + STEPS
    )
    assert list(recipe.inputs) == ["serial", "volts", "pin"]
    assert recipe.inputs["serial"].is_required
    assert recipe.inputs["volts"].absent == 12
    assert recipe.secrets == ("vars.pin",)
    assert [one.path for one in recipe.templates if one.path[0] == "inputs"] == [
        ("inputs", "pin", "default")
    ]
    assert recipe.at["inputs.serial"].line == 2
    assert recipe.var_names == ("serial", "volts", "pin", "title")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inputs: [serial]", "1:9 'inputs' is a list, should be a mapping"),
        ("inputs: serial", "1:9 'inputs' is text, should be a mapping"),
        (
            "inputs: {se-rial: {}}",
            (
                "1:10 'inputs' has the key 'se-rial', should be letters, digits and _, "
                "beginning with a letter or _"
            ),
        ),
        (
            "inputs: {serial: string}",
            (
                "1:18 'inputs.serial' is text, should be a mapping such as "
                "{type: string} or {default: SN7}"
            ),
        ),
        (
            "inputs: {serial: {type: text}}",
            (
                "1:25 'inputs.serial.type' is 'text', should be 'string', 'integer', 'number', "
                "'boolean' or 'json'"
            ),
        ),
        (
            "inputs: {serial: {pattrn: x}}",
            "1:19 unknown key 'pattrn' in 'inputs.serial' (did you mean 'pattern'?)",
        ),
        (
            "inputs: {serial: {pattern: '['}}",
            (
                "1:28 'inputs.serial.pattern' is '[', no regular expression: unterminated character"
                " set, at character 1"
            ),
        ),
        (
            "inputs: {serial: {min: 3}}",
            "1:24 'inputs.serial.min' belongs to type integer or number, and the type is string",
        ),
        (
            "inputs: {serial: {type: integer, pattern: x}}",
            "1:43 'inputs.serial.pattern' belongs to type string, and the type is integer",
        ),
        (
            "inputs: {volts: {type: number, min: 3, max: 1}}",
            "1:45 'inputs.volts.max' is less than 'min', which is 3",
        ),
        (
            "inputs: {volts: {type: number, default: high}}",
            "1:41 'inputs.volts.default' should be a number, not text",
        ),
        (
            "inputs: {volts: {type: number, default: 31, max: 30, unit: V}}",
            "1:41 'inputs.volts.default' should be at most 30 V",
        ),
        (
            "inputs: {serial: {default: 123}}",
            "1:28 'inputs.serial.default' should be text, not a number: put the value in quotes",
        ),
        (
            "inputs: {color: {choices: [red, 3]}}",
            "1:33 'inputs.color.choices[1]' should be text, not a number: put the value in quotes",
        ),
        ("inputs: {color: {choices: []}}", "1:27 'inputs.color.choices' should have a value in it"),
        (
            "inputs: {serial: {unit: '${{ env.A }}'}}",
            "1:25 an expression cannot stand here (write the value itself; $${{ is plain text)",
        ),
        (
            "inputs: {serial: {default: '${{ ctx.a }}'}}",
            (
                "1:28 'ctx' cannot be used here "
                "(there is env, matrix, recipe, run, vars; an input is vars.NAME)"
            ),
        ),
        (
            "inputs: {a: {default: '${{ vars.b }}'}, b: {default: x}}",
            f"1:23 inputs.a reads vars.b, which is known after it {ABOVE}",
        ),
        (
            "inputs: {a: {default: '${{ vars.b }}'}}\nvars: {b: 1}",
            f"1:23 inputs.a reads vars.b, which is known after it {ABOVE}",
        ),
        (
            "inputs: {a: {default: '${{ vars.a }}'}}",
            f"1:23 inputs.a reads itself {ABOVE}",
        ),
        (
            "inputs: {serial: {}}\nvars: {serial: 1}",
            "2:8 'serial' is in 'inputs' and in 'vars' (an input is read as vars.serial)",
        ),
        (
            "inputs: {serial: {}}\nrequired: [serial]",
            (
                "2:12 'serial' is in 'inputs' and in 'required' (an input without a default is "
                "required)"
            ),
        ),
        (
            "inputs: {n: {default: '${{ run.id }}'}}\nmatrix: {g: '${{ vars.n }}'}",
            (
                "2:13 matrix.g reads vars.n, which reads run "
                "(cells exist at collection, before there is that)"
            ),
        ),
    ],
)
def test_wrong_inputs_are_reported(problems: Problems, text: str, message: str) -> None:
    assert problems(f"{text}\n{STEPS}") == [message]


def test_expressions_know_the_names_of_inputs(problems: Problems) -> None:
    steps = "steps: [{name: a, type: shell, cmd: x, if: vars.seral == '1' and serial}]\n"
    assert problems(f"inputs: {{serial: {{}}}}\n{steps}") == [
        "2:44 unknown name 'serial' in shell step 'a' (write `vars.serial`)",
        "2:44 no var 'seral' in step 'a' (did you mean 'serial'?)",
    ]
