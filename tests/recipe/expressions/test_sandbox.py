"""The expression language: data comes before methods, no access to Python, no changes of values."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import sandbox
from pytest_orchestrator.recipe.expressions.expression import (
    AbsentError,
    Expression,
    ExpressionError,
)

PLACE = Place(1, 1)


class Instrument:
    """A fixture with public and private attributes."""

    volts = 5
    _hidden = "secret"

    def read(self) -> list[int]:
        return [1, 2]


def names() -> dict[str, Any]:
    data = {"items": 7, "d": {"keys": 1}, "l": [1, 2, 3], "s": "abc", "none": None, "n": 1.5}
    return {"result": data, "fixtures": {"dmm": Instrument()}, "steps": {"my-step": {"seconds": 2}}}


def value(text: str) -> Any:
    return Expression(text, PLACE).value(names())


def refused(text: str, kind: type[ExpressionError] = ExpressionError) -> str:
    with pytest.raises(kind) as caught:
        value(text)
    return str(caught.value).removeprefix(f"`{text}`: ")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("result.items", 7),
        ("result.d.keys", 1),
        ("result['items']", 7),
        ("result.d.items is defined", False),
        ("result.d.items | default(3)", 3),
        ("result.d.items()", [["keys", 1]]),
        ("result.s.upper()", "ABC"),
        ("result.l[-1]", 3),
        ("result.l[1:]", [2, 3]),
        ("steps['my-step'].seconds", 2),
        ("fixtures.dmm.volts", 5),
        ("fixtures.dmm.read()[0]", 1),
    ],
)
def test_data_have_priority_over_methods(text: str, wanted: Any) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope", "unknown name 'nope'"),
        ("result.item", "there is no 'item' (did you mean 'items'?)"),
        ("result.d.items", "there is no 'items'; there is only 'keys'"),
        ("result.s.upper", "there is no 'upper' in text"),
        ("result.l.foo", "there is no 'foo' in a list"),
        ("result.l[7]", "there is no item 7 in a list that has 3 items"),
        ("[][-1]", "there is no item -1 in a list that has none"),
        ("result.none.x.y", "there is no 'x' in null"),
        ("result.n.x", "there is no 'x' in a number"),
        ("fixtures.dmm.amps", "there is no 'amps' in an Instrument"),
        ("result.zzz.read()", "there is no 'zzz'; there is d, items, l, n, none, s"),
        ("[result.zzz]", "there is no 'zzz'; there is d, items, l, n, none, s"),
        ("result.zzz == 1", "there is no 'zzz'; there is d, items, l, n, none, s"),
        ("1 if false", "the inline if-expression on line 1 evaluated to false and no else section"),
    ],
)
def test_a_missing_name_is_an_error_with_a_similar_name(text: str, message: str) -> None:
    assert refused(text, AbsentError).startswith(message)


@pytest.mark.parametrize("text", ["nope", "nope.a.b", "result.x", "result.l[9]", "result.none.x"])
def test_a_missing_value_may_be_tested_and_replaced(text: str) -> None:
    assert value(f"{text} is defined") is False
    assert value(f"{text} is undefined") is True
    assert value(f"{text} | default('D')") == "D"


@pytest.mark.parametrize(
    "text",
    [
        "''.__class__",
        "''['__class__']",
        "'' | attr('__class__')",
        "().__class__.__bases__[0].__subclasses__()",
        "''.__class__.__mro__",
        "result.__class__",
        "result.l.__len__()",
        "result.s.format.__globals__",
        "'{0.__class__}'.format(1)",
        "'{x.__class__}'.format_map({'x': 1})",
        "fixtures.dmm.__class__",
        "fixtures.dmm._hidden",
        "fixtures.dmm['_hidden']",
        "fixtures.dmm.read.__globals__",
        "fixtures.dmm.read.__func__.__globals__",
        "[fixtures.dmm] | map(attribute='_hidden') | list",
        "range.__globals__",
        "lipsum.__globals__",
        "cycler.__init__",
        "namespace()",
        "__import__('os')",
        "open('/etc/passwd')",
        "self.__init__",
    ],
)
def test_no_expression_escapes_the_sandbox(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "result.l.append(4)",
        "result.l.pop()",
        "result.l.clear()",
        "result.d.update({'a': 1})",
        "result.d.pop('keys')",
        "result.setdefault('a', 1)",
    ],
)
def test_no_expression_changes_what_it_reads(text: str) -> None:
    assert "is unsafe" in refused(text)


@pytest.mark.parametrize("text", ["'a' * 10**9", "[1] * 10**9", "10**(10**9)", "range(10**9)"])
def test_a_value_that_would_fill_the_memory_is_refused(text: str) -> None:
    assert refused(text).startswith("OverflowError")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("1 2", "unexpected '2'"),
        ("1 && 2", "unexpected char '&' at 2 (write `and`)"),
        ("1 || 2", "expected 'name', got '|' (write `or`)"),
        ("!x", "unexpected char '!' at 0 (write `not`)"),
        ("x = 1", "unexpected '=' (write `==`)"),
        ("x | rond", "no filter 'rond' (did you mean 'round'?)"),
        ("x is definde", "no test 'definde' (did you mean 'defined'?)"),
        ("1e999", "a number that is too large"),
        ("(" * 5000, "it is nested too deep"),
        ("+".join("1" * 1001), "it is nested too deep"),
        ("-" * 5000 + "1", "it is nested too deep"),
        ("x" + ".a" * 2000, "it is nested too deep"),
        ("'" + "a" * 9999 + "'", "it has 10,001 characters; 10,000 are the most"),
    ],
)
def test_an_invalid_expression_is_an_error_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        sandbox.parsed(text)

    assert str(caught.value) == message


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("again", "inner", "ends"),
    [
        ("1 + ", "1", ""),
        ("2 * ", "1", ""),
        ("", "1", " ** 1"),
        ("true and ", "true", ""),
        ("not ", "true", ""),
        ("- ", "1", ""),
        ("[", "1", "]"),
        ("{'a': ", "1", "}"),
        ("(0 if false else ", "1", ")"),
        ("", "'a'", " | upper"),
        ("", "'a'", ".upper()"),
        ("", "ctx", ".a"),
        ("", "ctx", "[-1]"),
        ("", "vars", ".a()"),
        ("dict(a=", "1", ")"),
        ("range(", "1", ") | length"),
        ("", "[1]", "[0:1]"),
    ],
)
def test_every_parsed_expression_can_be_analysed_and_compiled(
    again: str, inner: str, ends: str
) -> None:
    deepest = 0
    for count in range(10, 100):
        text = again * count + inner + ends * count
        try:
            sandbox.parsed(text)
        except ValueError:
            break
        deepest = count
    text = again * deepest + inner + ends * deepest
    sandbox.compiled(text)
    assert Expression(text, PLACE).reads is not None
    assert 20 < deepest < 99


@pytest.mark.parametrize(
    "text", ["'a\r\nb'", "'a\rb\n'", '"\r\r"', r"'\d+\.'", "'é😀'", "'{{ {% {# }}'"]
)
def test_a_quoted_text_keeps_every_character(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value(text) == text[1:-1]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("vars.a.b + ctx['x.y'][0]", ["vars.a.b", "ctx['x.y'][0]"]),
        ("steps['my-step'].seconds", ["steps['my-step'].seconds"]),
        ("ctx[vars.who].x", [None, "vars.who"]),
        ("vars.a | join(vars.b)", ["vars.a", "vars.b"]),
        ("{'a': vars.a, vars.b: [vars.c]}", ["vars.a", "vars.b", "vars.c"]),
    ],
)
def test_lookups_of_an_expression_are_known_before_it_is_evaluated(
    text: str, read: list[str | None]
) -> None:
    assert [one.text for one in Expression(text, PLACE).reads] == read


@pytest.mark.parametrize(
    ("text", "is_optional"),
    [
        ("vars.a is defined", [True]),
        ("vars.a.b | default(vars.c)", [True, False]),
        ("vars.a is defined and vars.a.b > 1", [True, True]),
        ("vars.a is defined and vars.b > 1", [True, False]),
        ("vars.a > 1", [False]),
    ],
)
def test_a_name_that_is_tested_once_is_optional_in_the_whole_expression(
    text: str, is_optional: list[bool]
) -> None:
    assert [one.is_optional for one in Expression(text, PLACE).reads] == is_optional
