from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.text import cut, shown, tail, told


@given(st.text())
def test_nothing_that_is_shown_moves_a_cursor_or_turns_what_follows(text: str) -> None:
    found = shown(text)

    assert found.encode() or not text
    assert not {char for char in found if char < " " and char not in "\t\n"}
    assert not set(found) & set("\x7f\x9b\u202e\u2066")


def test_colours_are_left_out_and_other_escapes_are_seen() -> None:
    assert shown("\x1b[31mred\x1b[0m\x1b[2J\x07\r\nend") == "red\\x1b[2J\\x07\nend"


def test_a_text_that_is_too_long_ends_so() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"


def test_a_value_is_told_as_json_and_a_text_as_it_is() -> None:
    assert told({"a": [1, None, "ä"]}, 100) == '{"a": [1, null, "ä"]}'
    assert told("a\x00", 100) == "a\\x00"
    assert told(list(range(1000)), 10) == "[0, 1, 2,…"


def test_of_a_long_log_whole_lines_at_its_end_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))

    found = tail(path, 100)

    assert found
    assert not found.is_whole
    assert found.size == path.stat().st_size
    assert found.text.startswith("line 9")
    assert found.text.endswith("line 999\n")
    assert tail(tmp_path / "nothing", 100) is None


def test_a_log_takes_no_more_of_a_page_than_it_may_whatever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for raw in (b"<" * 100_000, b"\x1b" * 100_000, b"\xff" * 100_000, "😀".encode() * 30_000):
        path.write_bytes(raw)
        found = tail(path, 1000)
        assert found
        assert len(found.text) < 2_200
