"""Files that are no valid YAML, no text, or too large are refused with their place and a cure."""

import codecs
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import Recipe, RecipeError, load
from pytest_orchestrator.recipe.parsing import source

Problems = Callable[[str | bytes], list[str]]

NO_STEPS = "1:1 missing 'steps' (a recipe has a list of 'steps')"
GOOD = "steps:\n  - {name: a, type: shell, cmd: 'true'}\n"


def refusal(path: Path, max_bytes: int = 1000) -> str:
    with pytest.raises(RecipeError) as caught:
        load(path, root=path.parent, max_bytes=max_bytes)
    return str(caught.value)


def test_a_file_above_the_limit_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with path.open("wb") as file:
        file.truncate(10_000_000_000)
    assert refusal(path) == (
        "x.yaml:1:1: the file has 10,000,000,000 bytes, above the limit of 1,000 "
        "(the ini key recipe_max_size sets it)"
    )


def test_a_file_at_the_size_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(GOOD)
    assert load(path, root=tmp_path, max_bytes=len(GOOD)).text == GOOD


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.yaml") == (
        "x.yaml:1:1: the file cannot be read: No such file or directory"
    )


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").mkdir()
    assert refusal(tmp_path / "x.yaml") == "x.yaml:1:1: this is no regular file"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    assert refusal(tmp_path / "x.yaml") == "x.yaml:1:1: this is no regular file"


def test_a_byte_order_mark_of_utf_8_is_no_part_of_the_text(
    read: Callable[[bytes], Recipe],
) -> None:
    recipe = read(b"\xef\xbb\xbf" + GOOD.encode())
    assert recipe.text == GOOD
    assert recipe.at["steps"] == Place(2, 3, 1)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        *(("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16")),
        *(("utf-32", "UTF-32"), ("utf-32-be", "UTF-16")),
    ],
)
def test_other_encodings_are_named(encoding: str, name: str, problems: Problems) -> None:
    assert problems(GOOD.encode(encoding)) == [f"1:1 the file is {name} (save it as UTF-8)"]


def test_a_mark_of_utf_32_is_known_in_both_orders(problems: Problems) -> None:
    for mark, order in ((codecs.BOM_UTF32_BE, "be"), (codecs.BOM_UTF32_LE, "le")):
        assert problems(mark + GOOD.encode(f"utf-32-{order}")) == [
            "1:1 the file is UTF-32 (save it as UTF-8)"
        ]


def test_a_later_nul_does_not_indicate_another_encoding(problems: Problems) -> None:
    assert problems(b"ab\0c") == [
        (
            "1:3 the character U+0000 may not stand in YAML "
            '(write "\\x00" in double quotes if it is meant)'
        )
    ]


def test_a_byte_that_is_not_utf_8_has_its_place_and_its_line(
    read: Callable[[bytes], Recipe],
) -> None:
    with pytest.raises(RecipeError) as caught:
        read(b"\xef\xbb\xbfname: x\ndescription: caf\xe9 bar\n")
    assert str(caught.value) == (
        "recipes/x.yaml:2:17: byte 0xE9 is not UTF-8 (save it as UTF-8)\n"
        "\n"
        "   1 | name: x\n"
        "   2 | description: caf� bar\n"
        "     |                 ^"
    )


def test_every_control_character_is_reported(read: Callable[[str], Recipe]) -> None:
    with pytest.raises(RecipeError) as caught:
        read("name: a\x00b\fc\n# \x1b[31m\nx-y: \uffff\n")
    assert str(caught.value) == (
        "recipes/x.yaml:1:8: the character U+0000 may not stand in YAML "
        '(write "\\x00" in double quotes if it is meant)\n'
        "\n"
        "   1 | name: a�b�c\n"
        "     |        ^\n"
        "recipes/x.yaml:1:10: the character U+000C may not stand in YAML "
        '(write "\\x0C" in double quotes if it is meant)\n'
        "\n"
        "   1 | name: a�b�c\n"
        "     |          ^\n"
        "recipes/x.yaml:2:3: the character U+001B may not stand in YAML "
        '(write "\\x1B" in double quotes if it is meant)\n'
        "\n"
        "   1 | name: a�b�c\n"
        "   2 | # �[31m\n"
        "     |   ^\n"
        "recipes/x.yaml:3:6: the character U+FFFF may not stand in YAML "
        '(write "\\uFFFF" in double quotes if it is meant)\n'
        "\n"
        "   1 | name: a�b�c\n"
        "   2 | # �[31m\n"
        "   3 | x-y: �\n"
        "     |      ^\n"
        "4 problems"
    )


def test_at_most_twenty_control_characters_are_reported(problems: Problems) -> None:
    assert len(problems("name: " + "\x01" * 1000)) == 20


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x-y: " + "[" * 99 + "]" * 99, None),
        ("x-y: " + "[" * 100 + "]" * 100, "1:104"),
        ("x-y: " + "[" * 5000, "1:1005"),
        ("x-y: " + "[\n" * 5000, "99:1"),
        ("\n".join(" " * level + "x-y:" for level in range(1200)), "100:100"),
        ("- " * 5000, "1:199"),
    ],
)
def test_nesting_has_a_limit(text: str, place: str | None, problems: Problems) -> None:
    message = f"{place} more than 100 levels of nesting"
    assert problems(text) == [message if place else NO_STEPS]


@pytest.mark.unmeasured
def test_nodes_have_a_limit(read: Callable[[str], Recipe], problems: Problems) -> None:
    # The root, its 2 keys, the list, and 8 nodes of steps.
    rest = 250_000 - 12
    assert read(f"{GOOD}x-y: [{'a,' * rest}]").steps
    assert problems(f"{GOOD}x-y: [{'a,' * (rest + 1)}]") == [
        "3:6 the file has more than 250,000 nodes"
    ]


@pytest.mark.unmeasured
def test_the_parser_in_python_reads_the_same(
    read: Callable[[str], Recipe], problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "name: &x 'a b'\ntest_meta: {a: 010, b: [*x, 2]}\n" + GOOD
    deep = "x-y: " + "[" * 5000
    fast = read(text), problems(deep)
    monkeypatch.setattr(source, "composer", source.InPython)
    slow = read(text), problems(deep)
    assert slow[0] == fast[0]
    assert fast[1] == ["1:1005 more than 100 levels of nesting"]
    assert slow[1] == ["1:104 more than 100 levels of nesting"]


def test_a_file_that_became_a_pipe_while_it_was_opened_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular, pipe = tmp_path / "y.yaml", tmp_path / "x.yaml"
    regular.write_text(GOOD)
    os.mkfifo(pipe)
    seen = regular.stat()
    monkeypatch.setattr(Path, "stat", lambda _, **__: seen)

    assert refusal(pipe) == "x.yaml:1:1: the file cannot be read: it is no regular file"
