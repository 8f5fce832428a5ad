"""Hints for wrong keys: words of other tools, keys that may stand, forms of mappings."""

from collections.abc import Callable

import pytest
import yaml

from pytest_orchestrator.recipe import Recipe, RecipeError
from pytest_orchestrator.recipe.problems import form_of

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("depends_on", "needs"),
        ("requires", "needs"),
        ("when", "if"),
        ("condition", "if"),
        ("register", "outputs"),
        ("environment", "env"),
        ("expect", "success"),
        ("assert", "success"),
        ("loop", "foreach"),
        ("with_items", "foreach"),
        ("for", "foreach"),
        ("working-directory", "cwd"),
        ("timeout-minutes", "timeout"),
        ("parallel", "matrix"),
    ],
)
def test_the_word_of_another_tool_gets_the_right_key(
    word: str, key: str, problems: Problems
) -> None:
    assert problems(f"steps:\n- {{name: a, type: shell, cmd: x, {word}: 1}}\n") == [
        f"2:34 unknown key '{word}' in shell step 'a' (did you mean '{key}'?)"
    ]


@pytest.mark.parametrize("word", ["run", "script", "command"])
def test_the_word_of_another_tool_for_a_command_is_reported_once(
    word: str, problems: Problems
) -> None:
    assert problems(f"steps:\n- {{name: a, type: shell, {word}: x}}\n") == [
        f"2:26 unknown key '{word}' in shell step 'a' (did you mean 'cmd'?)"
    ]


@pytest.mark.parametrize("word", ["stages", "tasks", "jobs"])
def test_the_word_of_another_tool_for_the_list_of_steps(word: str, problems: Problems) -> None:
    assert problems(f"{word}: [{{name: a, type: shell, cmd: x}}]\n") == [
        f"1:1 unknown key '{word}' in the recipe (did you mean 'steps'?)"
    ]


def test_services_are_steps(problems: Problems) -> None:
    text = "services: {}\nsteps: [{name: a, type: shell, cmd: x}]\n"
    assert problems(text) == [
        "1:1 unknown key 'services' in the recipe (a service is a step with `background: true`)"
    ]


@pytest.mark.parametrize(
    ("word", "key"),
    [
        *((word, "low") for word in ("min", "lower", "lsl")),
        *((word, "high") for word in ("max", "upper", "usl")),
        ("tol", "tolerance"),
        *((word, "nominal") for word in ("target", "expected")),
    ],
)
def test_the_word_of_another_tool_for_a_limit(word: str, key: str, problems: Problems) -> None:
    step = f"{{name: a, type: shell, cmd: x, measurements: {{v: {{value: 1, {word}: 1}}}}}}"
    assert problems(f"steps:\n- {step}\n") == [
        f"2:63 unknown key '{word}' in 'measurements.v' in shell step 'a' (did you mean '{key}'?)"
    ]


def test_the_word_of_another_tool_for_a_key_that_is_there_says_so(problems: Problems) -> None:
    for word in ("run", "script"):
        assert problems(f"steps:\n- {{name: a, type: shell, cmd: x, {word}: x}}\n") == [
            f"2:34 unknown key '{word}' in shell step 'a' ('cmd' is there already)"
        ]


def test_no_key_is_proposed_that_a_use_step_cannot_have(read: Read) -> None:
    with pytest.raises(RecipeError) as caught:
        read("steps:\n  - {name: a, use: recipes/x.yaml, loop: [1]}\n")
    (found,) = [one.text for one in caught.value.problems if "loop" in one.text]
    assert found == (
        "unknown key 'loop' in use step 'a' (it may have type, idx, description, tags, fixtures, "
        "needs, after, continue_on_error, implicit, matrix, scope, turn, if, literal_braces or "
        "with)"
    )


@pytest.mark.parametrize("word", ["always", "teardown", "cleanup"])
def test_steps_for_the_end_belong_to_finally(word: str, problems: Problems) -> None:
    step = "{name: a, type: shell, cmd: x"

    assert problems(f"steps:\n- {step}}}\n{word}: []\n") == [
        f"3:1 unknown key '{word}' in the recipe (did you mean 'finally'?)"
    ]
    assert problems(f"steps:\n- {step}, {word}: []}}\n") == [
        (
            f"2:34 unknown key '{word}' in shell step 'a' "
            "('finally' is a key of the recipe, beside 'steps')"
        )
    ]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "retry: {attempts: 2, foo: 1}",
            (
                "2:55 unknown key 'foo' in 'retry' in shell step 'a' "
                "(it may have delay, backoff, until or abort_if)"
            ),
        ),
        (
            "measurements: {m: {value: 1, low: 1, marginal: {percent: 1, foo: 1}}}",
            (
                "2:94 unknown key 'foo' in 'measurements.m.marginal' in shell step 'a' "
                "(it may have low or high)"
            ),
        ),
        (
            "success: {files: [{path: x, foo: 1}]}",
            (
                "2:62 unknown key 'foo' in 'files[0]' in shell step 'a' (it may have path, "
                "contains, not_contains, matches, sha256, min_bytes, max_bytes or fresh)"
            ),
        ),
    ],
)
def test_an_unknown_key_without_a_similar_one_lists_the_others(
    step: str, message: str, problems: Problems
) -> None:
    assert problems(f"steps:\n- {{name: a, type: shell, cmd: x, {step}}}\n") == [message]


def test_an_unknown_key_of_a_step_lists_the_keys_of_its_type(problems: Problems) -> None:
    (shell,) = problems("steps:\n- {name: a, type: shell, cmd: x, foo: 1}\n")
    (root,) = problems("steps:\n- {name: a, type: shell, cmd: x}\nfoo: 1\n")

    assert shell.startswith("2:34 unknown key 'foo' in shell step 'a' (it may have idx, ")
    assert "stdin" in shell
    assert "params" not in shell
    assert root.startswith("3:1 unknown key 'foo' in the recipe (it may have version, ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("retry", "3"),
        ("env", "[A=1]"),
        ("success", "ok"),
        ("outputs", "x"),
        ("measurements", "[x]"),
    ],
)
def test_a_value_in_place_of_a_mapping_gets_the_form_to_write(
    key: str, value: str, problems: Problems, read: Read
) -> None:
    step = "steps:\n- {name: a, type: shell, cmd: x, parse: data, "
    (problem,) = problems(f"{step}{key}: {value}}}\n")
    cure = problem.partition("(write ")[2].removesuffix(")")

    assert cure == form_of(key).removeprefix("write ")
    read(f"steps:\n- name: a\n  type: shell\n  cmd: x\n  parse: data\n  {cure}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "requires: 3",
            (
                "1:11 'requires' is a number, should be a mapping "
                "(write requires: {programs: [dfu-util]})"
            ),
        ),
        (
            "sampling: [1]",
            (
                "1:11 'sampling' is a list, should be a mapping (write sampling: "
                '{case: {cmd: "psu measure --temperature", every: 1s, high: 85}})'
            ),
        ),
        (
            "sampling: {u: 3}",
            (
                "1:15 'sampling.u' is a number, should be a mapping (write u: "
                '{cmd: "psu measure --temperature", every: 1s, high: 85})'
            ),
        ),
        (
            "defaults: {}",
            (
                "2:58 'measurements.v' in shell step 'a' is text, should be a mapping (write v: "
                "{value: result.ripple_mv, high: 50})"
            ),
        ),
    ],
)
def test_an_entry_in_place_of_a_mapping_gets_the_form_to_write(
    text: str, message: str, problems: Problems, read: Read
) -> None:
    wrong = ", measurements: {v: result}" if text == "defaults: {}" else ""
    step = f"\nsteps: [{{name: a, type: shell, cmd: x{wrong}}}]\n"
    assert problems(text + step) == [message]
    if not wrong:
        cure = message.partition("(write ")[2].removesuffix(")")
        is_entry = cure.startswith("u: ")
        read((f"sampling: {{{cure}}}" if is_entry else cure) + step)


@pytest.mark.parametrize("key", ["ready", "params", "vars", "matrix", "defaults", "test_meta"])
def test_each_form_is_a_mapping(key: str) -> None:
    assert isinstance(yaml.safe_load(form_of(key).removeprefix("write "))[key], dict)


@pytest.mark.parametrize(
    ("keys", "cure"),
    [
        (
            "type: http, url: 'http://x/', auth: 'a:b'",
            'auth: {user: bench, password: "${{ env.STATION_PASSWORD }}"}',
        ),
        (
            "type: prompt, message: Hi, fields: [a]",
            'fields: {serial: {pattern: "SN\\\\d{6}", description: "On the label."}}',
        ),
    ],
)
def test_a_wrong_value_of_a_step_type_gets_the_form_of_its_example(
    problems: Problems, read: Read, keys: str, cure: str
) -> None:
    (problem,) = problems(f"steps: [{{name: a, {keys}}}]\n")

    assert problem.endswith(f", should be a mapping (write {cure})")
    read(f"steps: [{{name: a, {keys.rpartition(', ')[0]}, {cure}}}]\n")
