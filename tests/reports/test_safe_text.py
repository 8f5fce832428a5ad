from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.text import cut, json_text, shown, tail


@given(st.text())
def test_shown_text_has_no_cursor_or_direction_controls(text: str) -> None:
    result = shown(text)

    assert result.encode() or not text
    assert not {char for char in result if char < " " and char not in "\t\n"}
    assert not set(result) & set("\x7f\x9b\u202e\u2066")


def test_colours_are_removed_and_other_escapes_made_visible() -> None:
    assert shown("\x1b[31mred\x1b[0m\x1b[2J\x07\r\nend") == "red\\x1b[2J\\x07\nend"


def test_a_cut_text_ends_with_an_ellipsis() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"


def test_values_are_shown_as_json_and_texts_unchanged() -> None:
    assert json_text({"a": [1, None, "ä"]}, 100) == '{"a": [1, null, "ä"]}'
    assert json_text("a\x00", 100) == "a\\x00"
    assert json_text(list(range(1000)), 10) == "[0, 1, 2,…"


def test_a_long_log_is_shown_by_its_last_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))

    result = tail(path, 100)

    assert result
    assert not result.is_whole
    assert result.size == path.stat().st_size
    assert result.text.startswith("line 9")
    assert result.text.endswith("line 999\n")
    assert tail(tmp_path / "nothing", 100) is None


def test_a_long_log_is_shown_by_its_first_whole_lines_too_where_there_is_room(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))

    result = tail(path, 4_000)

    assert result
    assert result.head.startswith("line 0\nline 1\n")
    assert result.head.endswith("\n")
    assert result.text.startswith("line ")
    assert 3_900 < len(result.head + result.text) <= 4_000
    assert result.head in path.read_text().removesuffix(result.text)
    assert tail(path, path.stat().st_size) == (path.read_text(), path.stat().st_size, True, "")


def test_any_log_keeps_its_size_limit_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for raw in (b"<" * 100_000, b"\x1b" * 100_000, b"\xff" * 100_000, "😀".encode() * 30_000):
        for line in (raw, raw[:50_000] + b"\n" + raw, b"\n".join([raw[:100]] * 1_000)):
            path.write_bytes(line)
            for most in (1_000, 4_000):
                result = tail(path, most)
                assert result
                assert len(result.text + result.head) < 2.2 * most
