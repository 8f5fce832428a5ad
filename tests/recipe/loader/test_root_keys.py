"""Root keys with rules of their own: `if`, `timeout`, `requires`."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.model.root_mappings import Requires

Problems = Callable[[str], list[str]]
Read = Callable[[str], Recipe]

STEPS = "steps: [{name: a, type: shell, cmd: x}]\n"


def test_a_recipe_has_a_condition_and_a_timeout(read: Read) -> None:
    recipe = read(f"vars: {{full: true}}\nif: vars.full\ntimeout: 20m\n{STEPS}")
    assert recipe.if_ is not None
    assert (recipe.if_.text, recipe.timeout) == ("vars.full", 1200)
    assert read(f"if: false\n{STEPS}").if_ is not None
    assert read(f"vars: {{t: 3}}\ntimeout: ${{{{ vars.t * 2 }}}}\n{STEPS}").timeout is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("if: []", "1:5 'if' is a list, should be an expression"),
        ("if:", "1:4 'if' is empty, should be an expression"),
        ("if: a b", "1:5 'if' is no expression: unexpected 'b'"),
        (
            "if: ctx.x",
            ("1:5 'ctx' cannot be used here (there is env, matrix, vars; an input is vars.NAME)"),
        ),
        (
            "if: steps.a.outcome",
            ("1:5 'steps' cannot be used here (there is env, matrix, vars; an input is vars.NAME)"),
        ),
        (
            "if: run.id == 'x'",
            ("1:5 'run' cannot be used here (there is env, matrix, vars; an input is vars.NAME)"),
        ),
        ("if: vars.fll", "1:5 no var 'fll' (the file declares no vars; write vars: {fll: VALUE})"),
        ("vars: {full: 1}\nif: full", "2:5 unknown name 'full' (write `vars.full`)"),
        (
            "matrix: {a: [1]}\ncontext: session",
            (
                "2:10 'context' is 'session', but each cell of a matrix always has its own Context "
                "(leave it out)"
            ),
        ),
        ("timeout: 0", "1:10 'timeout' is 0, should be more than 0 seconds"),
        (
            "timeout: 400d",
            "1:10 'timeout' is '400d', should be seconds, or a text such as 500ms, 30s, 2m or 1h",
        ),
        ("timeout: [1]", "1:10 'timeout' is a list, should be a number or text"),
        (
            "timeout: ${{ ctx.x }}",
            (
                "1:10 'ctx' cannot be used here "
                "(there is env, matrix, recipe, run, vars; an input is vars.NAME)"
            ),
        ),
    ],
)
def test_wrong_root_keys_are_reported(problems: Problems, text: str, message: str) -> None:
    assert problems(f"{text}\n{STEPS}") == [message]


def test_a_recipe_has_requirements(read: Read) -> None:
    recipe = read(f"requires: {{extras: [http], programs: [dfu-util], terminal: true}}\n{STEPS}")
    assert recipe.requires == Requires(extras=("http",), programs=("dfu-util",), terminal=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "requires: [http]",
            (
                "1:11 'requires' is a list, should be a mapping "
                "(write requires: {programs: [dfu-util]})"
            ),
        ),
        (
            "requires: {extra: [http]}",
            ("1:12 unknown key 'extra' in 'requires' (did you mean 'extras'?)"),
        ),
        (
            "requires: {extras: http}",
            "1:20 'requires.extras' is text, should be a list (write [http])",
        ),
        ("requires: {extras: []}", "1:20 'requires.extras' is [], should have an extra in it"),
        (
            "requires: {extras: [htp]}",
            (
                "1:21 'requires.extras[0]' is 'htp', should be completion, dask, http, monitor, "
                "otel, parquet, serial, sign, validate, visa or xdist (did you mean 'http'?)"
            ),
        ),
        ("requires: {programs: ['']}", "1:23 'requires.programs[0]' is '', should not be empty"),
        (
            "requires: {terminal: yes}",
            ("1:22 'requires.terminal' is text, should be true or false (write true)"),
        ),
    ],
)
def test_wrong_requirements_are_reported(problems: Problems, text: str, message: str) -> None:
    assert problems(f"{text}\n{STEPS}") == [message]


def test_a_station_file_is_no_recipe(problems: Callable[[str], list[str]]) -> None:
    assert problems("instruments: {}\n") == [
        (
            "1:1 unknown key 'instruments' in the recipe ('instruments' is a key of the station "
            "file; see --recipe-station)"
        ),
        "1:1 missing 'steps' (a recipe has a list of 'steps')",
    ]
