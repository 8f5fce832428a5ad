"""Lines and tables within the width of a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.text import display_width
from pytest_orchestrator.reports.terminal.lines import Column, Line, Part, Table, cut_line

_COLUMNS = (
    Column("step", "name"),
    Column("at", "place", rank=2),
    Column("seconds", right=True, rank=1),
    Column("reason", "prose"),
)
_ROWS = [
    ("測定_測定", "recipes/a_folder/psu.yaml::measure", "1.5", "no link to the bench"),
    ("cafe\u0301", "x.yaml::a", "10.25", ""),
]


def test_a_table_without_limit_has_all_columns_aligned_by_their_display_width() -> None:
    table = Table(_COLUMNS, _ROWS)
    assert list(table.texts()) == [
        "step       at                                  seconds  reason",
        "測定_測定  recipes/a_folder/psu.yaml::measure      1.5  no link to the bench",
        "cafe\u0301       x.yaml::a                             10.25",
    ]
    assert table.hidden == []
    assert list(Table((), []).texts()) == []


def test_control_characters_in_cells_are_escaped() -> None:
    assert list(Table((), [("a\x1b[2J\x9bb\nc\x07", "d")]).texts()) == ["a\\x1b[2J\\x9bb c\\x07  d"]


def test_a_narrow_table_cuts_names_breaks_prose_and_leaves_columns_out() -> None:
    assert list(Table(_COLUMNS, _ROWS, 60, indent="  ").texts()) == [
        "  step       at                seconds  reason",
        "  測定_測定  …u.yaml::measure      1.5  no link to the bench",
        "  cafe\u0301       x.yaml::a           10.25",
    ]
    table = Table(_COLUMNS, _ROWS, 44)
    assert list(table.texts()) == [
        "step       seconds  reason",
        "測定_測定      1.5  no link to the bench",
        "cafe\u0301         10.25",
    ]
    assert table.hidden == ["at"]


def test_a_path_is_cut_at_a_folder_if_it_can() -> None:
    columns, cells = (Column(kind="place"),), ["recipes/psu.yaml::a", "x/a_long_name_of_a_recipe"]
    lines = Table(columns, [(cell,) for cell in cells], 40).texts()
    assert list(lines) == ["…/psu.yaml::a", "…ame_of_a_recipe"]


def test_a_column_without_values_is_left_out_first_and_not_named() -> None:
    columns = (Column("run"), Column("dut", rank=1), Column("start", rank=2), Column("recipe"))
    rows = [("2026", "-", "10:00:00", "recipes/psu.yaml")]

    table = Table(columns, rows, 36)
    assert list(table.texts()) == [
        "run   start     recipe",
        "2026  10:00:00  recipes/psu.yaml",
    ]
    assert table.hidden == []
    table = Table(columns, rows, 30)
    assert table.hidden == ["start"]
    assert list(table.texts()) == ["run   recipe", "2026  recipes/psu.yaml"]


def test_prose_that_has_no_room_beside_the_other_columns_is_below_them() -> None:
    rows = [("measure_ripple_of_the_supply", "failed", "1.50", "no link to the bench")]
    columns = (Column("step"), Column("state"), Column("seconds"), Column("reason", "prose"))

    assert list(Table(columns, rows, 50).texts()) == [
        "step                          state   seconds",
        "measure_ripple_of_the_supply  failed  1.50",
        "    no link to the bench",
    ]


_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@given(rows=st.lists(st.tuples(_TEXT, _TEXT, _TEXT, _TEXT), max_size=4), width=st.integers(1, 200))
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, ...]], width: int) -> None:
    for line in Table(_COLUMNS, rows, width).texts():
        assert display_width(line) <= width


@given(rows=st.lists(st.tuples(_TEXT, _TEXT, _TEXT, _TEXT), min_size=1, max_size=4))
def test_a_table_without_limit_cuts_nothing(rows: list[tuple[str, ...]]) -> None:
    shown = "\n".join(Table(_COLUMNS, rows).texts())
    for cell in (cell for row in rows for cell in row if cell.isprintable()):
        assert cell.strip() in shown


def test_the_other_columns_have_the_whole_line_where_prose_is_below_them() -> None:
    columns = (Column("step", "name"), Column("state", "text"), Column("reason", "prose"))
    table = Table(columns, [("measure", "failed (1 marginal)", "no link to the bench at all")], 32)

    assert list(table.texts()) == [
        "step     state",
        "measure  failed (1 marginal)",
        "    no link to the bench at all",
    ]


def test_a_line_that_is_cut_keeps_its_colours() -> None:
    parts = [Part(" a "), Part("failed", "red"), Part("  1.00")]
    assert cut_line(parts, 7) == Line((Part(" a "), Part("fai…", "red")))
    assert cut_line(parts, 20) == Line(tuple(parts))


def test_cells_keep_their_colours_where_they_are_cut_padded_and_broken() -> None:
    columns = (Column("step", "name"), Column("seconds", right=True), Column("reason", "prose"))
    rows = [("measure_ripple", Part("1.5", "red"), Part("no link to the bench today", "yellow"))]

    assert [
        [part for part in line.parts if part.colour] for line in Table(columns, rows, 48).lines()
    ] == [
        [],
        [Part("1.5", "red"), Part("no link to the bench", "yellow")],
        [Part("today", "yellow")],
    ]
