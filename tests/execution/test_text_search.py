"""Texts and patterns are found at any position, in files of any size."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.text import compile_pattern
from pytest_orchestrator.execution import text_search
from pytest_orchestrator.execution.text_search import Hit, bytes_of, file_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search in parts of 64 bytes that overlap by 16."""
    monkeypatch.setattr(text_search, "PART", 64)
    monkeypatch.setattr(text_search, "OVERLAP", 16)


def text(data: bytes, wanted: str) -> Hit | None:
    return bytes_of(data, name="x").text(wanted)


def pattern(data: bytes, wanted: str) -> Hit | None:
    found = bytes_of(data, name="x").first(compile_pattern(wanted))
    return found and found.hit


def line_of(data: bytes, wanted: str) -> int | None:
    hit = pattern(data, wanted)
    return hit and hit.line


def test_a_hit_has_the_line_of_the_text() -> None:
    assert text("eins\nzwei: ü\ndrei".encode(), "ü") == Hit(2, "zwei: ü")
    assert text(b"a\nb\n", "a\nb") == Hit(1, "a")
    assert text(b"abc", "d") is None
    assert text(b"", "d") is None


def test_bytes_that_are_no_utf_8_are_found_unchanged() -> None:
    assert text(b"a\xffb\n", "\udcff") == Hit(1, "a\udcffb")
    assert pattern(b"a\xffb\xfe\n", "^a.b.$") == Hit(1, "a\udcffb\udcfe")
    assert pattern("größe".encode(), r"^\w{5}$") == Hit(1, "größe")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("before", range(0, 200, 7))
@pytest.mark.parametrize("end", ["\n", " ", "ü"])
def test_a_match_is_found_across_the_border_of_parts(before: int, end: str) -> None:
    data = (end * before + "<needle>" + end * 150).encode()
    line = before + 1 if end == "\n" else 1
    for hit in (text(data, "<needle>"), pattern(data, "<needl[e]>")):
        assert hit is not None
        assert hit.line == line
    assert text(data, "<needle>" + end * 140) is not None


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("length", range(50, 140))
def test_the_border_of_a_part_starts_or_ends_no_line_and_no_source(length: int) -> None:
    line = b"x" * length + b"y\n"
    assert pattern(b"a" + line * 3 + b"b", r"^y|y[^\n]$|\Ax|y\Z|^$|(?<![a-z\n])x|y$(?!\n)") is None
    assert pattern(line * 3 + b"z", "^z$") == Hit(4, "z")
    assert pattern(line * 3 + b"z", r"z\Z") == Hit(4, "z")
    assert line_of(b"z" + line * 3, r"\Az") == 1
    assert line_of(line * 3 + b"z", "y\nz") == 3


@pytest.mark.usefixtures("small")
def test_a_line_in_several_parts_is_counted_once() -> None:
    data = b"".join(b"%d\n" % number for number in range(1, 500))
    assert pattern(data, "^400$") == Hit(400, "400")
    assert text(data, "\n400\n") == Hit(399, "399")


def test_pieces_are_searched_one_by_one_and_only_the_first_has_line_numbers() -> None:
    pieces = bytes_of(b"one\ntwo", b"three\nfour", name="stdout", lost=7)
    assert pieces.text("two") == Hit(2, "two")
    assert pieces.text("four") == Hit(0, "four")
    assert pieces.text("twothree") is None
    assert pieces.end() == "four"


def test_the_end_is_the_last_line_that_is_not_blank() -> None:
    assert bytes_of(b"a\nb\n \n\n", name="x").end() == "b"
    assert bytes_of(b" \n", name="x").end() == ""


def test_the_memory_of_a_search_is_bounded_for_any_size(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(200_000_000)
        file.seek(0, 2)
        file.write(b"\nneedle\n")
    large = file_of(str(path), "large")
    tracemalloc.start()
    try:
        found = large.text("needle"), large.first(compile_pattern("^needl.$"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == (Hit(2, "needle"), (Hit(2, "needle"), "needle"))
    assert peak < 40_000_000
