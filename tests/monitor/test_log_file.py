"""Log files of any size: lines by number, colours, long lines, search."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_orchestrator.monitor import log_file
from pytest_orchestrator.monitor.log_file import Hit


def texts(path: Path, first: int, most: int = 100) -> list[str]:
    return [str(line.html) for line in log_file.lines(path, first, most)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of 200,000 lines, 2.2 MB."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %05d\n" % number for number in range(1, 200_001)))
    return path


def test_lines_of_a_large_log_are_found_by_their_number(log: Path) -> None:
    assert log_file.count(log) == 200_000
    assert texts(log, 1, 2) == ["line 00001", "line 00002"]
    assert texts(log, 123_456, 1) == ["line 123456"]
    assert texts(log, 199_999) == ["line 199999", "line 200000"]
    assert texts(log, 200_001) == []


def test_a_log_that_grows_or_is_replaced_is_counted_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    assert (log_file.count(path), texts(path, 2)) == (2, ["tw"])
    with path.open("ab") as file:
        file.write(b"o\n" + b"x\n" * 70_000)
    assert (log_file.count(path), texts(path, 2, 1)) == (70_002, ["two"])
    path.write_bytes(b"")
    assert (log_file.count(path), texts(path, 1)) == (0, [])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 40_000), max_size=12), st.booleans())
def test_each_line_begins_where_the_one_before_ends(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], is_complete: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    rows = [f"{number}{'.' * size}" for number, size in enumerate(sizes)]
    path.write_text("\n".join(rows) + "\n" * (is_complete and bool(rows)))

    assert log_file.count(path) == len(rows)
    for number, row in enumerate(rows, 1):
        (line,) = log_file.lines(path, number, 1)
        shown = str(line.html).replace(" … ", "")
        assert len(shown) + line.left_out == len(row)
        assert row.startswith(shown[:3])


def test_colours_go_on_in_the_next_line_and_controls_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\x1b[31mred\nstill\x1b[0m <b>\x07\n10%\r20%\rdone\n\xff\n")

    assert texts(path, 1) == [
        '<span class="f1">red</span>',
        '<span class="f1">still</span> &lt;b&gt;\\x07',
        "done",
        "\\xff",
    ]


def test_a_line_of_megabytes_is_shortened_and_a_progress_bar_shows_its_last_state(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    bar = b"".join(b"\r%06d %%" % number for number in range(200_000))
    path.write_bytes(b"a" * 3_000_000 + b"END\n" + bar + b"\nlast\n")
    long, progress, last = log_file.lines(path, 1, 5)

    assert str(long.html).endswith("aaaEND")
    assert len(long.html) + long.left_out == 3_000_006
    assert (str(progress.html), progress.left_out) == ("199999 %", 0)
    assert str(last.html) == "last"


def test_a_search_reads_the_whole_log(log: Path) -> None:
    with log.open("ab") as file:
        file.write("the \x1b[1mNEE\x1b[0mDLE Größe <x>\n".encode())

    (hit,) = log_file.search(log, "needle").lines
    assert hit == Hit(200_001, "the ", "NEEDLE", " Größe <x>")
    assert [one.number for one in log_file.search(log, "GRÖSSE".replace("SS", "ß")).lines] == [
        200_001
    ]
    assert [one.number for one in log_file.search(log, "line 0001").lines] == [*range(10, 20)]
    assert log_file.search(log, "nothing").lines == []


def test_a_search_stops_at_its_limit_and_says_so(log: Path) -> None:
    found = log_file.search(log, "line")

    assert (len(found.lines), found.is_more) == (log_file.MAX_HITS, True)
    assert found.lines[-1].number == log_file.MAX_HITS


def test_a_match_in_a_line_longer_than_the_memory_is_one_hit(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x\n" + b"needle " * 1_500_000 + b"\nneedle\n")

    assert [hit.number for hit in log_file.search(path, "needle").lines] == [2, 3]
