"""YAML values are read as JSON; values that JSON cannot store are reported with their place."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

STEPS = "\nsteps: [{name: a, type: shell, cmd: ls}]\n"


def test_plain_words_are_read_by_yaml_1_2(read: Read) -> None:
    text = "test_meta: {a: no, b: 22:30, c: 2024-01-01, d: 010, e: 0x1F, f: '1', g: 1e3, h: , i: ~}"
    assert read(text + STEPS).test_meta == {
        "a": "no",
        "b": "22:30",
        "c": "2024-01-01",
        "d": 10,
        "e": 31,
        "f": "1",
        "g": 1000.0,
        "h": None,
        "i": None,
    }


def test_texts_of_several_lines_are_read(read: Read) -> None:
    text = "test_meta:\n  a: |\n    1\n     no\n  b: >-\n    two\n    words\n  c: |\n    yes\n"
    assert read(text + STEPS).test_meta == {"a": "1\n no\n", "b": "two words", "c": "yes\n"}


@pytest.mark.parametrize("key", ["params", "args", "stdin"])
def test_a_number_that_json_lacks_is_reported_in_every_value(key: str, problems: Problems) -> None:
    kind = (
        "type: python\n    module: m\n    class: C"
        if key == "params"
        else "type: shell\n    cmd: x"
    )
    text = f"steps:\n  - name: a\n    {kind}\n    {key}:\n      A: [1, -.inf]\n      B: .nan\n"
    line = 7 if key == "params" else 6
    assert problems(text) == [
        f"{line}:14 -.inf is no number of JSON; use null, or quote it: '-.inf'",
        f"{line + 1}:10 .nan is no number of JSON; use null, or quote it: '.nan'",
    ]


def test_numbers_have_64_bits(problems: Problems) -> None:
    assert problems("test_meta: {a: 99999999999999999999, b: 1e999}" + STEPS) == [
        "1:16 99999999999999999999 does not fit into 64 bits; quote it to have it as text",
        "1:41 1e999 is too large for a number; quote it to have it as text",
    ]


def test_a_tag_that_does_not_match_its_value_is_reported(problems: Problems) -> None:
    assert problems("test_meta: {a: !!int x}" + STEPS) == [
        "1:16 'x' is not what the tag !!int says"
    ]


def test_expressions_are_reported_in_values_that_allow_none(problems: Problems) -> None:
    text = (
        "name: ${{ a }}\n"
        "test_meta: {'${{ k }}': 1}\n"
        "steps:\n"
        '  - {name: b, type: "${{ c }}", cmd: x}\n'
    )
    sentence = "an expression cannot stand here"
    assert problems(text) == [
        f"1:7 {sentence} (write the value itself; $${{{{ is plain text)",
        f"2:13 {sentence} (it can in values)",
        f"4:21 {sentence} (write the value itself; $${{{{ is plain text)",
    ]


def test_expressions_in_ignored_keys_are_not_checked(read: Read) -> None:
    assert read("x-a: ${{ a }}\nx-b: [.inf]" + STEPS).name is None


def test_half_an_expression_is_text(read: Read) -> None:
    assert read("name: '${HOME} {{ x }}'" + STEPS).name == "${HOME} {{ x }}"
