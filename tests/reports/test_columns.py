"""Tables that commands print."""

from pytest_orchestrator.reports.text import aligned


def test_columns_are_aligned_by_display_width() -> None:
    rows = [("step", "seconds"), ("測定", "1.5"), ("a", "10.25", "x")]

    assert list(aligned(rows, frozenset({1}))) == [
        "step  seconds",
        "測定      1.5",
        "a       10.25  x",
    ]
    assert list(aligned([])) == []


def test_control_characters_in_table_cells_are_escaped() -> None:
    assert list(aligned([("a\x1b[2J\x9bb\nc\x07", "d")])) == ["a\\x1b[2J\\x9bb c\\x07  d"]
