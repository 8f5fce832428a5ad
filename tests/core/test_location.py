"""An excerpt shows the lines before a position and its own line, with carets under it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place, Places, excerpt

TEXT = "".join(f"line {number}\n" for number in range(1, 13))


def test_the_lines_before_and_the_carets_are_shown() -> None:
    assert excerpt(TEXT, Place(4, 6, 1)) == (
        "   2 | line 2\n   3 | line 3\n   4 | line 4\n     |      ^"
    )


def test_the_first_line_is_shown_without_lines_before_it() -> None:
    assert excerpt(TEXT, Place(1, 1, 4)) == "   1 | line 1\n     | ^^^^"


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        (None, ["   8 | line 8", "   9 | line 9"]),
        (9, ["   9 | line 9"]),
        (8, ["   8 | line 8", "   9 | line 9"]),
        (7, ["   7 | line 7", "   8 | line 8", "   9 | line 9"]),
        (6, ["   6 | line 6", "   … |", "   8 | line 8", "   9 | line 9"]),
        (1, ["   1 | line 1", "   … |", "   8 | line 8", "   9 | line 9"]),
        # The position is in an anchor, above the step that refers to it.
        (11, ["   8 | line 8", "   9 | line 9"]),
    ],
)
def test_the_head_of_a_step_is_shown_and_nothing_above_it(
    first: int | None, rows: list[str]
) -> None:
    shown = excerpt(TEXT, Place(9, 1, 4), before=1, first=first)
    assert shown.splitlines() == [*rows, "     | ^^^^"]


def test_carets_are_aligned_after_line_9999() -> None:
    assert excerpt("a\n" * 10_000, Place(10_000, 1), before=1) == (
        " 9999 | a\n10000 | a\n      | ^"
    )


def test_a_long_line_is_cut_around_the_position() -> None:
    rows = excerpt("x" * 1000 + "HERE" + "y" * 1000, Place(1, 1001, 4)).splitlines()
    assert rows == [f"   1 | {'x' * 155}HEREy", f"     | {' ' * 155}^^^^"]


def test_a_long_caret_line_ends_with_the_shown_line() -> None:
    rows = excerpt("x" * 1000, Place(1, 11, 900)).splitlines()
    assert rows == [f"   1 | {'x' * 160}", f"     | {' ' * 10}{'^' * 150}"]


def test_a_character_that_is_not_printable_becomes_a_space() -> None:
    assert excerpt("a\tb\x07c \n", Place(1, 3)) == "   1 | a b c\n     |   ^"


def test_a_position_below_the_last_line_is_marked() -> None:
    assert excerpt("a\n", Place(2, 1)) == "   1 | a\n     | ^"


@given(
    st.lists(st.text("abc ", min_size=1, max_size=300), min_size=1, max_size=6),
    st.data(),
)
def test_carets_mark_the_text_at_the_position(lines: list[str], data: st.DataObject) -> None:
    line = data.draw(st.integers(1, len(lines)))
    column = data.draw(st.integers(1, len(lines[line - 1])))
    length = data.draw(st.integers(1, min(40, len(lines[line - 1]) - column + 1)))
    first = data.draw(st.none() | st.integers(1, len(lines)))
    *_, shown, carets = excerpt(
        "\n".join(lines),
        Place(line, column, length),
        before=data.draw(st.integers(0, 3)),
        first=first,
    ).splitlines()
    start, end = carets.index("^"), carets.rindex("^") + 1
    assert carets[start:end] == "^" * length
    marked = lines[line - 1][column - 1 : column - 1 + length]
    assert shown[start:end].ljust(length) == marked


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.builds(Place, *(st.integers(min_value=1, max_value=2**32 - 1),) * 3),
        max_size=5,
    )
)
def test_places_equal_the_dict_they_were_made_from(expected: dict[str, Place]) -> None:
    places = Places(expected)

    assert dict(places) == expected
    assert list(places) == list(expected)
    assert len(places) == len(expected)
    assert ("no such key" in places, places.get("no such key")) == (False, None)
    with pytest.raises(KeyError):
        places["no such key"]
