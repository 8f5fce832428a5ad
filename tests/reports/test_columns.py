"""Tables of commands."""

from pytest_orchestrator.reports.text import aligned


def test_columns_stand_below_each_other() -> None:
    rows = [("step", "seconds"), ("測定", "1.5"), ("a", "10.25", "x")]

    assert list(aligned(rows, frozenset({1}))) == [
        "step  seconds",
        "測定      1.5",
        "a       10.25  x",
    ]
    assert list(aligned([])) == []


def test_nothing_in_a_word_moves_the_cursor_or_ends_the_line() -> None:
    assert list(aligned([("a\x1b[2J\x9bb\nc\x07", "d")])) == ["a\\x1b[2J\\x9bb c\\x07  d"]
