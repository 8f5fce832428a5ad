"""An excerpt shows the lines before a position and its own line, with carets under it."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place, Places, excerpt, key_path_text
from pytest_orchestrator.core.text import display_width

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


LONG = (
    "  - {name: set, type: shell, cmd: psu set 12 V, needs: [warm_up], tags: [nightly], retry: 3}"
)


@pytest.mark.parametrize(
    ("word", "width", "row", "carets"),
    [
        ("cmd", 200, LONG, 29),
        ("cmd", 60, f"{LONG[:52]}…", 29),
        ("name", 60, f"{LONG[:52]}…", 5),
        ("tags", 60, f"…{LONG[-52:]}", 27),
        ("retry", 60, f"…{LONG[-52:]}", 44),
        ("needs", 45, f"…{LONG[33:69]}…", 16),
        ("cmd", 8, f"…{LONG[27:35]}…", 3),
    ],
)
def test_a_long_line_is_cut_around_the_position(
    word: str, width: int, row: str, carets: int
) -> None:
    place = Place(1, LONG.index(word) + 1, len(word))
    assert excerpt(LONG, place, width=width).splitlines() == [
        f"   1 | {row}",
        f"     | {' ' * carets}{'^' * len(word)}",
    ]


def test_a_long_line_above_the_position_is_cut_at_its_end() -> None:
    rows = excerpt(f"{'x' * 90}\n- a\n", Place(2, 3), width=60).splitlines()
    assert rows == [f"   1 | {'x' * 52}…", "   2 | - a", "     |   ^"]


def test_an_excerpt_for_no_terminal_has_at_most_200_columns() -> None:
    rows = excerpt("x" * 1000 + "HERE" + "y" * 1000, Place(1, 1001, 4)).splitlines()
    assert rows == [
        f"   1 | …{'x' * 93}HERE{'y' * 94}…",
        f"     | {' ' * 94}^^^^",
    ]


def test_a_position_longer_than_the_width_is_cut() -> None:
    assert excerpt("x" * 1000, Place(1, 11, 900), width=60).splitlines() == [
        f"   1 | {'x' * 52}…",
        f"     | {' ' * 10}{'^' * 42}",
    ]
    assert excerpt("a: " + "x" * 10, Place(1, 4, 900)).splitlines() == [
        "   1 | a: xxxxxxxxxx",
        "     |    ^^^^^^^^^^",
    ]


@pytest.mark.parametrize(
    ("line", "row", "carets"),
    [
        ("a: 日本, here: 1", "a: 日本, here: 1", "         ^^^^"),
        ("a: e\u0301te\u0301, here: 1", "a: e\u0301te\u0301, here: 1", "        ^^^^"),
        ("a: \t1, here: 1", "a:  1, here: 1", "       ^^^^"),
        ("a: ❤\ufe0f, here: 1", "a: ❤\ufe0f, here: 1", "      ^^^^"),
    ],
)
def test_carets_are_below_the_position_after_characters_of_other_widths(
    line: str, row: str, carets: str
) -> None:
    place = Place(1, line.index("here") + 1, 4)
    assert excerpt(line, place).splitlines() == [f"   1 | {row}", f"     | {carets}"]


def test_carets_mark_each_column_of_wide_characters() -> None:
    assert excerpt("名前: 1", Place(1, 1, 2)) == "   1 | 名前: 1\n     | ^^^^"


def test_a_character_that_is_not_printable_becomes_a_space() -> None:
    assert excerpt("a\tb\x07c \n", Place(1, 3)) == "   1 | a b c\n     |   ^"


def test_a_position_below_the_last_line_is_marked() -> None:
    assert excerpt("a\n", Place(2, 1)) == "   1 | a\n     | ^"


CHARACTERS = st.lists(st.sampled_from([*"abc: 日é\t", "e\u0301"]), min_size=1, max_size=250)


def columns(row: str, first: int, number: int) -> str:
    """Return the characters that a row has in some columns of a terminal."""
    ends = accumulate(map(display_width, row))
    return "".join(
        char for char, end in zip(row, ends, strict=True) if first < end <= first + number
    )


@given(st.lists(CHARACTERS, min_size=1, max_size=6), st.integers(60, 200), st.data())
def test_carets_mark_the_text_at_the_position(
    lines: list[list[str]], width: int, data: st.DataObject
) -> None:
    line = data.draw(st.integers(1, len(lines)))
    start = data.draw(st.integers(0, len(lines[line - 1]) - 1))
    marked = "".join(lines[line - 1][start : start + data.draw(st.integers(1, 10))])
    place = Place(line, len("".join(lines[line - 1][:start])) + 1, len(marked))
    text = "\n".join("".join(each) for each in lines)
    before, first = data.draw(st.integers(0, 3)), data.draw(st.none() | st.integers(1, len(lines)))

    wide = excerpt(text, place, before=before, first=first, width=1000).splitlines()
    rows = excerpt(text, place, before=before, first=first, width=width).splitlines()

    assert all(display_width(row) <= width for row in rows)
    for *_, shown, carets in (rows, wide):
        at, number = carets.index("^"), carets.count("^")
        assert carets == f"     | {' ' * (at - 7)}{'^' * number}"
        assert columns(shown, at, number).rstrip() == marked.replace("\t", " ").rstrip()


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


def test_a_key_path_is_shown_with_dots_and_brackets() -> None:
    assert key_path_text(("commands", 3, "query")) == "commands[3].query"
    assert key_path_text(()) == ""
