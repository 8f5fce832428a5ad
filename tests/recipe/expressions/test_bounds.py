"""Bounds of expressions: their time, their memory, and the size of their values."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import bounds
from pytest_orchestrator.recipe.expressions.expression import (
    Expression,
    ExpressionError,
    Template,
    TimeoutExpressionError,
    collecting,
    end_collection,
    template,
)

PLACE = Place(1, 1)
MOST = "1,000,000 are the most"
MEMORY = "it needs too much memory"
LARGE = "its value has more than 1,000,000 characters and items"
TIME = "still evaluating after 2 s"
FOLDED = "([[[0] * 1000] * 1000] * 1000)"
"""A list of a thousand million items, most of which are the same."""


def value(text: str, **names: Any) -> Any:
    return Expression(text, PLACE).value(names)


def collected(text: str, **names: Any) -> Any:
    with collecting():
        return value(text, **names)


def error_of(text: str, **names: Any) -> str:
    with pytest.raises(ExpressionError) as caught:
        collected(text, **names)
    assert caught.value.place == PLACE
    return str(caught.value).partition("`: ")[2].removeprefix("OverflowError: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'%3000000000s' | format(1)", MEMORY),
        ("'%3000000000s' % 1", MEMORY),
        ("'%.3000000000f' % 1", "ValueError: precision too big"),
        ("'%*d' % (3000000000, 1)", MEMORY),
        ("'%(a(b))3000000000s' % {'a(b)': 1}", MEMORY),
        ("'{:>3000000000}'.format(1)", MEMORY),
        ("'{:{w}}'.format(1, w=3000000000)", MEMORY),
        ("'{a:3000000000}'.format_map({'a': 1})", MEMORY),
        ("'a' * 10**10", f"`*` would give 10,000,000,000 characters; {MOST}"),
        ("[1] * 10**10", f"`*` would give 10,000,000,000 items; {MOST}"),
        ("10**10 * 'a'", f"`*` would give 10,000,000,000 characters; {MOST}"),
        ("'a' | center(10**10)", MEMORY),
        ("'a'.center(10**10)", MEMORY),
        ("'a'.ljust(10**10)", MEMORY),
        ("'a'.rjust(10**10)", MEMORY),
        ("'a'.zfill(10**10)", MEMORY),
        ("('a' | attr('zfill'))(10**10)", MEMORY),
        (r"'\t'.expandtabs(10**10)", "Python int too large to convert to C int"),
        ("'a' | indent(10**9, true)", MEMORY),
        ("'a' | indent(width=10**9)", MEMORY),
        ("x | replace('a', x)", MEMORY),
        ("x.replace('a', x)", MEMORY),
        ("range(1000) | join(x)", MEMORY),
        ("x.join(['a'] * 1000)", MEMORY),
        ("{'a': 1} | tojson(10**9)", MEMORY),
        (
            "'aaa' | wordwrap(1, wrapstring=x * 10)",
            f"`*` would give 10,000,000 characters; {MOST}",
        ),
        ("[x] | pprint", LARGE),
        ("{'a': x} | xmlattr", LARGE),
        ("('<' * 10**6) | escape", LARGE),
        ("('<' * 10**7) | escape", f"`*` would give 10,000,000 characters; {MOST}"),
        ("[1] | batch(10**10, 0) | list", MEMORY),
        ("3 ** 100000", "`**` would give a number of 200,000 bits; 65,536 are the most"),
        ("3**30000 * 3**30000", "`*` would give a number of 95,098 bits; 65,536 are the most"),
        ("1 | round(10**9, 'ceil')", TIME),
        ("(1).to_bytes(10**10, 'big')", MEMORY),
        ("dict.fromkeys(range(100000), x)", LARGE),
        (f"[{', '.join(['x * 16'] * 17)}]", f"`*` would give 16,000,000 characters; {MOST}"),
        (f"[{', '.join(['x'] * 17)}]", LARGE),
    ],
)
def test_a_value_that_would_fill_the_memory_is_refused_at_collection(
    text: str, reason: str
) -> None:
    assert error_of(text, x="a" * 1_000_000) == reason


@pytest.mark.parametrize(
    "text",
    [
        "x | wordwrap",
        "x | striptags",
        "x | urlize",
        "x.translate({97: x})",
        "1 | int | round(-10**9)",
        "x.rfind('b' ~ x)",
        "x | trim('b' ~ x)",
        "range(100000) | map('center', 100000000) | map('length') | sum",
        "range(100000) | map('center', 100000) | map('length') | sum",
        f"{FOLDED} == {FOLDED}",
        f"{FOLDED} is eq({FOLDED})",
        f"{FOLDED} | string | length",
        f"{FOLDED} | tojson | length",
        f"{FOLDED} ~ ''",
        f"'%s' % ({FOLDED},)",
        f"'%s' % [{FOLDED}]",
        f"'{{}}'.format({FOLDED})",
        f"'{{!r}}'.format({FOLDED})",
        f"[{FOLDED}, {FOLDED}] | sort",
        FOLDED,
    ],
)
def test_an_expression_of_a_collection_ends_within_its_limits(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SECONDS", 0.5)  # most of the texts take all of them
    try:
        collected(text, x="a" * 1_000_000)
    except ExpressionError as error:
        ends = ("still evaluating after 0.5 s", MEMORY, LARGE)
        assert str(error).endswith(ends)  # noqa: PT017 - it may have a value


def test_a_value_counts_as_often_as_it_occurs_in_another() -> None:
    folded: list[Any] = [[[0] * 1_000] * 1_000] * 1_000
    with pytest.raises(ExpressionError) as caught:
        value("x", x=folded)
    assert str(caught.value) == f"`x`: OverflowError: {LARGE}"


@pytest.mark.parametrize("text", ["x", "x ~ ''", "[x, 1]", "{'a': x}"])
def test_a_value_has_a_size_limit(text: str) -> None:
    value("x", x="a" * 1_000_000)
    with pytest.raises(ExpressionError) as caught:
        value(text, x="a" * 1_000_001)
    assert str(caught.value) == f"`{text}`: OverflowError: {LARGE}"


def test_a_text_of_several_expressions_has_one_size_limit() -> None:
    found = template("${{ x }} ${{ x }}", PLACE)
    assert isinstance(found, Template)
    with pytest.raises(ExpressionError, match="a text of more than 1,000,000 characters"):
        found.value({"x": "a" * 500_000})


@pytest.mark.parametrize("text", ["x", "x ~ ''"])
def test_all_values_of_a_collection_have_one_size_limit(text: str) -> None:
    names = {"x": "a" * 1_000_000}
    for _ in range(30):
        collected(text, **names)
    reason = "all values at collection have more than 30,000,000 characters and items"
    assert error_of(text, **names) == reason
    end_collection()
    collected(text, **names)


def endless(text: str) -> str:
    with pytest.raises(TimeoutExpressionError) as caught, bounds.time_limit(0.05):
        value(text, x=list(range(100_000)))
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "range(100000) | map('round') | select('in', x) | list",
        "range(100000) | map('string') | select('in', x) | list",
        "range(100000) | reject('in', x) | list | length",
        "[] | slice(10**9) | list",
    ],
)
def test_an_expression_ends_at_its_time_limit(text: str) -> None:
    assert endless(text) == f"`{text}`: still evaluating after 0.05 s"


def test_the_rest_of_an_outer_time_limit_applies_too() -> None:
    now = time.monotonic()
    one = Expression("1", PLACE)
    late = pytest.raises(TimeoutExpressionError, match="after 5 s")
    with late, bounds.time_limit(5, begun=now - 6), bounds.time_limit(60):
        one.value({})
    late = pytest.raises(TimeoutExpressionError, match="after 5 s")
    with late, bounds.time_limit(60), bounds.time_limit(5, begun=now - 6):
        one.value({})
    assert one.value({}) == 1


TEXT = st.text("ab\t\n <&é\u2028%", max_size=12)
WIDTH = st.integers(-3, 40)
PAD = ["center", "ljust", "rjust"]


@settings(deadline=None)
@given(TEXT, WIDTH, st.sampled_from([*PAD, "zfill", "expandtabs"]))
def test_padding_gives_the_text_that_python_gives(text: str, width: int, name: str) -> None:
    assert value(f"x.{name}(n)", x=text, n=width) == getattr(text, name)(width)
    assert value("x | center(n)", x=text, n=width) == text.center(width)


@settings(deadline=None)
@given(TEXT, st.integers(1 << 24, 1 << 80), st.sampled_from([*PAD, "zfill"]))
def test_padding_beyond_the_limit_is_refused(text: str, width: int, name: str) -> None:
    end_collection()  # each example is a collection: all together may take longer than one may
    found = error_of(f"x.{name}(n)", x=text, n=width)
    assert found in (LARGE, MEMORY, TIME, "Python int too large to convert to C ssize_t")


FORMATS = st.lists(
    st.sampled_from(["%d", "%5d", "%-7.3f", "%s", "%+08d", "%x", "%e", "%r", "%%", "é"]),
    max_size=5,
)


@settings(deadline=None)
@given(FORMATS, st.data())
def test_percent_formatting_equals_that_of_python(pieces: list[str], data: st.DataObject) -> None:
    pattern = "".join(pieces)
    count = sum(one not in ("%%", "é") for one in pieces)
    numbers = data.draw(st.lists(st.integers(-1000, 1000), min_size=count, max_size=count))
    wanted = pattern % tuple(numbers)
    assert value("p % n", p=pattern, n=tuple(numbers)) == wanted
    assert value("p | format(*n)", p=pattern, n=numbers) == wanted


SPECS = st.sampled_from(["{}", "{:>9}", "{:<3}", "{:^+12.3f}", "{:08}", "{!r:>5}", "{{}}"])


@settings(deadline=None)
@given(st.lists(SPECS, max_size=4).map("".join), st.lists(st.integers(), min_size=4, max_size=4))
def test_format_gives_the_text_that_python_gives(pattern: str, numbers: list[int]) -> None:
    wanted = pattern.format(*numbers)
    assert value("p.format(*n)", p=pattern, n=numbers) == wanted


CALLS: list[tuple[str, st.SearchStrategy[tuple[Any, ...]]]] = [
    ("center", st.tuples(TEXT, WIDTH)),
    ("indent", st.tuples(TEXT, st.integers(0, 9) | TEXT, st.booleans(), st.booleans())),
    ("replace", st.tuples(TEXT, st.text("ab", max_size=2), TEXT, st.none() | st.integers(0, 3))),
    ("escape", st.tuples(TEXT)),
    ("urlencode", st.tuples(TEXT)),
    ("truncate", st.tuples(TEXT, st.integers(3, 9), st.booleans())),
    ("wordwrap", st.tuples(TEXT, st.integers(1, 9))),
    ("tojson", st.tuples(st.lists(st.lists(st.integers(0, 9)), min_size=1), st.integers(0, 3))),
    ("upper", st.tuples(st.text("abé", max_size=9))),
    ("trim", st.tuples(TEXT, st.text("ab ", max_size=2))),
]


@settings(deadline=None)
@given(st.sampled_from(CALLS).flatmap(lambda one: st.tuples(st.just(one[0]), one[1])))
def test_a_collection_gives_the_values_that_a_run_gives(call: tuple[str, tuple[Any, ...]]) -> None:
    name, (first, *rest) = call
    text, names = f"x | {name}(*rest)", {"x": first, "rest": rest}
    assert collected(text, **names) == value(text, **names)
    end_collection()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(), max_size=3), max_size=5))
def test_sums_of_lists_equal_those_of_python(lists: list[list[int]]) -> None:
    flat = [one for each in lists for one in each]
    assert value("x | sum(start=[])", x=lists) == flat
    assert (
        value("x | map(attribute='a') | sum(start=[])", x=[{"a": each} for each in lists]) == flat
    )
    assert value("x | sum('a', start=[])", x=[{"a": each} for each in lists]) == flat
    assert value("x | map('sum') | sum", x=lists) == sum(flat)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, JSON)
def test_comparisons_and_concatenations_equal_those_of_python(one: Any, other: Any) -> None:
    assert value("x == y", x=one, y=other) == (one == other)
    assert value("x in [y, x]", x=one, y=other) is True
    assert value("x ~ y", x=one, y=other) == f"{one}{other}"
    assert value("x is eq(y)", x=one, y=other) == (one == other)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[1, 2, 3] | batch(linecount=2, fill_with=0)", [[1, 2], [3, 0]]),
        ("'a' | center(width=3)", " a "),
        ("'a\\nb' | indent(width='> ', first=true)", "> a\n> b"),
        ("'aab' | replace(old='a', new='c', count=1)", "cab"),
        ("'a b c'.rsplit(sep=' ', maxsplit=1)", ["a b", "c"]),
        ("'a b c'.split(maxsplit=1)", ["a", "b c"]),
        ("1.55 | round(precision=1, method='floor')", 1.5),
        ("'ff' | int(base=16)", 255),
        ("{'a': [1]} | tojson(indent=1)", '{\n "a": [\n  1\n ]\n}'),
        ("[{'a': 2}, {'a': 1}] | join(d='-', attribute='a')", "2-1"),
        ("[{'a': 2}, {'a': 1}] | sum(attribute='a')", 3),
        ("'abc' | truncate(length=2, end='', leeway=0)", "ab"),
        ("'a' | list", ["a"]),
        ("'%s-%s' | format('a', 1)", "a-1"),
        ("'%(x)s' | format(x='a')", "a"),
        ("'{x[0]}{y}'.format(x=['a'], y=1)", "a1"),
        ("'{a}'.format_map({'a': 1})", "1"),
        ("'-'.join(['a', 'b'])", "a-b"),
        ("(255).bit_length()", 8),
        ("{'a': 1}.get('b', 2)", 2),
        ("('a' | escape).upper()", "A"),
        ("range(3) | map('string') | join", "012"),
        ("2 ** 10 // 3 % 7 - 1.5", 3.5),
        ("[1] + [2]", [1, 2]),
        ("1 < 2 < 3", True),
    ],
)
def test_functions_accept_the_arguments_of_jinja_and_python(text: str, wanted: Any) -> None:
    assert value(text) == wanted
