"""Patterns of `re`, searched by the package `regex`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.core.text import compile_pattern, interruptible_pattern

if TYPE_CHECKING:
    import re

ATOMS = st.sampled_from(
    [
        *("a", "b", "1", " ", "_", ".", "é", "{", "}", "-", "#", "&", r"\d", r"\D", r"\w", r"\W"),
        *(r"\s", r"\S", r"\b", r"\B", "^", "$", r"\A", r"\Z", r"\.", r"\n", r"\x41", "[ab]"),
        *("[^a]", "[a-c1]", r"[\s]", r"[\S]", r"[\w]", r"[\W]", r"[^\W]", r"[\d-a]", "[]a]"),
        *("[^]a]", "[[]", "[a[b]", "[[:alpha:]]", "[a&&b]", "[a--b]", "[a||b]", "{a}", "{e}"),
        *("{i<=1}", "(?=a)", "(?!a)", "(?<=a)", "(?<!b)", "(?:a|b)", "(?>a|b)", "(?i:A)", "(?s:.)"),
    ]
)
TIMES = st.sampled_from(
    ["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{1,}?", "*+", "++"]
)
REPEATED = st.tuples(ATOMS, TIMES).map("".join)
SERIES = st.lists(REPEATED, min_size=1, max_size=3).map("".join)
GROUPS = st.tuples(st.sampled_from(["{}", "({})", "(?:{}|a)", "(?P<n>{})"]), SERIES, TIMES).map(
    lambda one: one[0].replace("{}", one[1], 1) + (one[2] if one[0] != "{}" else "")
)
PATTERNS = st.tuples(st.sampled_from(["", "", "(?i)", "(?a)", "(?s)"]), GROUPS, SERIES).map("".join)
TEXTS = st.text("aAb1 _.\n\té{}[]i-#&|:²½\u0301\x1c\u2028\r", max_size=8)


def found(pattern: re.Pattern[str], text: str) -> list[Any]:
    """Return the span and the groups of the first match, and of a match of the whole text."""
    matches = (pattern.search(text), pattern.fullmatch(text))
    return [match and (match.span(), match.groups()) for match in matches]


@settings(deadline=None)
@given(PATTERNS, TEXTS)
@example(r"\w", "²")
@example(r"\w", "\u0301")
@example(r"\s", "\x1c")
@example(r"[\W]", "‿")
@example("a{e}", "b{e} a{e}")
@example("[[:alpha:]]", "x:]")
@example(r"[[\]]b", "]b")
@example("(?a)é|\\w", "é1")
def test_a_pattern_means_the_same_to_both_packages(pattern: str, text: str) -> None:
    try:
        compiled = compile_pattern(pattern)
    except ValueError:
        assume(False)
    if sys.version_info < (3, 14):  # since then `\B` matches an empty text
        assume(text or r"\B" not in pattern)
    assert found(interruptible_pattern(pattern), text) == found(compiled, text)


@pytest.mark.parametrize("name", [r"\w", r"\W", r"\s", r"\S", r"[\w]", r"[\W]", r"[\s]", r"[\S]"])
def test_a_class_has_the_same_characters_in_both_packages(name: str) -> None:
    text = "".join(map(chr, range(0xD800)))
    ours, theirs = (
        set(one.findall(text)) for one in (interruptible_pattern(name), compile_pattern(name))
    )
    # Each package has its own version of Unicode; a character that one does not know is no letter.
    assert {one for one in ours ^ theirs if one.isprintable()} == set()


@pytest.mark.parametrize("pattern", [r"\p{L}", "(?|a)", "(?R)", r"\X", "(a", "a**", "(?e)a"])
def test_a_pattern_that_only_one_package_accepts_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is that of `re`
        interruptible_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a|aa)+$", r"(a|[a])+\Z", "(?:a|aa)+x?$"])
@pytest.mark.parametrize("method", ["search", "fullmatch"])
def test_a_search_that_backtracks_is_interrupted(pattern: str, method: str) -> None:
    compiled: Any = interruptible_pattern(pattern)
    with pytest.raises(TimeoutError):
        getattr(compiled, method)("a" * 80 + "!", timeout=0.1)
