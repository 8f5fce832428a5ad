"""Output of a step is shown without control characters that act on a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.text import (
    clipped,
    cut_start_to_width,
    cut_to_width,
    display_width,
    one_line,
    printable,
    wrapped,
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("grün 漢字 😀\n\tx".encode(), "grün 漢字 😀\n\tx"),
        (b"a\xff\xc3", "a\\xff\\xc3"),
        (b"\x1b[2J\x07\x00\x7f", "\\x1b[2J\\x07\\x00\\x7f"),
        ("\x9b31m\x85".encode(), "\\x9b31m\\x85"),
        (b"one\r\ntwo\r", "one\ntwo\\x0d"),
        ("a\u202eb\u2066".encode(), "a\\u202eb\\u2066"),
    ],
)
def test_invalid_bytes_and_control_characters_are_escaped(raw: bytes, text: str) -> None:
    assert printable(raw) == text


@given(st.binary() | st.text().map(str.encode))
def test_no_control_character_is_left(raw: bytes) -> None:
    kept = {char for char in printable(raw) if unicodedata.category(char) in ("Cc", "Cs")}
    assert kept <= {"\n", "\t"}


@given(st.text(st.characters()))
def test_one_line_is_one_short_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 300
    assert line.splitlines() in ([], [line])
    assert line.encode().decode() == line


@given(st.text(max_size=300), st.integers(2, 100))
def test_clipped_text_keeps_its_beginning_and_its_end(text: str, max_chars: int) -> None:
    shorter = clipped(text, max_chars)
    half = max_chars // 2
    if len(text) <= max_chars:
        assert shorter == text
    else:
        left = len(text) - 2 * half
        note = f"… {left:,} characters are left out here …"
        assert shorter == text[:half] + note + text[-half:]


def test_one_line_reads_only_the_beginning_of_a_long_text() -> None:
    assert one_line("a\nb " + "c" * 10_000_000) == f"a b {'c' * 295}…"


@pytest.mark.parametrize(
    ("text", "width", "line"),
    [
        ("abc  ", 5, "abc"),
        ("abcdef", 5, "abcd…"),
        ("ab  ef", 5, "ab…"),
        ("漢字漢字", 6, "漢字…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("x" * 1_000_000, 3, "xx…"),
        ("abc", 0, "…"),
    ],
)
def test_a_text_is_cut_to_the_width_of_the_terminal(text: str, width: int, line: str) -> None:
    assert cut_to_width(text, width) == line


@given(st.text(st.characters()), st.integers(1, 40))
def test_a_cut_text_is_never_wider_than_the_terminal(text: str, width: int) -> None:
    assert display_width(cut_to_width(text, width)) <= width
    assert display_width(cut_start_to_width(text, width)) <= width


@pytest.mark.parametrize(
    ("text", "width", "end"),
    [
        ("abc", 3, "abc"),
        ("abcdef", 5, "…cdef"),
        ("漢字漢字", 6, "…漢字"),
        ("e\u0301e\u0301e\u0301", 2, "…e\u0301"),
        ("abc", 1, "…"),
    ],
)
def test_the_end_of_a_text_is_kept_in_the_width_of_the_terminal(
    text: str, width: int, end: str
) -> None:
    assert cut_start_to_width(text, width) == end


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("測定", 4),
        ("cafe\u0301", 4),
        ("❤\ufe0f", 1),  # a variation selector
        ("a\u200db", 2),  # a zero-width joiner
        ("1\u20e3", 1),  # an enclosing mark
        ("a\u00adb", 3),  # a terminal shows a soft hyphen
        ("±5 µV ≤ 3 Ω", 11),
    ],
)
def test_marks_have_no_columns_and_wide_characters_have_two(text: str, columns: int) -> None:
    assert display_width(text) == columns


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("no link to the bench", ["no link to", "  the bench"]),
        ("    used by recipes", ["    used by", "  recipes"]),
        ("a_word_of_sixteen ends", ["a_word_of_s", "  ixteen", "  ends"]),
        ("電源が切れて います", ["電源が切れ", "  て います"]),
        ("ends with spaces     ", ["ends with", "  spaces"]),
    ],
)
def test_a_long_text_is_broken_at_spaces(text: str, lines: list[str]) -> None:
    assert wrapped(text, 11, "  ") == lines


@given(st.text(), st.integers(6, 40))
def test_no_line_of_a_broken_text_is_too_wide_and_no_character_is_lost(
    text: str, width: int
) -> None:
    lines = wrapped(text, width, "    ")
    assert max(map(display_width, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_one_line_has_no_colours_and_only_the_last_state_of_an_overwritten_line() -> None:
    text = "10%\r50%\r\x1b[1;31mFAIL\x1b[0m part\x1b[K two\r\n"

    assert one_line(text) == "FAIL part two"
    assert one_line("\x1b[2Ja") == r"\x1b[2Ja"
