"""Expressions in texts: whole ones keep their type, all other text is unchanged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import sandbox
from pytest_orchestrator.recipe.expressions.expression import (
    AbsentError,
    Expression,
    ExpressionError,
    Template,
    bare,
    template,
)
from tests.growth import TIMES, is_linear

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = Place(1, 1)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def value(text: str, **names: Any) -> Any:
    found = template(text, PLACE)
    return found if isinstance(found, str) else found.value(names)


def error_of(text: str, **names: Any) -> str:
    with pytest.raises(ExpressionError) as caught:
        value(text, **names)
    assert caught.value.place == PLACE
    return str(caught.value)


@settings(deadline=None)
@given(JSON)
def test_a_value_that_is_one_expression_keeps_its_type(given: Any) -> None:
    found = value("${{ x }}", x=given)

    assert json.dumps(found) == json.dumps(given)
    assert type(found) is type(given)


@settings(deadline=None)
@given(JSON, st.text().filter(lambda text: "${{" not in text and not text.endswith("$")), st.text())
def test_a_value_within_text_becomes_text_and_the_text_is_unchanged(
    given: Any, before: str, after: str
) -> None:
    after = after.replace("${{", "")
    shown = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    found = value(f"-{before}${{{{ x }}}}{after}", x=given)

    assert found.startswith(f"-{before}")
    assert found.endswith(after)
    inner = found[len(before) + 1 : len(found) - len(after)]
    assert inner == shown if isinstance(given, str) else json.loads(inner) == given


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a\r\n${{ 1 }}\r\n", "a\r\n1\r\n"),
        (" ${{ 1 }}", " 1"),
        ("${{ 1 }}\n", "1\n"),
        ("${{ 1 }}${{ 2 }}", "12"),
        ("a${{1}}b", "a1b"),
        ("{{ x }} {% if %} {# no #} ${{ 1 }} }}", "{{ x }} {% if %} {# no #} 1 }}"),
        ("# for x in y\n${{ 1 }}", "# for x in y\n1"),
        ("x${{ {'a': [1, none, true, 'é']} }}", 'x{"a":[1,null,true,"é"]}'),
        ("x${{ none }}", "xnull"),
        ("${{ {'a': {'b': {}}} }}", {"a": {"b": {}}}),
        ("${{ '}}' }}}}", "}}}}"),
        ("${{ '${{' }}", "${{"),
        ("${{ vars\n  .gain }}", 2),
        ("$${{ x }}", "${{ x }}"),
        ("$${{ x }} ${{ 1 }}", "${{ x }} 1"),
        ("$$${{ 1 }}", "$${{ 1 }}"),
        ("${ {x} } $x {}", "${ {x} } $x {}"),
    ],
)
def test_only_expressions_of_a_text_are_replaced(text: str, wanted: Any) -> None:
    assert value(text, vars={"gain": 2}) == wanted


def test_a_value_is_never_evaluated_again() -> None:
    assert value("${{ x }}", x="${{ 1 + 1 }}") == "${{ 1 + 1 }}"
    assert value("a ${{ x }}", x="{{ 7 }}${{ 1 }}") == "a {{ 7 }}${{ 1 }}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(1, (2, 3))", [1, [2, 3]]),
        ("{'b': 1, 'a': 2} | dictsort", [["a", 2], ["b", 1]]),
        ("[1, 2] | map('string')", ["1", "2"]),
        ("[1, 2, 3] | batch(2)", [[1, 2], [3]]),
        ("{'a': 1}.items()", [["a", 1]]),
        ("range(3)", [0, 1, 2]),
        ("{'a': 1} | tojson", '{"a": 1}'),
        ("'<' | escape", "&lt;"),
    ],
)
def test_results_of_filters_are_json(text: str, wanted: Any) -> None:
    found = value(f"${{{{ {text} }}}}")

    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${{ 1", "an expression that is not closed by }}"),
        ("${{", "an expression that is not closed by }}"),
        ("${{ }}", "no expression: it is empty"),
        ("a ${{ 1 + }} b", "no expression: unexpected 'end'"),
        ("${{ ${{ 1 }} }}", "no expression: unexpected char '$' at 0"),
    ],
)
def test_an_invalid_expression_is_an_error_with_a_reason(text: str, reason: str) -> None:
    assert error_of(text) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0", "`1 / 0`: ZeroDivisionError: division by zero"),
        ("x", "`x` is an object, which JSON does not have; "),
        ("{1: 2}", "`{1: 2}` has a key that is an int, not text; use str()"),
        ("'inf' | float", "`'inf' | float` is inf, which JSON does not have; "),
    ],
)
def test_an_expression_without_a_value_is_an_error_with_a_reason(text: str, reason: str) -> None:
    assert error_of(f"${{{{ {text} }}}}", x=object()).startswith(reason)


@pytest.mark.parametrize("text", ["1 > 2", "${{ 1 > 2 }}", "  ${{1 > 2}} \n"])
def test_a_bare_expression_may_have_braces(text: str) -> None:
    found = bare(text, PLACE)

    assert (found.text, found.holds({})) == ("1 > 2", False)


@pytest.mark.parametrize("text", ["${{ 1 }} and ${{ 2 }}", "a ${{ 1 }}", "$${{ 1 }}", "", "1 +"])
def test_a_condition_is_a_single_expression(text: str) -> None:
    with pytest.raises(ExpressionError):
        bare(text, PLACE)


def test_a_template_has_its_expressions() -> None:
    found = template("a ${{ x }} b ${{ y }}", PLACE)

    assert isinstance(found, Template)
    assert found.expressions == (Expression("x", PLACE), Expression("y", PLACE))
    assert not found.is_whole


def test_an_expression_that_is_nested_too_deep_is_reported_with_its_place(
    problems: Callable[[str], list[str]],
) -> None:
    text = "steps:\n  - name: a\n    type: shell\n    cmd: x\n    success: {assert: ['%s']}\n"

    assert problems(text % "+".join("1" * 1000)) == [
        "5:24 'success.assert[0]' in shell step 'a' is no expression: it is nested too deep"
    ]


def first_valid_end(text: str) -> int | None:
    """Return the position of the first ``}}`` that ends a valid expression, by trying each."""
    end = text.find("}}")
    while end >= 0:
        try:
            sandbox.parsed(text[:end].strip())
        except ValueError:
            end = text.find("}}", end + 1)
        else:
            return end
    return None


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from("{}[]()'\"\\ab1,:.|~ "), max_size=24).map("".join))
def test_an_expression_ends_at_the_first_braces_that_make_it_valid(inner: str) -> None:
    text = f"{inner}}}}} rest"
    end = first_valid_end(text)
    try:
        found = template(f"${{{{{text}", PLACE)
    except ExpressionError:
        assert end is None
    else:
        assert isinstance(found, Template)
        assert end is not None
        assert found.expressions[0].text == text[:end].strip()
        assert "".join(one for one in found.pieces if isinstance(one, str)) == text[end + 2 :]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${{1}}" * 15_000, "more than 1,000 expressions in one text"),
        ("$${{" * 25_000, None),
        ("${{" * 30_000, "an expression that is not closed by }}"),
        (
            "${{'" + r"\'" * 50_000 + "}}",
            "no expression: it has 100,001 characters; 10,000 are the most",
        ),
        (
            "${{" + "(" * 100_000 + "}}",
            "no expression: it has 100,000 characters; 10,000 are the most",
        ),
        ("${{ 1 " + "}} }" * 25_000, None),
        ("${{'" + "}}" * 50_000, 'no expression: unexpected char "\'" at 0'),
    ],
)
def test_a_long_text_is_scanned_in_linear_time(text: str, reason: str | None) -> None:
    def error(text: str) -> str | None:
        try:
            template(text, PLACE)
        except ExpressionError as error:
            return str(error)
        return None

    assert error(text) == reason
    assert is_linear(error, text[: len(text) // TIMES], text)


def test_a_text_has_at_most_a_thousand_expressions() -> None:
    found = template("${{1}}" * 1_000, PLACE)
    assert isinstance(found, Template)
    assert len(found.expressions) == 1_000


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("'abc' | int", "'abc' is no number that `int` can read (`int(0)` gives 0 instead)"),
        ("'' | float", "'' is no number that `float` can read (`float(0)` gives 0 instead)"),
        (
            "'12abc' | float",
            "'12abc' is no number that `float` can read (`float(0)` gives 0 instead)",
        ),
        (
            "'12.05 V' | float",
            (
                "'12.05 V' is no number that `float` can read "
                "(`.split()[0] | float` reads its first word)"
            ),
        ),
        (
            "'nan V' | float",
            "'nan V' is no number that `float` can read (`float(0)` gives 0 instead)",
        ),
        (
            "'1e400000000 V' | int",
            "'1e400000000 V' is no number that `int` can read (`int(0)` gives 0 instead)",
        ),
        ("none | int", "null is no number that `int` can read (`int(0)` gives 0 instead)"),
        ("[1] | float", "a list is no number that `float` can read (`float(0)` gives 0 instead)"),
        ("'zz' | int(base=16)", "'zz' is no number that `int` can read (`int(0)` gives 0 instead)"),
        (
            "'1e400000000' | int",
            ("'1e400000000' is no number that `int` can read (`int(0)` gives 0 instead)"),
        ),
        ("'nan' | float", "'nan' is no number that `float` can read (`float(0)` gives 0 instead)"),
        ("(1e308 * 10) | int", "inf is no number that `int` can read (`int(0)` gives 0 instead)"),
        (
            "['1', 'x'] | map('int') | sum",
            ("'x' is no number that `int` can read (`int(0)` gives 0 instead)"),
        ),
    ],
)
def test_a_filter_without_a_default_fails_on_what_is_no_number(
    expression: str, reason: str
) -> None:
    with pytest.raises(AbsentError) as caught:
        bare(expression, PLACE).value({})
    assert str(caught.value) == f"`{expression}`: {reason}"
    assert caught.value.place == PLACE


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'abc' | int(7)", 7),
        ("'abc' | int(0)", 0),
        ("'abc' | float(default=none)", None),
        ("'abc' | int('none')", "none"),
        ("'abc' | int(7, 16)", 0xABC),
        ("'ff' | int(base=16)", 255),
        ("' 42.9 ' | int", 42),
        ("' 42.9 ' | float", 42.9),
        ("true | int", 1),
    ],
)
def test_a_filter_with_a_default_gives_it_for_what_is_no_number(
    expression: str, value: object
) -> None:
    assert bare(expression, PLACE).value({}) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("x == 1e23", True),
        ("1e23 == x", True),
        ("x < 1e23", False),
        ("y > 9007199254740992.0", True),
        ("y == 9007199254740992.0", False),
        ("x < 1e308 * 10", True),
    ],
)
def test_a_large_float_is_compared_as_the_decimal_that_is_written(
    expression: str, value: bool
) -> None:
    assert bare(expression, PLACE).value({"x": 10**23, "y": 2**53 + 1}) is value
