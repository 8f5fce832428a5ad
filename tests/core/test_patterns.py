"""Regular expressions of users, and the errors in them."""

import pytest

from pytest_orchestrator.core.text import compile_pattern


def test_anchors_match_at_lines() -> None:
    assert compile_pattern("^b$").search("a\nb\nc")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[a", "unterminated character set, at character 1"),
        ("ab(", "missing ), unterminated subpattern, at character 3"),
        ("a{99999999999999999999}", "the repetition number is too large"),
    ],
)
def test_an_invalid_pattern_is_reported_with_its_position(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        compile_pattern(pattern)
    assert str(caught.value) == reason


def test_a_future_warning_about_a_pattern_is_ignored() -> None:
    assert compile_pattern("[[a]").search("[")
