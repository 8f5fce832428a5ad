"""Regular expressions of users, and what is wrong with them."""

import pytest

from pytest_orchestrator.core.text import compile_pattern


def test_ends_stand_at_lines() -> None:
    assert compile_pattern("^b$").search("a\nb\nc")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[a", "unterminated character set, at character 1"),
        ("ab(", "missing ), unterminated subpattern, at character 3"),
        ("a{99999999999999999999}", "the repetition number is too large"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        compile_pattern(pattern)
    assert str(caught.value) == reason


def test_what_python_may_read_otherwise_one_day_is_no_matter() -> None:
    assert compile_pattern("[[a]").search("[")
