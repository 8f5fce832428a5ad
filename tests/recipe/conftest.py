"""Fixtures that load recipes from texts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_orchestrator.recipe import Recipe, RecipeError, load
from pytest_orchestrator.recipe.expressions.expression import end_collection


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], Recipe]:
    """Load a text as the recipe `recipes/x.yaml`."""

    def read(content: str | bytes) -> Recipe:
        path = tmp_path / "recipes" / "x.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(path, root=tmp_path)

    return read


@pytest.fixture
def problems(read: Callable[[str | bytes], Recipe]) -> Callable[[str | bytes], list[str]]:
    """Load a text with errors, and return its problems as `line:column sentence`."""

    def problems(content: str | bytes) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            read(content)
        return [
            f"{problem.place.line}:{problem.place.column} {problem.text}"
            for problem in caught.value.problems
        ]

    return problems


@pytest.fixture(autouse=True)
def _own_collection() -> Iterator[None]:
    """Give each test the limits of a collection of its own."""
    yield
    end_collection()
