"""A vars file is a mapping, or its problem is reported; no other exception is raised."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.recipe import RecipeError
from pytest_orchestrator.recipe.variables import vars_of

if TYPE_CHECKING:
    from pathlib import Path

NO_MAPPING = "s.yaml:1:1: a file of vars is a mapping of names to values"


def problem_of(path: Path) -> str:
    with pytest.raises(RecipeError) as caught:
        vars_of(path)
    return str(caught.value).splitlines()[0].removeprefix(f"{path.parent}/")


@pytest.mark.parametrize("text", ["x", "1", "null", "~", "'a'", "!x y", "[1]", "- a", "[!x y]"])
def test_a_vars_file_that_is_no_mapping_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)

    assert problem_of(path) == NO_MAPPING


@pytest.mark.parametrize("text", ["", " \n", "# nothing\n", "---\n", "--- # nothing\n...\n", "{}"])
def test_an_empty_file_has_no_vars(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)

    assert vars_of(path) == {}


@pytest.mark.parametrize("ending", [".yaml", ".json", ".env"])
@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"\0",
        b"!x y",
        b"!x {a: 1}",
        b"&a [*a]",
        b"&a {b: *a}",
        b"{a: !!int x}",
        b"a: 1e999\n",
        b"[" * 5000,
        b'{"a":' * 5000,
        b"? [a]\n: b",
        b"<<: 1",
        b"a: ${{ vars.b }}",
        b"a: b\n---\nc: d\n",
        b"=",
        b"'",
    ],
)
def test_any_vars_file_is_read_or_raises_only_recipe_error(
    tmp_path: Path, ending: str, content: bytes
) -> None:
    path = tmp_path / f"s{ending}"
    path.write_bytes(content)
    with contextlib.suppress(RecipeError):
        assert isinstance(vars_of(path), dict)
